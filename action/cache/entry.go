package cache

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/store"
)

// An entry, byte by byte. Numbers are unsigned and little-endian, a CRC is
// CRC-32C (Castagnoli).
//
//	entry  = header index file…
//
//	header =  0  8  "CLIPACTC"
//	          8  4  version, 1
//	         12  4  length of the index N, at most 4 MiB
//	         16  4  CRC of the index
//	         20  4  CRC of bytes 0–19
//
//	index  =  N     JSON: {"bases":[key…],"files":[{"kind":…,"name":…,"size":…}…]}
//
//	file   =        a pack or blob of the store, size bytes as its directory
//	                has them (runnerimage/store/README.md), in the index's order
//
// The index comes first, blobs before packs: one request reads it and mostly
// all blobs as well. bases are the keys of older entries whose files belong to
// the image too.
const (
	entryVersion = 1
	entryMagic   = "CLIPACTC"
	headerSize   = 24
	maxIndex     = 4 << 20
	maxFiles     = 20000
)

// storedForm names what an entry holds: the version that the service wants
// beside a key, in the form of a SHA-256. Entries of another one are not found.
func storedForm() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "clipper-runner entry %d store %d", entryVersion, store.FormatVersion))
	return hex.EncodeToString(sum[:])
}

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errForm = errors.New("it is no entry of this program")
)

type index struct {
	Bases []string `json:"bases,omitempty"`
	Files []file   `json:"files"`
}

// name is what a file is called in every store.
type name struct {
	Kind store.Kind `json:"kind"`
	Name string     `json:"name"`
}

type file struct {
	name
	Size int64 `json:"size"`
}

func (f file) item() store.Item { return store.Item{Kind: f.Kind, Name: f.Name, Size: f.Size} }

// placed is a file and where it begins in its entry.
type placed struct {
	file
	offset int64
}

// newIndex lists items, blobs first.
func newIndex(items []store.Item) index {
	var ix index
	for _, item := range items {
		ix.Files = append(ix.Files, file{name{item.Kind, item.Name}, item.Size})
	}
	slices.SortFunc(ix.Files, func(a, b file) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Name, b.Name))
	})
	return ix
}

func (ix index) size() (total int64) {
	for _, f := range ix.Files {
		total += f.Size
	}
	return total
}

// encode makes the header and the index.
func (ix index) encode() ([]byte, error) {
	text, err := json.Marshal(ix)
	if err != nil {
		return nil, err
	}
	if len(text) > maxIndex || len(ix.Files) > maxFiles {
		return nil, fmt.Errorf("%d files are more than an entry may have", len(ix.Files))
	}
	b := le.AppendUint32([]byte(entryMagic), entryVersion)
	b = le.AppendUint32(b, uint32(len(text)))
	b = le.AppendUint32(b, crc32.Checksum(text, castagnoli))
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, text...), nil
}

// parseHeader gives the length of the index and its CRC.
func parseHeader(b []byte) (length int64, crc uint32, err error) {
	if len(b) < headerSize || string(b[:8]) != entryMagic || le.Uint32(b[20:]) != crc32.Checksum(b[:20], castagnoli) ||
		le.Uint32(b[8:]) != entryVersion || le.Uint32(b[12:]) > maxIndex {
		return 0, 0, errForm
	}
	return int64(le.Uint32(b[12:])), le.Uint32(b[16:]), nil
}

// parseIndex reads the index of an entry of a size, and says where its files
// begin.
func parseIndex(text []byte, size int64) (ix index, files []placed, err error) {
	if err := json.Unmarshal(text, &ix); err != nil {
		return ix, nil, fmt.Errorf("%w: %w", errForm, err)
	}
	if len(ix.Files) > maxFiles || len(ix.Bases) > maxBases {
		return ix, nil, fmt.Errorf("%w: its index is too long", errForm)
	}
	seen := map[name]bool{}
	offset := int64(headerSize + len(text))
	for _, f := range ix.Files {
		if f.Kind != store.Packs && f.Kind != store.Blobs || seen[f.name] || f.Size < 0 || f.Size > size-offset {
			return ix, nil, fmt.Errorf("%w: file %.80q of its index", errForm, f.Name)
		}
		seen[f.name] = true
		files = append(files, placed{f, offset})
		offset += f.Size
	}
	if offset != size {
		return ix, nil, fmt.Errorf("%w: it has %d bytes and not %d", errForm, size, offset)
	}
	return ix, files, nil
}

// readIndex reads the index of an entry.
func readIndex(ctx context.Context, b *blob) (index, []placed, error) {
	if err := b.open(ctx); err != nil {
		return index{}, nil, err
	}
	head := make([]byte, headerSize)
	if b.size < headerSize {
		return index{}, nil, errForm
	}
	if err := b.read(ctx, head, 0); err != nil {
		return index{}, nil, err
	}
	length, crc, err := parseHeader(head)
	if err != nil || length > b.size-headerSize {
		return index{}, nil, errForm
	}
	text := make([]byte, length)
	if err := b.read(ctx, text, headerSize); err != nil {
		return index{}, nil, err
	}
	if crc32.Checksum(text, castagnoli) != crc {
		return index{}, nil, fmt.Errorf("%w: its index is damaged", errForm)
	}
	return parseIndex(text, b.size)
}

// archive reads as an entry does. It keeps its files from being evicted.
type archive struct {
	io.Reader
	size  int64
	files []*os.File
}

// newArchive opens the files of an entry. The caller closes the archive.
func newArchive(dir *store.Dir, ix index) (_ *archive, err error) {
	head, err := ix.encode()
	if err != nil {
		return nil, err
	}
	a := &archive{size: int64(len(head)) + ix.size()}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	parts := []io.Reader{bytes.NewReader(head)}
	for _, f := range ix.Files {
		opened, err := dir.OpenItem(f.item())
		if err != nil {
			return nil, err
		}
		a.files = append(a.files, opened)
		info, err := opened.Stat()
		if err != nil {
			return nil, err
		}
		if info.Size() != f.Size {
			return nil, fmt.Errorf("%s has changed meanwhile", f.Name)
		}
		parts = append(parts, opened)
	}
	a.Reader = io.MultiReader(parts...)
	return a, nil
}

func (a *archive) Close() {
	for _, f := range a.files {
		f.Close()
	}
}
