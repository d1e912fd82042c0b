package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxDocument is the largest manifest, index or config that is read.
const maxDocument = 16 << 20

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

// Resolve asks for the manifest of ref, chooses the platform's from an index,
// and fetches the config; all of it verified. Where ref names a manifest and no
// index, it is taken whatever its platform, as Docker does: see oci.Runs.
func (c *Client) Resolve(ctx context.Context, ref oci.Reference, platform oci.Platform) (*Image, error) {
	image := &Image{Reference: ref}
	identifier := ref.Tag()
	want := oci.Descriptor{Size: -1}
	if digest, ok := ref.Digest(); ok {
		want.Digest, identifier = digest, digest.String()
	}
	doc, err := c.document(ctx, ref, identifier, want)
	if err != nil {
		return nil, err
	}
	// An index of indexes is rare, but the specification allows it.
	const mostIndexes = 4
	for depth := 0; doc.index != nil; depth++ {
		if depth == mostIndexes {
			return nil, fmt.Errorf("%s: %w: an index within more than %d others", ref, ErrUnsupported, mostIndexes)
		}
		if depth == 0 {
			image.IndexDigest, image.Index = doc.digest, doc.index
		}
		desc, err := oci.Choose(doc.index, platform)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		if doc, err = c.document(ctx, ref, desc.Digest.String(), desc); err != nil {
			return nil, err
		}
	}
	image.Digest, image.Manifest, image.RawManifest = doc.digest, doc.manifest, doc.raw

	if image.RawConfig, err = c.config(ctx, ref, doc.manifest.Config); err != nil {
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

// document is an index or a manifest.
type document struct {
	raw      []byte
	digest   oci.Digest
	index    *oci.Index
	manifest *oci.Manifest
}

// document gets one index or manifest, from a mirror if one has it. want is its
// descriptor, as far as it is known: digest zero or size -1 is not.
func (c *Client) document(ctx context.Context, ref oci.Reference, identifier string, want oci.Descriptor) (*document, error) {
	var missed []string
	places := c.places(ref)
	own := places[len(places)-1]
	for _, mirror := range places[:len(places)-1] {
		doc, err := c.getDocument(ctx, mirror, identifier, want)
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
		doc, err := c.getDocument(ctx, own, identifier, want)
		if err == nil {
			return doc, nil
		}
		if err := tries.wait(ctx, err); err != nil {
			return nil, withMirrors(fmt.Errorf("resolve %s: %w", ref, err), missed)
		}
	}
}

// missedMirror says why a mirror was passed over, and marks one that nobody
// answers at.
func (c *Client) missedMirror(p place, err error) string {
	if _, kind := c.judge(p, err); kind == ErrUnreachable {
		if _, answered := asAnswer(err); !answered {
			c.setDown(p.host)
		}
	}
	return fmt.Sprintf("mirror %s: %s", p, c.words(err))
}

func withMirrors(err error, missed []string) error {
	if len(missed) == 0 {
		return err
	}
	return fmt.Errorf("%w; before that, %s", err, strings.Join(missed, ", "))
}

var manifestTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}, ", ")

func (c *Client) getDocument(ctx context.Context, p place, identifier string, want oci.Descriptor) (*document, error) {
	resp, _, err := c.get(ctx, p, p.url("manifests", identifier), http.Header{"Accept": {manifestTypes}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, newAnswerError(resp)
	}
	if max(resp.ContentLength, want.Size) > maxDocument {
		return nil, fmt.Errorf("%w: a manifest of %d bytes, the limit is %d", ErrTooLarge, max(resp.ContentLength, want.Size), maxDocument)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("%w: a manifest of more than %d bytes", ErrTooLarge, maxDocument)
	}
	if want.Size >= 0 && int64(len(raw)) != want.Size {
		return nil, fmt.Errorf("%w: manifest %s has %d bytes, its descriptor says %d", ErrMismatch, identifier, len(raw), want.Size)
	}
	if want.Digest == (oci.Digest{}) {
		// What the registry claims protects against faults on the way.
		want.Digest, _ = oci.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
	}
	doc := &document{raw: raw}
	if doc.digest, err = digestOf(raw, want.Digest.Algorithm); err != nil {
		return nil, err
	}
	if want.Digest != (oci.Digest{}) && doc.digest != want.Digest {
		return nil, fmt.Errorf("%w: the manifest's bytes have digest %s, not %s", ErrMismatch, doc.digest, want.Digest)
	}
	return doc, doc.parse(resp.Header.Get("Content-Type"))
}

// digestOf is the digest of raw by the algorithm, sha256 if none is named.
func digestOf(raw []byte, algorithm string) (oci.Digest, error) {
	if algorithm == "" {
		algorithm = "sha256"
	}
	hasher, err := v1.Hasher(algorithm)
	if err != nil {
		return oci.Digest{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	hasher.Write(raw)
	return oci.Digest{Algorithm: algorithm, Hex: fmt.Sprintf("%x", hasher.Sum(nil))}, nil
}

// parse finds out what the document is and checks what others rely on. The
// type that it names itself comes before the registry's header.
func (d *document) parse(contentType string) error {
	var probe struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := json.Unmarshal(d.raw, &probe); err != nil {
		return fmt.Errorf("%w: the manifest is not JSON of the known form: %w", ErrUnsupported, err)
	}
	mediaType := probe.MediaType
	if mediaType == "" {
		header, _, _ := strings.Cut(contentType, ";")
		mediaType = types.MediaType(strings.TrimSpace(header))
	}
	switch {
	case probe.SchemaVersion == 1 || probe.FSLayers != nil || mediaType.IsSchema1():
		return fmt.Errorf("%w: its manifest is of Docker's schema 1, which was given up in 2017; push the image again with a current Docker", ErrUnsupported)
	case probe.Manifests != nil && (probe.Layers != nil || probe.Config != nil):
		// Two programs could read two images from one digest (CVE-2021-41190).
		return fmt.Errorf("%w: the manifest is an index and an image at once", ErrUnsupported)
	case mediaType.IsIndex() || !mediaType.IsImage() && probe.Manifests != nil:
		d.index = new(oci.Index)
		if err := json.Unmarshal(d.raw, d.index); err != nil {
			return fmt.Errorf("%w: the index is not JSON of the known form: %w", ErrUnsupported, err)
		}
		return checkDescriptors(d.index.Manifests)
	case mediaType.IsImage() || probe.Config != nil:
		d.manifest = new(oci.Manifest)
		if err := json.Unmarshal(d.raw, d.manifest); err != nil {
			return fmt.Errorf("%w: the manifest is not JSON of the known form: %w", ErrUnsupported, err)
		}
		return errors.Join(checkImage(d.manifest), checkDescriptors(d.manifest.Layers), checkDescriptors([]oci.Descriptor{d.manifest.Config}))
	}
	return fmt.Errorf("%w: a manifest of the unknown media type %q", ErrUnsupported, mediaType)
}

// checkImage tells images from the charts, signatures and modules that
// registries keep as well.
func checkImage(m *oci.Manifest) error {
	switch m.Config.MediaType {
	case types.OCIConfigJSON, types.DockerConfigJSON, "application/octet-stream", "":
		return nil
	}
	return fmt.Errorf("%w: it is no container image but has a config of type %q", ErrUnsupported, m.Config.MediaType)
}

func checkDescriptors(list []oci.Descriptor) error {
	for _, desc := range list {
		if desc.Digest == (oci.Digest{}) || desc.Size < 0 {
			return fmt.Errorf("%w: the manifest has a descriptor without digest or with a negative size", ErrUnsupported)
		}
	}
	return nil
}

// config gets a config blob.
func (c *Client) config(ctx context.Context, ref oci.Reference, desc oci.Descriptor) ([]byte, error) {
	if desc.Size > maxDocument {
		return nil, fmt.Errorf("%s: %w: a config of %d bytes, the limit is %d", ref, ErrTooLarge, desc.Size, maxDocument)
	}
	blob, err := c.blob(ctx, ref, desc, func(int64) {})
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer blob.Close()
	raw, err := io.ReadAll(blob)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return raw, nil
}
