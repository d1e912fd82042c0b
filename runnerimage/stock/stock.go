// Package stock is what a run finds in a store and leaves there for the next
// one. In come documents, tables and chunks as the other rooms have them; they
// are kept as a store's blobs and chunks, under the names listed in blobs.go,
// and come out again verified.
//
// A store is a help and never a need. Whatever goes wrong with it costs
// requests and not the run: what cannot be read counts as absent, and after the
// first write that fails, which is told in a warning, nothing more is written.
package stock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/store"
)

// Options say how a store is used.
type Options struct {
	// Max is how many bytes the store may take, 0 for no limit.
	Max int64
	// Warn is told what a person may want to mend; nil tells nobody.
	Warn func(string)
}

// Stock is a store in the use of one run. It is safe for concurrent use, Close
// excepted.
type Stock struct {
	dir      *store.Dir
	snapshot *store.Snapshot
	warn     func(string)
	full     atomic.Bool // nothing more is written: a write has failed
}

// Open opens the store in dir, or makes one there, and takes back what killed
// runs have left in it.
func Open(ctx context.Context, dir string, o Options) (*Stock, error) {
	d, err := store.Open(dir, store.Options{Max: o.Max})
	if err != nil {
		return nil, err
	}
	s := &Stock{dir: d, warn: o.Warn}
	if s.warn == nil {
		s.warn = func(string) {}
	}
	if _, err := d.Salvage(ctx); err != nil && !errors.Is(err, store.ErrReadOnly) {
		if ctx.Err() != nil {
			return nil, err
		}
		s.failed(err)
	}
	if s.snapshot, err = d.Snapshot(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close lets go of the chunks that were found.
func (s *Stock) Close() { s.snapshot.Close() }

// Has says whether a chunk is there. It is not evicted before Close.
func (s *Stock) Has(id store.ID) bool { return s.snapshot.Has(id) }

// Chunk appends the content of a chunk, which is said to have size bytes, to
// dst. An error says that the chunk must be had from elsewhere: it is not there,
// it has another size, or it was damaged and is forgotten.
func (s *Stock) Chunk(dst []byte, id store.ID, size int64) ([]byte, error) {
	buf := stored.Get().(*[]byte)
	defer stored.Put(buf)
	var err error
	if *buf, err = s.snapshot.ReadChunk(id, *buf); err != nil {
		return dst, err
	}
	content, err := chunk.Decode(dst, *buf, chunk.MaxSize)
	if err != nil || chunk.IDOf(content[len(dst):]) != id {
		s.snapshot.Reject(id)
		return dst, fmt.Errorf("chunk %x: %w", id, store.ErrCorrupt)
	}
	if got := int64(len(content) - len(dst)); got != size {
		// A publisher's table can say so: that does the chunk no harm.
		return dst, fmt.Errorf("chunk %x has %d bytes and not %d", id, got, size)
	}
	return content, nil
}

// stored lends buffers for chunks as they are stored.
var stored = sync.Pool{New: func() any { return new([]byte) }}

// writable says whether it makes sense to write.
func (s *Stock) writable() bool { return !s.full.Load() }

// failed ends writing, and says so once.
func (s *Stock) failed(err error) {
	if !s.full.Swap(true) {
		s.warn(fmt.Sprintf("the store takes nothing more of this run: %v", err))
	}
}

// Pack takes the chunks of one layer. Its methods never fail: see the package
// comment.
type Pack struct {
	stock *Stock
	once  sync.Once
	pack  *store.Pack // nil if nothing can be written
}

// NewPack begins a pack. The caller ends it with Commit, also where the layer
// failed: what was put is of use to the next run.
func (s *Stock) NewPack() *Pack { return &Pack{stock: s} }

// Put stores a chunk unless the store has it. Once it has returned, the chunk
// outlives this process. It is safe for concurrent use.
func (p *Pack) Put(id store.ID, content []byte) {
	if p.stock.Has(id) {
		return
	}
	p.once.Do(p.open)
	if p.pack == nil || !p.stock.writable() {
		return
	}
	buf := stored.Get().(*[]byte)
	defer stored.Put(buf)
	*buf = chunk.Encode((*buf)[:0], content)
	if err := p.pack.Put(id, *buf, len(content)); err != nil {
		p.stock.failed(err)
	}
}

// open makes the pack's file: a layer that brings nothing new needs none.
func (p *Pack) open() {
	if !p.stock.writable() {
		return
	}
	var err error
	if p.pack, err = p.stock.dir.NewPack(); err != nil {
		p.stock.failed(err)
	}
}

// Commit makes the chunks lasting and visible to other runs, and says whether
// all that was put is stored. No Put may be under way or follow.
func (p *Pack) Commit() bool {
	p.once.Do(func() {})
	if p.pack != nil {
		if err := p.pack.Commit(); err != nil {
			p.stock.failed(err)
		}
		p.pack = nil
	}
	return p.stock.writable()
}
