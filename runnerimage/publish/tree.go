package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// maxDepth is how deep indexes may be nested, which is rare.
	maxDepth = 4
	// maxNodes is how many documents one image may consist of, and maxBytes how
	// long they may be together: all are in memory.
	maxNodes = 2000
	maxBytes = 64 << 20
)

// node is a document with what it refers to. Exactly one of the three holds:
// it is an index and has children, it is an image, or it is an artifact.
type node struct {
	doc    document
	fields object

	// children are an index's entries, in their order; entries their
	// descriptors, and objects the same undecoded.
	children []*node
	entries  []oci.Descriptor
	objects  []object
	// restricted says that they are not all that the document lists.
	restricted bool

	image *image
	// artifact lists the blobs of something that is no image of a platform: an
	// attestation, a signature, a chart.
	artifact []oci.Descriptor
}

// image is an image of one platform.
type image struct {
	platform oci.Platform
	config   oci.Descriptor
	layers   []layer
	objects  []object // the layers' descriptors undecoded
}

// layer is a layer as the source has it.
type layer struct {
	desc   oci.Descriptor
	diffID oci.Digest
}

// layerKey tells layers apart that may have different outcomes.
type layerKey struct{ digest, diffID oci.Digest }

func (l layer) key() layerKey { return layerKey{l.desc.Digest, l.diffID} }

// Media types that go-containerregistry does not name.
const (
	dockerZstdLayer         types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	ociRestrictedZstdLayer  types.MediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
	ociArtifactManifest     types.MediaType = "application/vnd.oci.artifact.manifest.v1+json"
	attestationType                         = "attestation-manifest"
	annotationReferenceType                 = "vnd.docker.reference.type"
)

// isLayer tells layers from the other things that manifests list.
func isLayer(mediaType types.MediaType) bool {
	return mediaType.IsLayer() || mediaType == dockerZstdLayer || mediaType == ociRestrictedZstdLayer
}

// foreign layers are not to be distributed: Windows has them.
func (l layer) foreign() bool {
	return !l.desc.MediaType.IsDistributable() || l.desc.MediaType == ociRestrictedZstdLayer
}

// reader reads the documents and configs of an image.
type reader struct {
	origin origin
	// platform, if not nil, is the only one to read of an index.
	platform *oci.Platform
	nodes    int
	bytes    int
}

// readTree reads all documents and configs that the origin's name stands for.
func readTree(ctx context.Context, o origin, platform *oci.Platform) (*node, error) {
	r := reader{origin: o, platform: platform}
	doc, err := o.root(ctx)
	if err != nil {
		return nil, err
	}
	return r.node(ctx, doc, oci.Descriptor{}, 0)
}

func (r *reader) node(ctx context.Context, doc document, entry oci.Descriptor, depth int) (*node, error) {
	r.nodes++
	r.bytes += len(doc.raw)
	if r.nodes > maxNodes || r.bytes > maxBytes {
		return nil, fmt.Errorf("%w: it consists of more than %d manifests or %d bytes of them", registry.ErrTooLarge, maxNodes, maxBytes)
	}
	fields, err := doc.fields()
	if err != nil {
		return nil, err
	}
	n := &node{doc: doc, fields: fields}
	switch {
	case doc.mediaType.IsIndex():
		return n, r.index(ctx, n, depth)
	case entry.Annotations[annotationReferenceType] == attestationType || !doc.mediaType.IsImage():
		return n, n.readArtifact()
	}
	return n, r.image(ctx, n, entry.Platform)
}

func (r *reader) index(ctx context.Context, n *node, depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("%w: an index within more than %d others", registry.ErrUnsupported, maxDepth)
	}
	var err error
	if n.objects, n.entries, err = n.fields.descriptors("manifests"); err != nil {
		return err
	}
	if err := r.restrict(n); err != nil {
		return err
	}
	for _, entry := range n.entries {
		doc := document{mediaType: entry.MediaType}
		if isDocument(entry.MediaType) {
			if doc, err = r.origin.child(ctx, entry); err != nil {
				return err
			}
			child, err := r.node(ctx, doc, entry, depth+1)
			if err != nil {
				return fmt.Errorf("%s: %w", entry.Digest, err)
			}
			n.children = append(n.children, child)
			continue
		}
		// An index may list blobs.
		n.children = append(n.children, &node{doc: doc, artifact: []oci.Descriptor{entry}})
	}
	return nil
}

// isDocument tells manifests from blobs in an index. A registry takes no
// others for manifests.
func isDocument(mediaType types.MediaType) bool {
	return mediaType == "" || mediaType.IsIndex() || mediaType.IsImage() || mediaType.IsSchema1() || mediaType == ociArtifactManifest
}

// restrict leaves of an index the entry for the platform, and what refers to
// that one.
func (r *reader) restrict(n *node) error {
	if r.platform == nil {
		return nil
	}
	chosen, err := oci.Choose(&oci.Index{Manifests: n.entries}, *r.platform)
	if err != nil {
		return err
	}
	var entries []oci.Descriptor
	var objects []object
	for i, entry := range n.entries {
		// The pointer tells entries apart that list one manifest twice.
		itself := entry.Digest == chosen.Digest && entry.Platform == chosen.Platform
		if itself || entry.Annotations[annotationReference] == chosen.Digest.String() {
			entries, objects = append(entries, entry), append(objects, n.objects[i])
		}
	}
	if len(entries) < len(n.entries) {
		n.entries, n.objects, n.restricted = entries, objects, true
	}
	return nil
}

// image reads an image. listed is the platform that an index gives to it, which
// comes before the config's own.
func (r *reader) image(ctx context.Context, n *node, listed *oci.Platform) error {
	objects, descs, err := n.fields.descriptors("layers")
	if err != nil {
		return err
	}
	i := &image{objects: objects}
	if err := n.fields.get("config", &i.config); err != nil {
		return err
	}
	if !i.config.MediaType.IsConfig() || slices.ContainsFunc(descs, func(d oci.Descriptor) bool { return !isLayer(d.MediaType) }) {
		return n.readArtifact()
	}
	if isHollow(i.config) {
		return fmt.Errorf("%w: the manifest has a config without digest or with a negative size", registry.ErrUnsupported)
	}
	config, err := r.config(ctx, i.config)
	if err != nil {
		return fmt.Errorf("config %s: %w", i.config.Digest, err)
	}
	if len(config.RootFS.DiffIDs) != len(descs) {
		return fmt.Errorf("%w: the manifest has %d layers and the config %d diff IDs", registry.ErrMismatch, len(descs), len(config.RootFS.DiffIDs))
	}
	i.platform = oci.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant, OSVersion: config.OSVersion}
	if listed != nil && listed.OS != "" {
		i.platform = *listed
	}
	for at, desc := range descs {
		i.layers = append(i.layers, layer{desc, config.RootFS.DiffIDs[at]})
	}
	n.image = i
	return nil
}

func (r *reader) config(ctx context.Context, desc oci.Descriptor) (*oci.Config, error) {
	blob, err := r.origin.blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	raw, err := readDocument(blob)
	if err != nil {
		return nil, err
	}
	config := new(oci.Config)
	if err := json.Unmarshal(raw, config); err != nil {
		return nil, fmt.Errorf("%w: it is not JSON of the known form: %w", registry.ErrUnsupported, err)
	}
	return config, nil
}

// readArtifact lists the blobs of an artifact.
func (n *node) readArtifact() error {
	n.artifact = []oci.Descriptor{}
	if _, ok := n.fields["config"]; ok {
		var config oci.Descriptor
		if err := n.fields.get("config", &config); err != nil {
			return err
		}
		if isHollow(config) {
			return fmt.Errorf("%w: the manifest has a config without digest or with a negative size", registry.ErrUnsupported)
		}
		n.artifact = append(n.artifact, config)
	}
	for _, list := range []string{"layers", "blobs"} {
		_, descs, err := n.fields.descriptors(list)
		if err != nil {
			return err
		}
		n.artifact = append(n.artifact, descs...)
	}
	return nil
}

// images lists the images of the tree, in its order.
func (n *node) images() []*node {
	if n.image != nil {
		return []*node{n}
	}
	var all []*node
	for _, child := range n.children {
		all = append(all, child.images()...)
	}
	return all
}
