package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// previous is the version that clients have. A nil one has nothing.
type previous struct {
	origin remote // bound to its digest
	images []*node
	// layers are the published ones by their diff IDs.
	layers map[oci.Digest]oci.Descriptor
}

// readPrevious reads the version that ref names, or if that is the zero
// Reference, what the target holds. The latter may be anything or nothing.
func readPrevious(ctx context.Context, a *access, target, ref oci.Reference) (*previous, error) {
	named := ref != (oci.Reference{})
	if !named {
		ref = target
	}
	tree, err := readTree(ctx, remote{a.targets, ref}, nil)
	switch {
	case err != nil && (named || ctx.Err() != nil || errors.Is(err, registry.ErrUnreachable)):
		return nil, fmt.Errorf("previous version: %w", err)
	case err != nil:
		return nil, nil
	}
	p := &previous{origin: remote{a.targets, ref.WithDigest(tree.doc.digest())}, images: tree.images(), layers: map[oci.Digest]oci.Descriptor{}}
	for _, n := range p.images {
		for _, l := range n.image.layers {
			if isPublished(l.desc) {
				p.layers[l.diffID] = l.desc
			}
		}
	}
	return p, nil
}

func (p *previous) layer(diffID oci.Digest) (oci.Descriptor, bool) {
	if p == nil {
		return oci.Descriptor{}, false
	}
	desc, ok := p.layers[diffID]
	return desc, ok
}

// image finds the image for the same platform.
func (p *previous) image(platform oci.Platform) *node {
	if p == nil {
		return nil
	}
	for _, n := range p.images {
		if n.image.platform.Equals(platform) {
			return n
		}
	}
	return nil
}
