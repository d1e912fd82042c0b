package toc

import (
	"errors"
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// ErrTable says that bytes are no Table, or one of another version.
var ErrTable = errors.New("malformed table of contents")

// ID names a chunk: the SHA-256 of its content. An ID of package chunk is
// assignable to it.
type ID = [32]byte

// MaxChunk is the largest Size of a chunk, and MaxSpan the largest Length of
// the bytes that hold one: whoever reads a Table can have each in memory.
const (
	MaxChunk = 64 << 20
	MaxSpan  = 128 << 20
)

// Chunk is a piece of a layer's content stream: the content of its Regular
// entries, one after the other. Its place is told by the sizes of the chunks
// before.
type Chunk struct {
	ID   ID
	Size int64 // of its content, never 0

	// Offset and Length are the span of the blob that holds the chunk. Length
	// 0 is no span: nothing but zeros in a Table with a format, not told in
	// one without.
	Offset, Length int64
	// Skip is how many bytes of the decoded span are before the chunk's own.
	Skip int64
}

// limits bound what a table may cost, as layer.Limits do: what may be recorded
// of a layer may be read back.
type limits struct {
	entries  int64
	chunks   int64
	metadata int64 // bytes of all names, link targets and extended attributes
	content  int64 // bytes of all files
	body     int64 // bytes of the encoded form before it is compressed
}

var standard = limits{entries: 4_000_000, chunks: 4_000_000, metadata: 512 << 20, content: 4 << 40, body: 1 << 30}

// check holds counts against the limits; size is to be added to content.
func (l limits) check(entries, metadata, content, size int64) error {
	switch {
	case entries > l.entries:
		return fmt.Errorf("%w: more than %d entries", layer.ErrTooMany, l.entries)
	case metadata > l.metadata:
		return fmt.Errorf("%w: names and extended attributes of more than %d bytes", layer.ErrTooMany, l.metadata)
	case size > l.content-content:
		return fmt.Errorf("%w: files of more than %d bytes", layer.ErrTooMany, l.content)
	}
	return nil
}

// Table is the table of contents of one layer: its entries in the order of the
// archive, and the chunks that cover its content stream. It keeps the entries
// in their encoded form, some 20 bytes each. A Table does not change and is
// safe for concurrent use.
type Table struct {
	format  byte
	entries columns
	chunks  []Chunk
	count   int   // of entries
	content int64 // bytes of all files
	size    int64 // bytes of all chunks
}

// Format says how spans are to be decoded; package published knows the
// numbers. 0 says that the table has none, and is in the store's own cut.
func (t *Table) Format() byte { return t.format }

// Chunks returns the chunks in the order of the stream, for reading only.
func (t *Table) Chunks() []Chunk { return t.chunks }

// Size is the number of bytes that the chunks have together: those of the
// content stream, if the table is complete.
func (t *Table) Size() int64 { return t.size }

// Len is the number of entries.
func (t *Table) Len() int { return t.count }

// Complete returns nil if the chunks cover the content stream. Only what a
// Writer has written so far can be without that.
func (t *Table) Complete() error {
	if t.size != t.content {
		return fmt.Errorf("table of contents: chunks of %d bytes for files of %d", t.size, t.content)
	}
	return nil
}

// Entries returns a reader of the entries. Any number of them may be in use.
func (t *Table) Entries() *EntryReader { return newEntryReader(t.entries) }

// Bytes encodes the table, which must be complete. The same table gives the
// same bytes.
func (t *Table) Bytes() ([]byte, error) {
	if err := t.Complete(); err != nil {
		return nil, err
	}
	return encode(t, stateComplete)
}
