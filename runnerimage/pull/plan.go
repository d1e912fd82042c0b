package pull

import (
	"slices"
	"sort"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// plan is how a published layer can be had with the fewest bytes.
type plan struct {
	// spans of the blob are to be fetched, in their order.
	spans []registry.Span
	// regions are the chunks that other layers hold, by their index.
	regions map[int]region
	// saved is how many bytes of the blob need not be fetched, because the
	// store has what they hold.
	saved int64
}

// plan finds out which chunks of a published layer are to be fetched.
func (p *Puller) plan(l *published.Layer) plan {
	var result plan
	if l.Format() != published.Frames {
		result.regions = p.regions(l)
	}
	var last, planned registry.Span
	for i, c := range l.Table().Chunks() {
		at := registry.Span{Offset: c.Offset, Length: c.Length}
		if at.Length == 0 {
			continue
		}
		if at != last { // several chunks may be in one
			result.saved += at.Length
		}
		last = at
		_, has := result.regions[i]
		has = has || l.Format() == published.Frames && p.Stock.Has(c.ID)
		// One that steps back is fetched when its turn comes.
		if !has && at.Offset >= planned.Offset+planned.Length {
			result.saved -= at.Length
			result.spans, planned = append(result.spans, at), at
		}
	}
	return result
}

// region is where the content of a publisher's piece stands in the content
// stream of another layer that the store has, whose own chunks are cut
// differently.
type region struct {
	in     *neighbour
	offset int64
}

// neighbour is that layer.
type neighbour struct {
	chunks []toc.Chunk
	ends   []int64 // of the chunks, in the content stream
	// open is the chunk that was read last: pieces that follow each other are
	// mostly in the same one.
	open    int
	content []byte
}

// mostNeighbours bounds how many layers are looked at for pieces.
const mostNeighbours = 32

// regions finds the pieces of a layer that other layers of the store have.
func (p *Puller) regions(l *published.Layer) map[int]region {
	wanted := map[toc.ID][]int{}
	for i, c := range l.Table().Chunks() {
		wanted[c.ID] = append(wanted[c.ID], i)
	}
	found := map[int]region{}
	others := p.Stock.Others(stock.Pieces)
	for _, digest := range others[:min(len(others), mostNeighbours)] {
		if len(wanted) == 0 {
			break
		}
		pieces := p.table(stock.Pieces, digest)
		in := p.neighbour(digest)
		if pieces == nil || in == nil {
			continue
		}
		var offset int64
		for _, c := range pieces.Chunks() {
			if list := wanted[c.ID]; list != nil && in.has(p.Stock, offset, c.Size) {
				for _, i := range list {
					found[i] = region{in, offset}
				}
				delete(wanted, c.ID)
			}
			offset += c.Size
		}
	}
	return found
}

// table reads a table of the store; nil if there is none.
func (p *Puller) table(kind stock.Kind, digest oci.Digest) *toc.Table {
	raw, ok := p.Stock.Get(kind, digest)
	if !ok {
		return nil
	}
	table, err := toc.ParseTable(raw)
	if err != nil {
		return nil
	}
	return table
}

// neighbour reads how a layer's own chunks are cut.
func (p *Puller) neighbour(digest oci.Digest) *neighbour {
	table := p.table(stock.Table, digest)
	if table == nil {
		// Pieces are verified when they are read: a claim does no harm.
		table = p.table(stock.Claim, digest)
	}
	if table == nil {
		return nil
	}
	n := &neighbour{chunks: slices.Clone(table.Chunks()), open: -1}
	var end int64
	for _, c := range n.chunks {
		end += c.Size
		n.ends = append(n.ends, end)
	}
	return n
}

// at returns the index of the chunk that has the byte at offset.
func (n *neighbour) at(offset int64) int {
	return sort.Search(len(n.ends), func(i int) bool { return n.ends[i] > offset })
}

// has says whether the store has all of a region.
func (n *neighbour) has(s *stock.Stock, offset, size int64) bool {
	for i := n.at(offset); i < len(n.chunks); i++ {
		if !s.Has(n.chunks[i].ID) {
			return false
		}
		if n.ends[i] >= offset+size {
			return true
		}
	}
	return size == 0
}

// read appends the content of a piece to buf, which is empty.
func (r region) read(s *stock.Stock, buf []byte, c toc.Chunk) ([]byte, error) {
	n, offset := r.in, r.offset
	for left := c.Size; left > 0; {
		i := n.at(offset)
		if err := n.load(s, i); err != nil {
			return nil, err
		}
		start := n.ends[i] - n.chunks[i].Size
		part := n.content[offset-start:]
		part = part[:min(int64(len(part)), left)]
		buf = append(buf, part...)
		offset, left = offset+int64(len(part)), left-int64(len(part))
	}
	return buf, verify(buf, c.ID)
}

func (n *neighbour) load(s *stock.Stock, i int) error {
	if n.open == i {
		return nil
	}
	n.open = -1
	if i == len(n.chunks) {
		return ErrNotStored
	}
	content, err := s.Chunk(n.content[:0], n.chunks[i].ID, n.chunks[i].Size)
	if err == nil {
		n.content, n.open = content, i
	}
	return err
}
