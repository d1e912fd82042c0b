package pull

import (
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/stock"
)

// kept is what the store gets when a layer is complete.
type kept struct {
	// table is the layer's in the store's own cut, pieces that in its
	// publisher's, where that is another one.
	table, pieces []byte
	// claim says that nobody has held the table against the archive.
	claim bool
}

// keep puts the tables into the store, in which all chunks are.
func (p *Puller) keep(desc oci.Descriptor, k kept) {
	if k.claim {
		p.Stock.Put(stock.Claim, desc.Digest, k.table)
	} else {
		p.Stock.Put(stock.Table, desc.Digest, k.table)
		p.Stock.Drop(stock.Claim, desc.Digest)
	}
	if k.pieces != nil {
		p.Stock.Put(stock.Pieces, desc.Digest, k.pieces)
	}
	p.Stock.Drop(stock.Resume, desc.Digest)
}

// refuted makes an ErrTable of the difference between a layer's archive and its
// published table, and remembers it: the next run must not come to believe the
// table because the store has all chunks by now.
func (p *Puller) refuted(desc oci.Descriptor, difference error) error {
	p.Stock.Put(stock.Refuted, desc.Digest, nil)
	p.Stock.Drop(stock.Claim, desc.Digest)
	return fmt.Errorf("%w: %s: %w", ErrTable, desc.Digest, difference)
}

// isRefuted says whether a layer's published table was found to be wrong.
func (p *Puller) isRefuted(desc oci.Descriptor) bool {
	_, found := p.Stock.Get(stock.Refuted, desc.Digest)
	return found
}

// forget removes the tables that the store has of a layer.
func (p *Puller) forget(desc oci.Descriptor) {
	for _, kind := range []stock.Kind{stock.Table, stock.Claim, stock.Resume} {
		p.Stock.Drop(kind, desc.Digest)
	}
}
