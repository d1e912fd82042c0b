package pull

import (
	"context"
	"io"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// assembly puts a layer together from its table: the entries as they are
// there, the content chunk by chunk. One goroutine has the content ready
// before it is asked for; supply.go tells from where.
type assembly struct {
	table *toc.Table
	// layer tells how the blob's ranges become chunks, and ranges fetches
	// them; nil if the table has no spans.
	layer  *published.Layer
	ranges *registry.Ranges
	// plan says what is sure to be fetched and what other layers have.
	plan plan
	// foreign says that the cut is not the store's own: no chunk is there, and
	// what is fetched is for a record to keep.
	foreign bool
	// part says that the table is only the beginning of the layer's, and
	// pending is content behind its last chunk.
	part    bool
	pending []byte
	// keep is what the store gets when the layer is complete, unless known
	// says that it has that.
	keep  kept
	known bool

	puller *Puller
	desc   oci.Descriptor
	ctx    context.Context // governs the reading, as Puller.Layer says
	cancel context.CancelFunc
	pack   *stock.Pack
	spans  *registry.Spans // fetches plan.spans
	last   span            // what was fetched last: several chunks may be in it
	rest   *rest           // the blob, once it is read as a whole
	// large has a chunk that is larger than the store's own ones, scratch one
	// that nobody reads.
	large, scratch []byte
	fetched        int64

	full    chan content
	empty   chan []byte
	running context.Context // until run is to end
	halt    context.CancelFunc
	stopped chan struct{}

	entries *toc.EntryReader
	left    int64   // of the current entry's content
	now     content // what Read hands out
	unread  []byte  // of now.bytes
}

// content is a piece of the content stream, or why there is no more: io.EOF at
// its end.
type content struct {
	bytes []byte
	err   error
}

// piecesAhead bounds the memory that waits for the reader: none is larger than
// a chunk of the store's own, whatever a publisher has cut.
const piecesAhead = 8

// assemble starts an assembly.
func (p *Puller) assemble(ctx context.Context, desc oci.Descriptor, a *assembly) *assembly {
	a.puller, a.desc, a.entries, a.pack = p, desc, a.table.Entries(), p.Stock.NewPack()
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.running, a.halt = context.WithCancel(a.ctx)
	a.empty, a.full = make(chan []byte, piecesAhead), make(chan content, piecesAhead+1)
	for range cap(a.empty) {
		a.empty <- nil
	}
	a.stopped = make(chan struct{})
	go a.run()
	return a
}

// run puts the content stream together beside the reader.
func (a *assembly) run() {
	defer close(a.stopped)
	err := a.each()
	if err == nil {
		err = a.complete()
	}
	a.full <- content{err: err} // there is room for it beside every buffer
}

// each gives the content of every chunk.
func (a *assembly) each() error {
	for i, c := range a.table.Chunks() {
		if c.Size > chunk.MaxSize {
			var err error
			if a.large, err = a.chunk(a.large[:0], i, c); err != nil {
				return err
			}
			if err := a.give(a.large); err != nil {
				return err
			}
			continue
		}
		buf, err := a.buffer()
		if err != nil {
			return err
		}
		if buf, err = a.chunk(buf, i, c); err != nil {
			return err
		}
		a.full <- content{bytes: buf}
	}
	return a.give(a.pending)
}

// give copies content for the reader.
func (a *assembly) give(all []byte) error {
	for len(all) > 0 {
		buf, err := a.buffer()
		if err != nil {
			return err
		}
		n := min(len(all), chunk.MaxSize)
		a.full <- content{bytes: append(buf, all[:n]...)}
		all = all[n:]
	}
	return nil
}

// buffer waits for one that the reader is done with.
func (a *assembly) buffer() ([]byte, error) {
	select {
	case buf := <-a.empty:
		return buf[:0], a.running.Err()
	case <-a.running.Done():
		return nil, a.running.Err()
	}
}

// complete ends an assembly whose content was all to be had, and returns
// io.EOF.
func (a *assembly) complete() error {
	if a.part {
		return io.EOF
	}
	if a.rest != nil {
		if err := a.endRest(); err != nil {
			return err
		}
	}
	if stored := a.pack.Commit(); stored && !a.foreign && !a.known {
		a.puller.keep(a.desc, a.keep)
	}
	a.puller.reused.Add(max(0, a.desc.Size-a.fetched))
	if a.keep.claim {
		a.puller.claimed.Add(1)
	}
	return io.EOF
}

func (a *assembly) Next() (*layer.Entry, error) {
	for a.left > 0 {
		if err := a.advance(); err != nil {
			return nil, early(err)
		}
		n := min(a.left, int64(len(a.unread)))
		a.unread, a.left = a.unread[n:], a.left-n
	}
	e, _, err := a.entries.Next()
	if err == io.EOF {
		for {
			if err := a.advance(); err != nil {
				return nil, err
			}
			a.unread = nil
		}
	}
	if err == nil && e.Type == layer.Regular {
		a.left = e.Size
	}
	return e, err
}

// Read reads a part's last content up to where that ends.
func (a *assembly) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	if err := a.advance(); err != nil && a.part {
		return 0, err
	} else if err != nil {
		return 0, early(err)
	}
	n := copy(p[:min(int64(len(p)), a.left)], a.unread)
	a.unread, a.left = a.unread[n:], a.left-int64(n)
	return n, nil
}

// early is for an end where there must be more.
func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// advance sees to it that there is unread content.
func (a *assembly) advance() error {
	for len(a.unread) == 0 {
		if a.now.err != nil {
			return a.now.err
		}
		if a.now.bytes != nil {
			a.empty <- a.now.bytes
		}
		a.now = <-a.full
		a.unread = a.now.bytes
	}
	return nil
}

// Drain reads the blob to its end, if it is read as a whole.
func (a *assembly) Drain() error {
	a.stop()
	if a.rest != nil {
		return a.rest.Drain()
	}
	return nil
}

// Close keeps what was fetched: the next run needs it.
func (a *assembly) Close() error {
	a.cancel()
	a.stop()
	a.pack.Commit()
	var err error
	if a.rest != nil {
		err = a.rest.Close()
	}
	a.endSpans()
	if a.ranges != nil {
		a.ranges.Close()
	}
	return err
}

// stop ends run and waits for it.
func (a *assembly) stop() {
	a.halt()
	<-a.stopped
}
