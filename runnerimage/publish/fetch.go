package publish

import (
	"context"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// contents is what a published layer's blob holds.
type contents struct {
	pieces []piece
	table  int64 // bytes of the table of contents
}

// piece is a chunk, and how many bytes of the blob it takes: none for zeros.
type piece struct {
	id   toc.ID
	size int64
}

func contentsOf(table *toc.Table) (*contents, error) {
	encoded, err := table.Bytes() // as the blob holds them
	if err != nil {
		return nil, err
	}
	c := &contents{table: int64(len(encoded))}
	for _, has := range table.Chunks() {
		c.pieces = append(c.pieces, piece{has.ID, has.Length})
	}
	return c, nil
}

// readContents reads the table of contents of a published blob.
func readContents(ctx context.Context, from remote, desc oci.Descriptor) (*contents, error) {
	layer, err := published.Open(desc, func(offset, size int64) ([]byte, error) {
		return from.span(ctx, desc, offset, size)
	})
	if err != nil {
		return nil, err
	}
	return contentsOf(layer.Table())
}

// client is what somebody has in store who has pulled the image before.
type client struct {
	// blobs are those of its layers; diffs the layers whose chunks are not
	// listed here: only a published one lists its own.
	blobs, diffs map[oci.Digest]bool
	chunks       map[toc.ID]bool
}

func clientOf(before *image) *client {
	c := &client{blobs: map[oci.Digest]bool{}, diffs: map[oci.Digest]bool{}, chunks: map[toc.ID]bool{}}
	for _, l := range before.layers {
		c.blobs[l.desc.Digest] = true
		if !isPublished(l.desc) {
			c.diffs[l.diffID] = true
		}
	}
	return c
}

// hasAll reports whether the client has every blob of the layers.
func (c *client) hasAll(layers []layer, outcomes map[layerKey]*outcome) bool {
	return !slices.ContainsFunc(layers, func(l layer) bool { return !c.blobs[outcomes[l.key()].desc.Digest] })
}

// readChunks lists the chunks of the published layers.
func (c *client) readChunks(ctx context.Context, from remote, before *image) error {
	for _, l := range before.layers {
		if !isPublished(l.desc) {
			continue
		}
		has, err := readContents(ctx, from, l.desc)
		if err != nil {
			return err
		}
		for _, piece := range has.pieces {
			c.chunks[piece.id] = true
		}
	}
	return nil
}

// fetch is what the client fetches of a layer, which it has from then on.
func (c *client) fetch(l layer, holds *contents) Fetch {
	f := Fetch{Bytes: holds.table}
	for _, piece := range holds.pieces {
		if piece.size > 0 && !c.chunks[piece.id] && !c.diffs[l.diffID] {
			f.Chunks++
			f.Bytes += piece.size
		}
		c.chunks[piece.id] = true
	}
	return f
}

// fetches tells, layer by layer, what a client of the image before fetches of
// the image now.
func (p *publisher) fetches(ctx context.Context, now, before *image, outcomes map[layerKey]*outcome) ([]Fetch, error) {
	list := make([]Fetch, len(now.layers))
	client := clientOf(before)
	if client.hasAll(now.layers, outcomes) {
		return list, nil
	}
	if err := client.readChunks(ctx, p.previous.origin, before); err != nil {
		return nil, err
	}
	for i, l := range now.layers {
		made := outcomes[l.key()]
		switch {
		case client.blobs[made.desc.Digest]:
		case !isPublished(made.desc):
			list[i].Bytes = made.desc.Size
		default:
			holds, err := p.contentsOf(ctx, made)
			if err != nil {
				return nil, err
			}
			list[i] = client.fetch(l, holds)
		}
	}
	return list, nil
}

// contentsOf is what a layer in the target holds.
func (p *publisher) contentsOf(ctx context.Context, o *outcome) (*contents, error) {
	if o.contents != nil {
		return o.contents, nil
	}
	return readContents(ctx, remote{p.access.targets, p.target}, o.desc)
}
