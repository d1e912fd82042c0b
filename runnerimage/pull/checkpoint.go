package pull

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
)

const (
	// checkpointInterval is how many bytes of a blob are fetched and inflated
	// anew, at the most, after a kill. Leaving a checkpoint costs a sync.
	checkpointInterval = 32 << 20
	// markInterval is how far a blob is read between two marks of its digest's
	// state.
	markInterval = 1 << 20
)

// limits let a layer's reader tell where it is.
func (p *Puller) limits() layer.Limits { return layer.Limits{Checkpoints: p.interval / 4} }

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
	at   int64 // in the blob

	mu    sync.Mutex // the layer's reader reads ahead
	marks []registry.Mark
}

// newTrail begins at a mark.
func newTrail(blob *registry.Blob, from registry.Mark) *trail {
	return &trail{blob: blob, at: from.Offset, marks: []registry.Mark{from}}
}

func (t *trail) Read(p []byte) (int, error) {
	t.leave()
	n, err := t.blob.Read(p)
	t.at += int64(n)
	return n, err
}

// leave leaves a mark if one is due.
func (t *trail) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.marks); t.at < t.marks[n-1].Offset+markInterval {
		return
	}
	if mark, err := t.blob.Mark(); err == nil {
		t.marks = append(t.marks, mark)
	}
}

// before returns the last mark that is not behind an offset, and forgets those
// before it.
func (t *trail) before(offset int64) registry.Mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.marks) > 1 && t.marks[1].Offset <= offset {
		t.marks = t.marks[1:]
	}
	return t.marks[0]
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
	trail := newTrail(blob, registry.Mark{})
	reader, err := layer.NewReader(trail, p.limits())
	if err != nil {
		blob.Close()
		return nil, err
	}
	return &trailed{record: newRecord(p, desc, &whole{reader, blob}), reader: reader, trail: trail}, nil
}

func (t *trailed) Next() (*layer.Entry, error) {
	e, err := t.record.Next()
	return e, t.judge(err)
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.record.Read(p)
	if t.since += int64(n); err == nil && t.since >= markInterval {
		t.since = 0
		err = t.leave()
	}
	return n, t.judge(err)
}

func (t *trailed) Drain() error { return t.judge(t.record.Drain()) }

// judge forgets the checkpoints of a layer whose bytes turn out wrong: they
// may have some of these.
func (t *trailed) judge(err error) error {
	if errors.Is(err, registry.ErrMismatch) || errors.Is(err, layer.ErrFormat) {
		t.puller.Stock.Drop(stock.Resume, t.desc.Digest)
	}
	return err
}

// leave leaves a checkpoint if one is due.
func (t *trailed) leave() error {
	position, ok := t.reader.Position()
	if !ok || position.Blob < t.last+t.puller.interval {
		return nil
	}
	t.last = position.Blob
	if err := t.settle(); err != nil {
		return err
	}
	c := checkpoint{Mark: t.trail.before(position.Blob), Cutter: t.cutter.State()}
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
