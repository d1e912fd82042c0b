// Package pull turns the descriptor of a layer into its entries, and fetches as
// little as it can for that.
//
// What comes in are descriptors and, where there is a store, what earlier runs
// have left in it. What goes out is each layer as a stream of entries, always
// in the same form, from the first of these that can be had:
//
//	replay   the layer's table and its chunks are in the store
//	resume   an earlier run was killed on the way: what it got, then the rest
//	patch    the blob has a published table: what the store lacks, by ranges
//	whole    the blob, read once from its beginning to its end
//
// Promised: every byte that goes out was verified, as part of a blob by the
// blob's digest or as part of a chunk by the chunk's ID. The blob's digest is
// right once Next has returned io.EOF, and not before. What is missing or
// damaged in the store is fetched again while the entries flow, nobody sees it
// but by the time it takes. With a store, whatever was fetched is in it at the
// end, and also most of it when the run ends early.
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

var (
	// ErrNotStored says that the registry may not be asked for what is missing
	// in the store.
	ErrNotStored = errors.New("not in the store")
	// ErrTable says that a layer's published table is not that of its archive.
	ErrTable = fmt.Errorf("%w: the published table of contents is not that of the layer", registry.ErrMismatch)
)

// Entries is a layer as a stream: Next returns its entries in order and io.EOF
// at the end, Read the content of the one that Next returned last. It is for
// one goroutine.
type Entries interface {
	Next() (*layer.Entry, error)
	io.Reader
	// Drain is for a layer that makes no sense: it reads what is left of the
	// blob, if one is being read, and returns the error if its bytes are the
	// wrong ones. Next and Read must not be called any more.
	Drain() error
	io.Closer
}

// Options say what a Puller may do.
type Options struct {
	// Stock is the store; nil is none.
	Stock *stock.Stock
	// Tables says that published tables are believed.
	Tables bool
	// Offline forbids every request.
	Offline bool
}

// Puller pulls the layers of one image. It is safe for concurrent use.
type Puller struct {
	client *registry.Client
	ref    oci.Reference
	Options
	interval int64 // between checkpoints

	reused  atomic.Int64
	claimed atomic.Int64
}

// New returns a Puller of the image that ref names.
func New(client *registry.Client, ref oci.Reference, o Options) *Puller {
	return &Puller{client: client, ref: ref, Options: o, interval: checkpointInterval}
}

// Stats counts what a Puller has done so far.
type Stats struct {
	// Fetched is how many bytes came over the network, those for finding the
	// image included.
	Fetched int64
	// Reused is how many bytes of the blobs did not have to be fetched.
	Reused int64
	// Claimed is how many layers are laid out from a published table that
	// nobody has held against the layer's archive.
	Claimed int64
}

// Stats returns the counts so far.
func (p *Puller) Stats() Stats {
	return Stats{p.client.Stats().Bytes, p.reused.Load(), p.claimed.Load()}
}

// Layer opens a layer. ctx governs the reading as well. The caller closes the
// Entries.
func (p *Puller) Layer(ctx context.Context, desc oci.Descriptor) (Entries, error) {
	if p.Stock != nil {
		if entries := p.replay(ctx, desc); entries != nil {
			return entries, nil
		}
	}
	if p.Offline {
		return nil, fmt.Errorf("layer %s is %w", desc.Digest, ErrNotStored)
	}
	if p.Stock == nil {
		w, err := p.whole(ctx, desc, nil)
		if err != nil {
			return nil, err
		}
		return w, nil
	}
	if entries, err := p.resume(ctx, desc); entries != nil || err != nil {
		return entries, err
	}
	if !p.Tables || !published.Has(desc) {
		return p.recorded(ctx, desc, nil, nil)
	}
	return p.patch(ctx, desc)
}

// replay takes the layer from the store; nil says that its table is not there.
func (p *Puller) replay(ctx context.Context, desc oci.Descriptor) Entries {
	kind := stock.Table
	raw, ok := p.Stock.Get(kind, desc.Digest)
	if !ok && p.Tables {
		kind = stock.Claim
		raw, ok = p.Stock.Get(kind, desc.Digest)
	}
	if !ok {
		return nil
	}
	a := &assembly{keep: kept{table: raw, claim: kind == stock.Claim}, known: true}
	var err error
	if a.table, err = toc.ParseTable(raw); err != nil {
		p.Stock.Drop(kind, desc.Digest)
		return nil
	}
	if a.table.Format() == byte(published.Frames) {
		if l, err := published.Load(desc, raw); err == nil {
			a.layer, a.ranges, a.plan = l, p.client.Ranges(p.ref, desc), p.plan(l)
		}
	}
	return p.assemble(ctx, desc, a)
}

// patch reads the published table, and fetches by it what the store lacks; or
// the whole blob, where that comes to the same.
func (p *Puller) patch(ctx context.Context, desc oci.Descriptor) (Entries, error) {
	ranges := p.client.Ranges(p.ref, desc)
	var fetched int64
	var failed error // of the registry
	l, err := published.Open(desc, func(offset, length int64) ([]byte, error) {
		var b []byte
		b, failed = ranges.Read(ctx, registry.Span{Offset: offset, Length: length})
		fetched += int64(len(b))
		return b, failed
	})
	switch {
	case failed != nil && !errors.Is(failed, registry.ErrNoRanges) && !errors.Is(failed, registry.ErrTooLarge):
		ranges.Close()
		return nil, failed
	case err != nil, !usable(l):
		// The registry has no ranges, or the table is of no use: the archive
		// is what counts.
		return p.recorded(ctx, desc, ranges, nil)
	}
	plan := p.plan(l)
	if plan.saved < fetched+worthwhile || p.isRefuted(desc) {
		return p.recorded(ctx, desc, ranges, l)
	}
	a := &assembly{table: l.Table(), layer: l, ranges: ranges, plan: plan, keep: kept{claim: true}, fetched: fetched}
	if l.Format() == published.Frames {
		a.keep.table = l.Raw()
		return p.assemble(ctx, desc, a), nil
	}
	a.foreign = true
	r := newRecord(p, desc, p.assemble(ctx, desc, a))
	r.from, r.keep.pieces = a, l.Raw()
	return r, nil
}

// usable says whether chunks can be fetched and, where they are to be the
// store's own, kept as they are published.
func usable(l *published.Layer) bool {
	return !slices.ContainsFunc(l.Table().Chunks(), func(c toc.Chunk) bool {
		return c.Length > registry.MaxSpan || l.Format() == published.Frames && c.Size > chunk.MaxSize
	})
}

// worthwhile is how many bytes the store must save beyond those of the table:
// the archive tells more certainly than a table what a layer is.
const worthwhile = 64 << 10

// verify holds the content of a chunk against its ID.
func verify(content []byte, id toc.ID) error {
	if chunk.IDOf(content) != id {
		return fmt.Errorf("a chunk is not the one with ID %x", id)
	}
	return nil
}
