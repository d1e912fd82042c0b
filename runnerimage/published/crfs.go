package published

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a TOC of CRFS. A toc.Writer bounds what it may say.
const (
	maxPacked = 64 << 20  // bytes, compressed
	maxJSON   = 512 << 20 // bytes
	maxValue  = 2 << 20   // bytes of one entry; archive/tar takes 1 MiB of extended header
)

// crfsEntry is an entry of the TOC that CRFS invented and that zstd:chunked
// and eStargz have taken over. Most fields are those of the tar header. The
// document is
//
//	{"version": 1, "entries": [entry, …], …}
//
// with the entries in the order of the tar file. Those of type "chunk" follow
// the "reg" whose content they continue, which is the first chunk itself.
type crfsEntry struct {
	Type     string            `json:"type"`
	Name     string            `json:"name"`
	LinkName string            `json:"linkName"`
	Mode     int64             `json:"mode"`
	Size     int64             `json:"size"`
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	ModTime  string            `json:"modtime"`
	DevMajor int64             `json:"devMajor"`
	DevMinor int64             `json:"devMinor"`
	Xattrs   map[string][]byte `json:"xattrs"`
	Digest   string            `json:"digest"` // of the file

	// Offset is where in the blob a member or frame starts that holds the
	// chunk. EndOffset, of zstd:chunked alone, is where the last chunk's frame
	// ends. InnerOffset, of eStargz alone, is what is decoded before the
	// chunk.
	Offset      int64 `json:"offset"`
	EndOffset   int64 `json:"endOffset"`
	InnerOffset int64 `json:"innerOffset"`

	// ChunkSize is 0 for what is left of the file. ChunkDigest may be missing
	// if the chunk is the file.
	ChunkOffset int64  `json:"chunkOffset"`
	ChunkSize   int64  `json:"chunkSize"`
	ChunkDigest string `json:"chunkDigest"`
	ChunkType   string `json:"chunkType"` // "zeros" is a hole
}

const typeChunk = "chunk"

var crfsTypes = map[string]byte{
	"reg":      tar.TypeReg,
	"dir":      tar.TypeDir,
	"symlink":  tar.TypeSymlink,
	"hardlink": tar.TypeLink,
	"char":     tar.TypeChar,
	"block":    tar.TypeBlock,
	"fifo":     tar.TypeFifo,
}

// header is the tar header that the entry stands for, as far as a layer's
// reader looks at it.
func (e *crfsEntry) header() (*tar.Header, error) {
	flag, ok := crfsTypes[e.Type]
	if !ok {
		return nil, fmt.Errorf("unknown type %.20q", e.Type)
	}
	h := &tar.Header{
		Typeflag: flag, Name: e.Name, Linkname: e.LinkName, Size: e.Size,
		Mode: e.Mode, Uid: e.UID, Gid: e.GID, Devmajor: e.DevMajor, Devminor: e.DevMinor,
	}
	lossy := isLossy(e.Name) || isLossy(e.LinkName)
	if len(e.Xattrs) > 0 {
		h.PAXRecords = make(map[string]string, len(e.Xattrs))
	}
	for name, value := range e.Xattrs {
		lossy = lossy || isLossy(name)
		h.PAXRecords["SCHILY.xattr."+name] = string(value)
	}
	if lossy {
		return nil, errors.New("it has a name that JSON cannot hold")
	}
	// None means the epoch, which is what a header without a time becomes.
	if e.ModTime != "" {
		t, err := time.Parse(time.RFC3339, e.ModTime)
		if err != nil {
			return nil, err
		}
		h.ModTime = t
	}
	return h, nil
}

// isLossy says that a name may be of other bytes in the tar file: publishers
// write U+FFFD for what is not UTF-8.
func isLossy(name string) bool { return strings.ContainsRune(name, utf8.RuneError) }

// readCRFS calls add with the TOC's entries in order, without holding more
// than one. The entry is good until add returns.
func readCRFS(r io.Reader, add func(*crfsEntry) error) error {
	source := &rationed{r: r, total: maxJSON, value: maxValue}
	d := json.NewDecoder(source)
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	version, listed := 0, false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "version":
			err = d.Decode(&version)
		case "entries":
			if listed {
				return errors.New("the TOC lists its entries twice")
			}
			listed = true
			err = readEntries(d, source, add)
		default:
			err = d.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
		source.value = maxValue
	}
	if err := expect(d, json.Delim('}')); err != nil {
		return err
	}
	if version != 1 {
		return fmt.Errorf("the TOC has version %d, not 1", version)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("the TOC goes on behind its end")
	}
	return nil
}

func readEntries(d *json.Decoder, source *rationed, add func(*crfsEntry) error) error {
	switch start, err := d.Token(); {
	case err != nil:
		return err
	case start == nil: // a layer without entries
		return nil
	case start != json.Delim('['):
		return errors.New("the TOC's entries are not a list")
	}
	for d.More() {
		var e crfsEntry
		if err := d.Decode(&e); err != nil {
			return err
		}
		if err := add(&e); err != nil {
			return fmt.Errorf("%.200q: %w", e.Name, err)
		}
		source.value = maxValue
	}
	return expect(d, json.Delim(']'))
}

func expect(d *json.Decoder, want json.Delim) error {
	switch token, err := d.Token(); {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case token != want:
		return fmt.Errorf("the TOC has %v where %v should be", token, want)
	}
	return nil
}

// rationed bounds what is read, in all and for one value: a decoder keeps a
// value as a whole.
type rationed struct {
	r            io.Reader
	total, value int64
}

func (r *rationed) Read(p []byte) (int, error) {
	left := min(r.total, r.value)
	if left <= 0 {
		return 0, errors.New("the TOC is larger than can be handled")
	}
	n, err := r.r.Read(p[:min(int64(len(p)), left)])
	r.total, r.value = r.total-int64(n), r.value-int64(n)
	return n, err
}
