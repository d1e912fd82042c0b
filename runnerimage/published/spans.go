package published

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// Bounds of what is in memory as a whole. Publishers take chunks of 64 KiB or
// 4 MiB; Podman cuts where the content says and knows no maximum.
const (
	maxChunk = 16 << 20 // bytes of a chunk
	maxSkip  = 16 << 20 // decoded bytes of its span before it
	maxSpan  = 32 << 20 // bytes of the blob that hold it
)

// hole is the content of the chunks that a hole is cut into, and holeID what
// they have in common but for the last.
var (
	hole   [1 << 20]byte
	holeID = sync.OnceValue(func() toc.ID { return sha256.Sum256(hole[:]) })
)

// crfsTable makes a Table of the entries of a TOC. Where a chunk's span ends
// is told by where the next one starts, so chunks wait for that.
type crfsTable struct {
	table *toc.Writer
	end   int64 // where the bytes that hold content end

	file    crfsEntry // whose content comes
	covered int64     // bytes of it that have come
	regular bool      // it is a file for layers too, and no whiteout

	start   int64 // of the current span
	decoded int64 // bytes of its content up to the end of the last chunk
	waiting []toc.Chunk

	// lastSpan is where the last span with content starts, and lastEnd the
	// decoded bytes of it up to where the tar file goes on.
	lastSpan, lastEnd int64
}

func newCRFSTable(format Format, end int64) *crfsTable {
	t := &crfsTable{table: toc.NewWriter(), end: end}
	t.table.SetFormat(byte(format))
	return t
}

// add takes the next entry of the TOC.
func (t *crfsTable) add(e *crfsEntry) error {
	if e.Type == typeChunk {
		return t.addChunk(e)
	}
	if err := t.finishFile(); err != nil {
		return err
	}
	h, err := e.header()
	if err != nil {
		return err
	}
	t.file, t.covered = crfsEntry{}, 0
	if e.Type == "reg" {
		if e.Size < 0 {
			return fmt.Errorf("size %d", e.Size)
		}
		t.file = *e
		if e.EndOffset != 0 {
			t.table.SetFormat(byte(ZstdChunked)) // nobody else says so
		}
	}
	entry, err := layer.FromHeader(h)
	if err != nil {
		return err
	}
	t.regular = entry != nil && entry.Type == layer.Regular
	if entry != nil {
		if err := t.table.Entry(entry, 0); err != nil {
			return err
		}
	}
	if t.file.Size > 0 {
		return t.addChunk(e)
	}
	return nil
}

// addChunk takes the next chunk of the file.
func (t *crfsTable) addChunk(e *crfsEntry) error {
	left := t.file.Size - t.covered
	size := e.ChunkSize
	if size == 0 {
		size = left
	}
	if e.ChunkOffset != t.covered || size <= 0 || size > left {
		return fmt.Errorf("a chunk of %d bytes at %d, where %d of %d bytes are missing", size, e.ChunkOffset, left, t.file.Size)
	}
	t.covered += size
	digest := e.ChunkDigest
	if digest == "" && size == t.file.Size {
		digest = t.file.Digest
	}
	id, err := parseID(digest)
	if err != nil {
		return err
	}
	if err := t.position(e.Offset, e.InnerOffset); err != nil {
		return err
	}
	switch e.ChunkType {
	case "zeros":
		err = t.addHole(id, size)
	case "":
		err = t.addData(id, size)
	default:
		err = fmt.Errorf("unknown type of chunk %.20q", e.ChunkType)
	}
	if err != nil || t.covered < t.file.Size {
		return err
	}
	padding := -t.file.Size & 511
	t.lastSpan, t.lastEnd = t.start, t.decoded+padding
	if t.file.EndOffset != 0 {
		return t.endSpan(t.file.EndOffset)
	}
	return nil
}

// position goes to where a chunk starts: skip decoded bytes behind offset.
func (t *crfsTable) position(offset, skip int64) error {
	if offset > t.start {
		if err := t.endSpan(offset); err != nil {
			return err
		}
	}
	if offset != t.start || skip < t.decoded || skip > maxSkip {
		return fmt.Errorf("content at %d+%d, where %d+%d is read already", offset, skip, t.start, t.decoded)
	}
	t.decoded = skip
	return nil
}

func (t *crfsTable) addData(id toc.ID, size int64) error {
	if size > maxChunk {
		return fmt.Errorf("a chunk of %d bytes, more than %d", size, maxChunk)
	}
	if t.regular {
		t.waiting = append(t.waiting, toc.Chunk{ID: id, Size: size, Offset: t.start, Skip: t.decoded})
	}
	t.decoded += size
	return nil
}

// addHole cuts a hole into chunks of no span: it may be of any size.
func (t *crfsTable) addHole(id toc.ID, size int64) error {
	if len(t.waiting) > 0 {
		return errors.New("a hole within a span")
	}
	for left := size; t.regular && left > 0; {
		n := min(left, int64(len(hole)))
		c := toc.Chunk{ID: holeID(), Size: n}
		if n < int64(len(hole)) {
			c.ID = sha256.Sum256(hole[:n])
		}
		if c.Size == size && c.ID != id {
			return errors.New("a hole with a digest that is not that of zeros")
		}
		if err := t.table.Chunk(c); err != nil {
			return err
		}
		left -= c.Size
	}
	return nil
}

// endSpan says that the current span ends at offset, where the next begins.
func (t *crfsTable) endSpan(offset int64) error {
	if offset < t.start || offset > t.end {
		return fmt.Errorf("offset %d is not within %d and %d", offset, t.start, t.end)
	}
	for _, c := range t.waiting {
		c.Length = offset - c.Offset
		if c.Length == 0 || c.Length > maxSpan {
			return fmt.Errorf("%d bytes of the blob for a chunk", c.Length)
		}
		if err := t.table.Chunk(c); err != nil {
			return err
		}
	}
	t.waiting = t.waiting[:0]
	t.start, t.decoded = offset, 0
	return nil
}

func (t *crfsTable) finishFile() error {
	if t.covered < t.file.Size {
		return fmt.Errorf("the chunks of %.200q have %d bytes, not %d", t.file.Name, t.covered, t.file.Size)
	}
	return nil
}

// finish says that there are no more entries.
func (t *crfsTable) finish() error {
	if err := t.finishFile(); err != nil {
		return err
	}
	return t.endSpan(t.end)
}

// parsed is the finished Table.
func (t *crfsTable) parsed() (*toc.Table, error) {
	table := t.table.Table()
	if err := table.Complete(); err != nil {
		return nil, err
	}
	return table, nil
}

func malformed(err error) error { return fmt.Errorf("%w: %w", ErrFormat, err) }

func parseID(digest string) (toc.ID, error) {
	var id toc.ID
	text, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(text) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("%.80q is no SHA-256 digest", digest)
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err
}
