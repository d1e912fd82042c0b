package pull

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// assembly puts a layer together from its table: the entries as they are
// there, the content chunk by chunk, each from the store, from a region of
// another layer, from a range of the blob, or, where all else fails, from the
// blob read as a whole from that chunk on.
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
	// claim says that nobody has held the table against the archive. keep, if
	// not nil, is what the store gets when the layer is complete.
	claim bool
	keep  *kept

	puller *Puller
	desc   oci.Descriptor
	ctx    context.Context // governs the reading, as Puller.Layer says
	cancel context.CancelFunc
	pack   *stock.Pack
	spans  *registry.Spans // fetches plan.spans
	// last is the span that was fetched last: several chunks may be in one.
	last struct {
		registry.Span
		bytes []byte
	}
	rest    *rest // the blob, once it is read as a whole
	scratch []byte
	fetched int64

	full    chan content
	empty   chan []byte
	stopped chan struct{}

	entries *toc.EntryReader
	left    int64   // of the current entry's content
	now     content // what Read hands out
	unread  []byte  // of now.bytes
}

// content is that of a chunk, or why there is none: io.EOF behind the last.
type content struct {
	bytes []byte
	err   error
}

// chunksAhead bounds the memory that waits for the reader.
const chunksAhead = 8

// assemble starts an assembly.
func (p *Puller) assemble(ctx context.Context, desc oci.Descriptor, a *assembly) *assembly {
	a.puller, a.desc, a.entries, a.pack = p, desc, a.table.Entries(), p.Stock.NewPack()
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.empty, a.full = make(chan []byte, chunksAhead), make(chan content, chunksAhead+1)
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
	err := a.each(func(bytes []byte) { a.full <- content{bytes: bytes} }) // there is room for every buffer
	if err == nil {
		err = a.complete()
	}
	a.full <- content{err: err}
}

// each gives the content of every chunk, in a buffer that comes back by
// a.empty.
func (a *assembly) each(give func([]byte)) error {
	for i, c := range a.table.Chunks() {
		buf, err := a.buffer()
		if err != nil {
			return err
		}
		if buf, err = a.chunk(buf, i, c); err != nil {
			return err
		}
		give(buf)
	}
	buf, err := a.buffer()
	if err == nil {
		give(append(buf, a.pending...))
	}
	return err
}

func (a *assembly) buffer() ([]byte, error) {
	select {
	case buf := <-a.empty:
		return buf[:0], nil
	case <-a.ctx.Done():
		return nil, a.ctx.Err()
	}
}

// chunk appends the content of chunk i to buf, which is empty.
func (a *assembly) chunk(buf []byte, i int, c toc.Chunk) ([]byte, error) {
	if a.rest == nil {
		if content, ok := a.stored(buf, i, c); ok {
			return content, nil
		}
		if a.puller.Offline {
			return nil, fmt.Errorf("layer %s is not wholly %w", a.desc.Digest, ErrNotStored)
		}
		if a.layer != nil {
			content, err := a.fetch(buf, i, c)
			if err == nil {
				return a.fresh(content, c), nil
			}
			if !errors.Is(err, registry.ErrNoRanges) && !errors.Is(err, published.ErrFormat) {
				return nil, err
			}
		}
		if err := a.openRest(i); err != nil {
			return nil, err
		}
	}
	content, err := a.rest.chunk(buf, c)
	if err != nil {
		return nil, err
	}
	return a.fresh(content, c), nil
}

// stored appends the content of a chunk that need not be fetched.
func (a *assembly) stored(buf []byte, i int, c toc.Chunk) ([]byte, bool) {
	var err error
	switch at, has := a.plan.regions[i]; {
	case has:
		buf, err = at.read(a.puller.Stock, buf, c)
	case a.foreign:
		return nil, false
	default:
		buf, err = a.puller.Stock.Chunk(buf, c.ID, c.Size)
	}
	return buf, err == nil
}

// fresh keeps what was fetched.
func (a *assembly) fresh(content []byte, c toc.Chunk) []byte {
	if a.foreign {
		return content
	}
	if a.rest != nil && a.puller.Stock.Has(c.ID) {
		// Where one chunk was damaged others may be, and they are all at hand:
		// reading a damaged one makes the store forget it.
		a.scratch, _ = a.puller.Stock.Chunk(a.scratch[:0], c.ID, c.Size)
	}
	a.pack.Put(c.ID, content)
	return content
}

// fetch appends the content of a chunk that a range of the blob holds.
func (a *assembly) fetch(buf []byte, i int, c toc.Chunk) ([]byte, error) {
	span := registry.Span{Offset: c.Offset, Length: c.Length}
	if span != a.last.Span {
		bytes, err := a.fetchSpan(span)
		if err != nil {
			return nil, err
		}
		a.last.Span, a.last.bytes = span, bytes
		a.fetched += span.Length
	}
	return a.layer.Content(buf, i, a.last.bytes)
}

// fetchSpan returns the bytes of a span; most were asked for ahead.
func (a *assembly) fetchSpan(span registry.Span) ([]byte, error) {
	if span.Length == 0 {
		return nil, nil
	}
	if len(a.plan.spans) == 0 || a.plan.spans[0] != span {
		a.endSpans()
		return a.ranges.Read(a.ctx, span)
	}
	if a.spans == nil {
		a.spans = a.ranges.Spans(a.ctx, a.plan.spans)
	}
	a.plan.spans = a.plan.spans[1:]
	return a.spans.Next()
}

func (a *assembly) endSpans() {
	if a.spans != nil {
		a.spans.Close()
		a.spans = nil
	}
}

// complete ends an assembly whose content was all to be had, and returns
// io.EOF.
func (a *assembly) complete() error {
	if a.rest != nil {
		if err := a.rest.end(); err != nil {
			return err
		}
		a.fetched = a.desc.Size
	}
	stored := a.pack.Commit()
	if a.part {
		return io.EOF
	}
	if a.keep != nil && stored {
		a.puller.keep(a.desc, *a.keep)
	}
	a.puller.reused.Add(max(0, a.desc.Size-a.fetched))
	if a.claim {
		a.puller.claimed.Add(1)
	}
	return io.EOF
}

func (a *assembly) Next() (*layer.Entry, error) {
	for a.left > 0 {
		if err := a.advance(); err != nil {
			return nil, err
		}
		n := min(a.left, int64(len(a.unread)))
		a.unread, a.left = a.unread[n:], a.left-n
	}
	e, _, err := a.entries.Next()
	if errors.Is(err, io.EOF) {
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

func (a *assembly) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	if err := a.advance(); errors.Is(err, io.EOF) && !a.part {
		return 0, io.ErrUnexpectedEOF
	} else if err != nil {
		return 0, err
	}
	n := copy(p[:min(int64(len(p)), a.left)], a.unread)
	a.unread, a.left = a.unread[n:], a.left-int64(n)
	return n, nil
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
	a.cancel()
	<-a.stopped
}

// rest is the blob read as a whole, for the content from some chunk on.
type rest struct {
	*whole
	left int64 // of the current entry's content
}

// openRest opens the blob and passes over what the chunks before i hold.
func (a *assembly) openRest(i int) error {
	a.endSpans()
	w, err := a.puller.whole(a.ctx, a.desc, a.ranges)
	if err != nil {
		return err
	}
	a.ranges = nil // whole has ended their use
	a.rest = &rest{whole: w}
	var before int64
	for _, c := range a.table.Chunks()[:i] {
		before += c.Size
	}
	_, err = io.CopyN(io.Discard, a.rest, before)
	return a.rest.blame(err)
}

// Read reads the content stream.
func (r *rest) Read(p []byte) (int, error) {
	for r.left == 0 {
		e, err := r.whole.Next()
		if err != nil {
			return 0, err
		}
		if e.Type == layer.Regular {
			r.left = e.Size
		}
	}
	n, err := r.whole.Read(p[:min(int64(len(p)), r.left)])
	if r.left -= int64(n); r.left == 0 && errors.Is(err, io.EOF) {
		err = nil // of the entry, not of the stream
	}
	return n, err
}

// chunk appends the stream's next chunk to buf, which is empty.
func (r *rest) chunk(buf []byte, c toc.Chunk) ([]byte, error) {
	buf = append(buf, make([]byte, c.Size)...)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, r.blame(err)
	}
	if verify(buf, c.ID) != nil {
		return nil, r.blame(io.ErrUnexpectedEOF)
	}
	return buf, nil
}

// blame is for a stream that does not hold what the table says: either the
// bytes of the blob are wrong, or the table.
func (r *rest) blame(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if wrong := r.Drain(); wrong != nil {
		return wrong
	}
	return ErrTable
}

// end reads the blob to its end, which verifies it.
func (r *rest) end() error {
	for {
		if _, err := r.whole.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
