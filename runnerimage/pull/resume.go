package pull

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

const (
	// trailInterval is how many bytes of a blob are fetched and inflated
	// anew, at the most, after a kill. Leaving a checkpoint costs a sync.
	trailInterval = 32 << 20
	// markInterval is how far a blob is read between two marks of its digest's
	// state.
	markInterval = 1 << 20
)

var trailLimits = layer.Limits{Checkpoints: trailInterval / 4}

// checkpoint is how far the pull of a layer came. The store has all chunks of
// its table.
type checkpoint struct {
	// Position is where the layer's reader goes on, Mark a place in the blob
	// that is not behind what it needs.
	Position []byte
	Mark     registry.Mark
	// Table has the entries and chunks so far. What follows the chunks is in
	// the cutter.
	Table  []byte
	Cutter chunk.State
}

// trail reads a blob, and remembers the state of its digest now and then.
type trail struct {
	blob *registry.Blob

	mu    sync.Mutex // the layer's reader reads ahead
	marks []registry.Mark
}

func (t *trail) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.marks)
	if mark, err := t.blob.Mark(); err == nil && (n == 0 || mark.Offset >= t.marks[n-1].Offset+markInterval) {
		t.marks = append(t.marks, mark)
	}
	return t.blob.Read(p)
}

// before returns the last mark that is not behind an offset, and forgets those
// before it.
func (t *trail) before(offset int64) (registry.Mark, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.marks) > 1 && t.marks[1].Offset <= offset {
		t.marks = t.marks[1:]
	}
	if len(t.marks) == 0 || t.marks[0].Offset > offset {
		return registry.Mark{}, false
	}
	return t.marks[0], true
}

// trailed is a record of a blob that leaves checkpoints on the way.
type trailed struct {
	*record
	reader *layer.Reader
	trail  *trail
	last   int64 // the blob's byte of the last checkpoint
	since  int64 // content bytes since it was asked whether one is due
}

// trailed reads the whole blob, keeps it, and leaves checkpoints.
func (p *Puller) trailed(ctx context.Context, desc oci.Descriptor, ranges *registry.Ranges) (Entries, error) {
	blob, err := p.blob(ctx, desc, ranges)
	if err != nil {
		return nil, err
	}
	trail := &trail{blob: blob}
	reader, err := layer.NewReader(trail, trailLimits)
	if err != nil {
		blob.Close()
		return nil, err
	}
	return &trailed{record: newRecord(p, desc, &whole{reader, blob}), reader: reader, trail: trail}, nil
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.record.Read(p)
	if t.since += int64(n); err == nil && t.since >= markInterval {
		t.since = 0
		err = t.leave()
	}
	return n, err
}

// leave leaves a checkpoint if one is due.
func (t *trailed) leave() error {
	position, ok := t.reader.Position()
	if !ok || position.Blob < t.last+trailInterval {
		return nil
	}
	mark, ok := t.trail.before(position.Blob)
	if !ok {
		return nil
	}
	t.last = position.Blob
	if err := t.settle(); err != nil {
		return err
	}
	c := checkpoint{Mark: mark, Cutter: t.cutter.State()}
	var faults [2]error
	c.Position, faults[0] = position.MarshalBinary()
	c.Table, faults[1] = t.table.Snapshot()
	raw, err := json.Marshal(c)
	if err := errors.Join(append(faults[:], err)...); err != nil {
		return err
	}
	t.puller.Stock.Put(stock.Resume, t.desc.Digest, raw)
	return nil
}

// resumed is a layer that an earlier run has pulled in part.
type resumed struct {
	*trailed
	head *assembly // what the store has of it; nil once it was read
	left int       // entries that head has not given yet
}

// resume goes on where an earlier run has stopped; nil says that there was
// none, or that not all it had is in the store.
func (p *Puller) resume(ctx context.Context, desc oci.Descriptor) Entries {
	raw, ok := p.Stock.Get(stock.Resume, desc.Digest)
	if !ok {
		return nil
	}
	entries, err := p.resumeFrom(ctx, desc, raw)
	if err != nil {
		// Whatever is wrong with it: reading from the beginning tells.
		p.Stock.Drop(stock.Resume, desc.Digest)
		return nil
	}
	return entries
}

func (p *Puller) resumeFrom(ctx context.Context, desc oci.Descriptor, raw []byte) (*resumed, error) {
	var c checkpoint
	var position layer.Position
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if err := position.UnmarshalBinary(c.Position); err != nil {
		return nil, err
	}
	writer, err := toc.ResumeWriter(c.Table)
	if err != nil {
		return nil, err
	}
	table := writer.Table()
	for _, chunk := range table.Chunks() {
		if !p.Stock.Has(chunk.ID) {
			return nil, ErrNotStored
		}
	}
	blob, err := p.client.BlobFrom(ctx, p.ref, desc, c.Mark)
	if err != nil {
		return nil, err
	}
	trail := &trail{blob: blob}
	reader, err := resumeReader(trail, position, c.Mark)
	if err != nil {
		blob.Close()
		return nil, err
	}
	t := &trailed{record: newRecord(p, desc, &whole{reader, blob}), reader: reader, trail: trail, last: position.Blob}
	t.table, t.record.left = writer, position.Rest
	if t.cutter, err = chunk.ResumeCutter(c.Cutter, t.cut); err != nil {
		t.Close()
		return nil, err
	}
	head := p.assemble(ctx, desc, &assembly{table: table, pending: c.Cutter.Open, part: true})
	p.reused.Add(c.Mark.Offset)
	return &resumed{t, head, table.Len()}, nil
}

// resumeReader makes a reader at position. blob is at mark.
func resumeReader(blob io.Reader, position layer.Position, mark registry.Mark) (*layer.Reader, error) {
	if _, err := io.CopyN(io.Discard, blob, position.Blob-mark.Offset); err != nil {
		return nil, err
	}
	return layer.ResumeReader(blob, position, trailLimits)
}

func (r *resumed) Next() (*layer.Entry, error) {
	if r.head == nil {
		return r.trailed.Next()
	}
	if r.left > 0 {
		r.left--
		return r.head.Next()
	}
	// The rest of the last entry's content follows, if there is any, and
	// nobody wants it.
	if err := r.endHead(); err != nil {
		return nil, err
	}
	return r.trailed.Next()
}

func (r *resumed) Read(p []byte) (int, error) {
	if r.head == nil {
		return r.trailed.Read(p)
	}
	n, err := r.head.Read(p)
	if r.left == 0 && errors.Is(err, io.EOF) {
		// So far the last entry was read, and the rest of it follows.
		if err := r.endHead(); err != nil {
			return n, err
		}
		if n == 0 {
			return r.trailed.Read(p)
		}
		return n, nil
	}
	return n, err
}

func (r *resumed) endHead() error {
	err := r.head.Close()
	r.head = nil
	return err
}

func (r *resumed) Close() error {
	var err error
	if r.head != nil {
		err = r.endHead()
	}
	return errors.Join(err, r.trailed.Close())
}
