package pull

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// claim is a published table that a layer is held against while it is read
// from its archive.
type claim struct {
	layer *published.Layer
	// The content stream, cut as the table says.
	next int // piece
	hash hash.Hash
	left int64 // of the piece
	err  error
}

func newClaim(l *published.Layer) *claim {
	c := &claim{layer: l, hash: sha256.New()}
	c.begin()
	return c
}

// begin makes the next piece with content the current one.
func (c *claim) begin() {
	for chunks := c.layer.Table().Chunks(); c.next < len(chunks); c.next++ {
		if c.left = chunks[c.next].Size; c.left > 0 {
			return
		}
	}
}

// Write takes the next content of the archive. It fails never: end tells.
func (c *claim) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && c.err == nil {
		if c.left == 0 {
			c.err = errors.New("the archive has more content")
			break
		}
		part := p[:min(int64(len(p)), c.left)]
		c.hash.Write(part)
		p, c.left = p[len(part):], c.left-int64(len(part))
		if c.left == 0 {
			c.endPiece()
		}
	}
	return n, nil
}

func (c *claim) endPiece() {
	var sum toc.ID
	c.hash.Sum(sum[:0])
	c.hash.Reset()
	if id := c.layer.Table().Chunks()[c.next].ID; !bytes.Equal(id[:], sum[:]) {
		c.err = fmt.Errorf("chunk %d has the ID %x and not %x", c.next, sum, id)
	}
	c.next++
	c.begin()
}

// end says whether the archive, whose table is given, is what was claimed.
func (c *claim) end(archive *toc.Table) error {
	if c.err == nil && c.left > 0 {
		c.err = errors.New("the archive has less content")
	}
	if c.err == nil {
		c.err = c.layer.Same(archive)
	}
	return c.err
}

// hasCutOf says whether the publisher has cut the content as it is cut here:
// only then the store has the chunks of the publisher's table.
func (c *claim) hasCutOf(archive *toc.Table) bool {
	return slices.EqualFunc(c.layer.Table().Chunks(), archive.Chunks(), func(a, b toc.Chunk) bool { return a.ID == b.ID })
}
