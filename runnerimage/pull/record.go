package pull

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// record is a layer whose content is cut into chunks for the store while it is
// read.
type record struct {
	Entries
	puller *Puller
	desc   oci.Descriptor
	keep   kept
	// claim is what the archive is held against, or nil.
	claim *claim
	// from is what is recorded, if that is put together from a table.
	from *assembly

	table  *toc.Writer
	cutter *chunk.Cutter
	left   int64 // of the current entry's content
	pack   *stock.Pack
	// work identifies, encodes and stores chunks beside the reading; cuts are
	// those that the table does not have yet, in their order.
	work errgroup.Group
	cuts []*toc.Chunk
}

// recorded reads the whole blob and keeps it. ranges may have kept the answer
// that is the blob, and l is what its publisher says of it; both may be nil.
func (p *Puller) recorded(ctx context.Context, desc oci.Descriptor, ranges *registry.Ranges, l *published.Layer) (Entries, error) {
	if l == nil {
		return p.trailed(ctx, desc, ranges)
	}
	w, err := p.whole(ctx, desc, ranges)
	if err != nil {
		return nil, err
	}
	r := newRecord(p, desc, w)
	r.claim = newClaim(l)
	if l.Format() != published.Frames {
		r.keep.pieces = l.Raw()
	}
	return r, nil
}

func newRecord(p *Puller, desc oci.Descriptor, from Entries) *record {
	r := &record{Entries: from, puller: p, desc: desc, table: toc.NewWriter(), pack: p.Stock.NewPack()}
	r.cutter = chunk.NewCutter(r.cut)
	r.work.SetLimit(runtime.GOMAXPROCS(0))
	return r
}

func (r *record) Next() (*layer.Entry, error) {
	if r.left > 0 {
		// What the reader passes over belongs to the layer as well.
		if _, err := io.Copy(io.Discard, onlyReader{r}); err != nil {
			return nil, err
		}
	}
	e, err := r.Entries.Next()
	if err == io.EOF {
		return nil, r.complete()
	}
	if err != nil {
		return nil, err
	}
	if err := r.table.Entry(e, 0); err != nil {
		return nil, err
	}
	if e.Type == layer.Regular {
		r.left = e.Size
		return e, r.cutter.File(e.Size)
	}
	return e, nil
}

func (r *record) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.Entries.Read(p)
	r.left -= int64(n)
	if _, cut := r.cutter.Write(p[:n]); cut != nil {
		return n, cut
	}
	if r.claim != nil {
		r.claim.Write(p[:n])
	}
	return n, err
}

// cut takes a chunk from the cutter, which has its content back afterwards.
func (r *record) cut(c chunk.Chunk) error {
	buf := contents.Get().(*[]byte)
	*buf = append((*buf)[:0], c.Content...)
	if len(r.cuts) == mostCuts {
		if err := r.settle(); err != nil {
			return err
		}
	}
	cut := &toc.Chunk{Size: int64(len(*buf))}
	r.cuts = append(r.cuts, cut)
	r.work.Go(func() error {
		defer contents.Put(buf)
		cut.ID = chunk.IDOf(*buf)
		r.pack.Put(cut.ID, *buf)
		return nil
	})
	return nil
}

// mostCuts bounds how many chunks the table's limits have not seen yet.
const mostCuts = 4096

// contents lends memory for the content of chunks.
var contents = sync.Pool{New: func() any { return new([]byte) }}

// settle waits until all chunks that were cut are stored, and takes them into
// the table.
func (r *record) settle() error {
	if err := r.work.Wait(); err != nil {
		return err
	}
	for _, cut := range r.cuts {
		if err := r.table.Chunk(*cut); err != nil {
			return err
		}
	}
	r.cuts = r.cuts[:0]
	return nil
}

// complete ends the recording of a layer that was read to its end, and returns
// io.EOF.
func (r *record) complete() error {
	if r.table == nil {
		return io.EOF
	}
	if err := errors.Join(r.cutter.Close(), r.settle()); err != nil {
		return err
	}
	table := r.table.Table()
	var err error
	if r.keep.table, err = table.Bytes(); err != nil {
		return err
	}
	if err := r.hold(table); err != nil {
		return err
	}
	r.table = nil
	if r.pack.Commit() {
		r.puller.keep(r.desc, r.keep)
	}
	return io.EOF
}

// hold holds what was recorded against what its publisher says.
func (r *record) hold(table *toc.Table) error {
	if r.from != nil {
		r.keep.claim = r.from.keep.claim // unless it had to read the archive
	}
	if r.claim == nil {
		return nil
	}
	if err := r.claim.end(table); err != nil {
		return r.puller.refuted(r.desc, err)
	}
	if r.claim.hasCutOf(table) {
		r.keep.table = r.claim.layer.Raw() // it has the spans as well
	}
	return nil
}

// Close keeps the chunks of a layer that was not read to its end: the next run
// needs them.
func (r *record) Close() error {
	err := errors.Join(r.Entries.Close(), r.work.Wait())
	r.pack.Commit()
	return err
}

// onlyReader hides every method that io.Copy would prefer.
type onlyReader struct{ io.Reader }
