package registry

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is what a reference stands for on one platform. Its layers are
// Manifest.Layers; Config lists as many diff IDs.
type Image struct {
	// Reference is what was asked for.
	Reference oci.Reference
	// Digest is that of the platform's manifest.
	Digest oci.Digest
	// IndexDigest is that of the index which the reference names, and zero
	// where it names a manifest.
	IndexDigest oci.Digest
	// Index is that index, or nil.
	Index *oci.Index

	Manifest *oci.Manifest
	Config   *oci.Config

	// RawManifest and RawConfig are the verified bytes.
	RawManifest, RawConfig []byte
}

// Named is the digest of what the reference names: the index, or the manifest
// where there is none. Stored finds the image by it.
func (i *Image) Named() oci.Digest {
	if i.IndexDigest != (oci.Digest{}) {
		return i.IndexDigest
	}
	return i.Digest
}

// Resolve asks for the index or manifest that ref names, chooses the
// platform's from an index, and gets the config; all of it verified. What ref
// names is asked for always, by digest too, as that is how the registry says
// who may have it; what it leads to comes from the shelf as far as that has it.
// Where ref names a manifest and no index, it is taken whatever its platform,
// as Docker does: see oci.Runs.
func (c *Client) Resolve(ctx context.Context, ref oci.Reference, platform oci.Platform) (*Image, error) {
	named, err := c.named(ctx, ref, (*document).parse)
	if err != nil {
		return nil, err
	}
	c.keep(named)
	return assemble(ctx, c, ref, named, platform)
}

// Document gets the index or manifest that ref names, whatever it describes:
// its bytes, verified where ref has a digest, and the media type that the
// registry says it has.
func (c *Client) Document(ctx context.Context, ref oci.Reference) (raw []byte, mediaType types.MediaType, err error) {
	doc, err := c.named(ctx, ref, func(*document) error { return nil })
	if err != nil {
		return nil, "", err
	}
	return doc.raw, doc.header, nil
}

// named gets what ref names.
func (c *Client) named(ctx context.Context, ref oci.Reference, check func(*document) error) (*document, error) {
	identifier := ref.Tag()
	want := oci.Descriptor{Size: -1}
	if digest, ok := ref.Digest(); ok {
		want.Digest, identifier = digest, digest.String()
	}
	return c.document(ctx, ref, identifier, want, check)
}

// origin is where an image's documents come from: the registry or the shelf.
type origin interface {
	linked(ctx context.Context, ref oci.Reference, desc oci.Descriptor) (*document, error)
	config(ctx context.Context, ref oci.Reference, desc oci.Descriptor) ([]byte, error)
}

// assemble follows the document that ref names to the platform's image.
func assemble(ctx context.Context, from origin, ref oci.Reference, named *document, platform oci.Platform) (*Image, error) {
	image := &Image{Reference: ref}
	if named.index != nil {
		image.IndexDigest, image.Index = named.digest, named.index
	}
	doc, err := choose(ctx, from, ref, named, platform)
	if err != nil {
		return nil, err
	}
	image.Digest, image.Manifest, image.RawManifest = doc.digest, doc.manifest, doc.raw

	if image.RawConfig, err = from.config(ctx, ref, doc.manifest.Config); err != nil {
		return nil, err
	}
	if image.Config, err = v1.ParseConfigFile(strings.NewReader(string(image.RawConfig))); err != nil {
		return nil, fmt.Errorf("%s: %w: its config is not JSON of the known form: %w", ref, ErrUnsupported, err)
	}
	if layers, ids := len(image.Manifest.Layers), len(image.Config.RootFS.DiffIDs); layers != ids {
		return nil, fmt.Errorf("%s: %w: the manifest has %d layers and the config %d diff IDs", ref, ErrMismatch, layers, ids)
	}
	return image, nil
}

// choose is the platform's manifest. An index of indexes is rare, but the
// specification allows it.
func choose(ctx context.Context, from origin, ref oci.Reference, doc *document, platform oci.Platform) (*document, error) {
	const mostIndexes = 4
	for range mostIndexes {
		if doc.index == nil {
			return doc, nil
		}
		desc, err := oci.Choose(doc.index, platform)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		if doc, err = from.linked(ctx, ref, desc); err != nil {
			return nil, err
		}
	}
	if doc.index != nil {
		return nil, fmt.Errorf("%s: %w: an index within %d others", ref, ErrUnsupported, mostIndexes)
	}
	return doc, nil
}

// linked gets an index or manifest that an index lists.
func (c *Client) linked(ctx context.Context, ref oci.Reference, desc oci.Descriptor) (*document, error) {
	if doc, ok := (stored{c.shelf}).document(desc); ok {
		return doc, nil
	}
	doc, err := c.document(ctx, ref, desc.Digest.String(), desc, (*document).parse)
	if err == nil {
		c.keep(doc)
	}
	return doc, err
}

// document gets one index or manifest, from a mirror if one has it. want is its
// descriptor, as far as it is known: digest zero or size -1 is not. check says
// whether it is fit for use.
func (c *Client) document(ctx context.Context, ref oci.Reference, identifier string, want oci.Descriptor, check func(*document) error) (*document, error) {
	get := func(from place) (*document, error) {
		doc, err := c.getDocument(ctx, from, identifier, want)
		if err == nil {
			err = check(doc)
		}
		return doc, err
	}
	var missed []string
	places := c.places(ref)
	own := places[len(places)-1]
	for _, mirror := range places[:len(places)-1] {
		doc, err := get(mirror)
		if err == nil {
			return doc, nil
		}
		if ctx.Err() != nil {
			return nil, c.explain(ctx, mirror, err)
		}
		missed = append(missed, c.missedMirror(mirror, err))
	}
	tries := patience{client: c, place: func() place { return own }}
	for {
		doc, err := get(own)
		if err == nil {
			return doc, nil
		}
		if err := tries.wait(ctx, err); err != nil {
			return nil, withMirrors(fmt.Errorf("resolve %s: %w", ref, err), missed)
		}
	}
}

// config gets a config blob.
func (c *Client) config(ctx context.Context, ref oci.Reference, desc oci.Descriptor) ([]byte, error) {
	if desc.Size > maxDocument {
		return nil, fmt.Errorf("%s: %w: a config of %d bytes, the limit is %d", ref, ErrTooLarge, desc.Size, maxDocument)
	}
	if raw, ok := (stored{c.shelf}).bytes(desc); ok {
		return raw, nil
	}
	blob, err := c.newBlob(ctx, c.newSource(ref, desc), Mark{}, func(int64) {})
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer blob.Close()
	raw, err := io.ReadAll(blob)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if c.shelf != nil {
		c.shelf.Keep(desc.Digest, raw)
	}
	return raw, nil
}
