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

// document is an index or a manifest.
type document struct {
	raw    []byte
	digest oci.Digest
	// header is the media type that it came with.
	header types.MediaType

	// parse knows one of them.
	index    *oci.Index
	manifest *oci.Manifest
}

// tellsItself says that the document is the same without the header that it
// came with, which a shelf does not keep.
func (d *document) tellsItself() bool {
	alone := document{raw: d.raw}
	return alone.parse() == nil && (alone.index == nil) == (d.index == nil)
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
	header, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	doc := &document{raw: raw, header: types.MediaType(strings.TrimSpace(header))}
	if doc.digest, err = digestOf(raw, want.Digest.Algorithm); err != nil {
		return nil, err
	}
	if want.Digest != (oci.Digest{}) && doc.digest != want.Digest {
		return nil, fmt.Errorf("%w: the manifest's bytes have digest %s, not %s", ErrMismatch, doc.digest, want.Digest)
	}
	return doc, nil
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
func (d *document) parse() error {
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
		mediaType = d.header
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
