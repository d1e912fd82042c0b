package registry

import (
	"context"
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Shelf keeps documents (indexes, manifests and configs) that were verified, by
// digest. It need not keep what it is given, nor be trusted: what it returns is
// verified again, and wrong bytes count as none. It is called by many
// goroutines, and neither side changes the bytes afterwards.
//
// Whoever is let through to one document gets those that it names by digest,
// whichever image brought them to the shelf.
type Shelf interface {
	Document(digest oci.Digest) ([]byte, bool)
	Keep(digest oci.Digest, raw []byte)
}

// Stored is the image that Resolve has once found for ref and platform, from
// the shelf alone: nobody is asked, so nobody says whether it may be had.
// digest is the image's Named. What is missing is an ErrNotStored.
func (c *Client) Stored(ref oci.Reference, digest oci.Digest, platform oci.Platform) (*Image, error) {
	if want, ok := ref.Digest(); ok && want != digest {
		return nil, fmt.Errorf("%s: %w: it does not name %s", ref, ErrMismatch, digest)
	}
	ctx, from := context.Background(), stored{c.shelf}
	named, err := from.linked(ctx, ref, oci.Descriptor{Digest: digest, Size: -1})
	if err != nil {
		return nil, err
	}
	return assemble(ctx, from, ref, named, platform)
}

// keep puts a document on the shelf, unless it would be another one there.
func (c *Client) keep(doc *document) {
	if c.shelf != nil && doc.tellsItself() {
		c.shelf.Keep(doc.digest, doc.raw)
	}
}

// stored reads a shelf, which may be nil.
type stored struct{ shelf Shelf }

// bytes are those that desc describes; size -1 is not known.
func (s stored) bytes(desc oci.Descriptor) ([]byte, bool) {
	if s.shelf == nil {
		return nil, false
	}
	raw, ok := s.shelf.Document(desc.Digest)
	if !ok || len(raw) > maxDocument || desc.Size >= 0 && int64(len(raw)) != desc.Size {
		return nil, false
	}
	digest, err := digestOf(raw, desc.Digest.Algorithm)
	return raw, err == nil && digest == desc.Digest
}

// document is the index or manifest that desc describes.
func (s stored) document(desc oci.Descriptor) (*document, bool) {
	raw, ok := s.bytes(desc)
	if !ok {
		return nil, false
	}
	doc := &document{raw: raw, digest: desc.Digest}
	return doc, doc.parse() == nil
}

func (s stored) linked(_ context.Context, ref oci.Reference, desc oci.Descriptor) (*document, error) {
	if doc, ok := s.document(desc); ok {
		return doc, nil
	}
	return nil, fmt.Errorf("%s: %w: manifest %s is missing", ref, ErrNotStored, desc.Digest)
}

func (s stored) config(_ context.Context, ref oci.Reference, desc oci.Descriptor) ([]byte, error) {
	if raw, ok := s.bytes(desc); ok {
		return raw, nil
	}
	return nil, fmt.Errorf("%s: %w: config %s is missing", ref, ErrNotStored, desc.Digest)
}
