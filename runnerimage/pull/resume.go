package pull

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// resumed is a layer that an earlier run has pulled in part.
type resumed struct {
	*trailed
	head *assembly // what the store has of it; nil once it was read
	left int       // entries that head has not given yet
	from int64     // the blob's byte from which on it is fetched
}

// errCheckpoint says that a checkpoint is none.
var errCheckpoint = errors.New("malformed checkpoint")

// resume goes on where an earlier run has stopped. Neither entries nor error
// say that there was none, or that not all it had is in the store.
func (p *Puller) resume(ctx context.Context, desc oci.Descriptor) (Entries, error) {
	raw, ok := p.Stock.Get(stock.Resume, desc.Digest)
	if !ok {
		return nil, nil
	}
	entries, err := p.resumeFrom(ctx, desc, raw)
	switch {
	case err == nil:
		return entries, nil
	case errors.Is(err, ErrNotStored):
		// Whoever left it may be on the way, with a pack that nobody sees yet.
		return nil, nil
	case errors.Is(err, errCheckpoint), errors.Is(err, registry.ErrMismatch), errors.Is(err, layer.ErrFormat):
		// Whatever is wrong with it: reading from the beginning tells.
		p.Stock.Drop(stock.Resume, desc.Digest)
		return nil, nil
	}
	return nil, err // the registry's: the checkpoint is as good the next time
}

// parse reads a checkpoint.
func (c *checkpoint) parse(raw []byte) (position layer.Position, table *toc.Writer, err error) {
	if err = json.Unmarshal(raw, c); err == nil {
		err = position.UnmarshalBinary(c.Position)
	}
	if err == nil {
		table, err = toc.ResumeWriter(c.Table)
	}
	if err == nil && c.Mark.Offset > position.Blob {
		err = errors.New("its mark is behind its position")
	}
	return position, table, err
}

func (p *Puller) resumeFrom(ctx context.Context, desc oci.Descriptor, raw []byte) (*resumed, error) {
	var c checkpoint
	position, writer, err := c.parse(raw)
	if err != nil {
		return nil, errors.Join(errCheckpoint, err)
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
	trail := newTrail(blob, c.Mark)
	reader, err := p.resumeReader(trail, position, c.Mark)
	if err != nil {
		blob.Close()
		return nil, err
	}
	t := &trailed{record: newRecord(p, desc, &whole{reader, blob}), reader: reader, trail: trail, last: position.Blob}
	t.table, t.record.left = writer, position.Rest
	if t.cutter, err = chunk.ResumeCutter(c.Cutter, t.cut); err != nil {
		t.Close()
		return nil, errors.Join(errCheckpoint, err)
	}
	head := p.assemble(ctx, desc, &assembly{table: table, pending: c.Cutter.Open, part: true})
	return &resumed{t, head, table.Len(), c.Mark.Offset}, nil
}

// resumeReader makes a reader at position. blob is at mark.
func (p *Puller) resumeReader(blob io.Reader, position layer.Position, mark registry.Mark) (*layer.Reader, error) {
	if _, err := io.CopyN(io.Discard, blob, position.Blob-mark.Offset); err != nil {
		return nil, err
	}
	return layer.ResumeReader(blob, position, p.limits())
}

func (r *resumed) Next() (*layer.Entry, error) {
	if r.head != nil {
		if r.left > 0 {
			r.left--
			return r.head.Next()
		}
		// The rest of the last entry's content follows, if there is any, and
		// nobody wants it.
		if err := r.goOn(); err != nil {
			return nil, err
		}
	}
	return r.trailed.Next()
}

func (r *resumed) Read(p []byte) (int, error) {
	if r.head != nil {
		n, err := r.head.Read(p)
		if r.left > 0 || err != io.EOF {
			return n, err
		}
		// So far the last entry was read, and the rest of it follows.
		if err := r.goOn(); err != nil {
			return 0, err
		}
	}
	return r.trailed.Read(p)
}

// goOn leaves what the store had for what the blob brings.
func (r *resumed) goOn() error {
	head := r.head
	if err := r.endHead(); err != nil {
		return err
	}
	if head.rest == nil {
		r.puller.reused.Add(r.from)
	}
	return nil
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
