package toc

import (
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// Writer records a layer's entries and chunks as they come. Its zero value is
// not ready for use.
type Writer struct {
	format  byte
	limits  limits
	entries columns
	last    previous
	chunks  []Chunk

	count                   int
	metadata, content, size int64
}

// NewWriter returns a Writer of a table without spans.
func NewWriter() *Writer { return &Writer{limits: standard} }

// SetFormat says, before the first chunk, that chunks have spans and how those
// are decoded: not 0.
func (w *Writer) SetFormat(format byte) { w.format = format }

// ResumeWriter returns a Writer that goes on where the snapshot was taken.
// Table tells what it has.
func ResumeWriter(snapshot []byte) (*Writer, error) {
	t, err := decode(snapshot, stateSnapshot, standard)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		format: t.format, limits: standard, entries: t.entries, chunks: t.chunks,
		count: t.count, content: t.content, size: t.size,
	}
	r := t.Entries()
	for range t.count {
		e, _, err := r.Next()
		if err != nil {
			return nil, err
		}
		w.metadata += metadata(e)
	}
	w.last = r.last
	return w, nil
}

// Entry takes the next entry. lead is told for Regular entries with content in
// tables whose format asks for it: how many bytes the tar archive has between
// the content before (or its beginning) and this one; 0 is not told. An entry
// that no layer.Reader gives is an error and is not taken.
func (w *Writer) Entry(e *layer.Entry, lead int64) error {
	if err := w.check(e, lead); err != nil {
		return err
	}
	w.entries.append(&w.last, e, lead)
	w.count++
	w.metadata += metadata(e)
	w.content += e.Size
	return nil
}

func (w *Writer) check(e *layer.Entry, lead int64) error {
	if err := checkEntry(e); err != nil {
		return fmt.Errorf("%w: %.200q: %w", ErrEntry, e.Name, err)
	}
	if err := checkLead(lead, e, w.last.size); err != nil {
		return fmt.Errorf("%.200q: %w", e.Name, err)
	}
	return w.limits.check(int64(w.count)+1, w.metadata+metadata(e), w.content, e.Size)
}

// Chunk takes the next chunk, whose content must be that of entries that were
// taken before.
func (w *Writer) Chunk(c Chunk) error {
	if err := checkChunk(c, w.format); err != nil {
		return err
	}
	if c.Size > w.content-w.size {
		return fmt.Errorf("chunk of %d bytes at %d of files of %d", c.Size, w.size, w.content)
	}
	if int64(len(w.chunks)) >= w.limits.chunks {
		return fmt.Errorf("%w: more than %d chunks", layer.ErrTooMany, w.limits.chunks)
	}
	w.chunks = append(w.chunks, c)
	w.size += c.Size
	return nil
}

// Table returns what was taken so far, complete or not. It stays as it is when
// the Writer goes on.
func (w *Writer) Table() *Table {
	return &Table{
		format: w.format, entries: w.entries.clip(), chunks: slices.Clip(w.chunks),
		count: w.count, content: w.content, size: w.size,
	}
}

// Bytes returns the encoded table, which must be complete.
func (w *Writer) Bytes() ([]byte, error) { return w.Table().Bytes() }

// Snapshot returns what was taken so far, for ResumeWriter. Chunks may lag
// behind the entries.
func (w *Writer) Snapshot() ([]byte, error) { return encode(w.Table(), stateSnapshot) }
