package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxDocument is the largest manifest, index or config that is read.
const maxDocument = 16 << 20

// document is a manifest or an index, in its bytes. go-containerregistry
// pushes it as they are.
type document struct {
	raw       []byte
	mediaType types.MediaType
}

func (d document) RawManifest() ([]byte, error)        { return d.raw, nil }
func (d document) MediaType() (types.MediaType, error) { return d.mediaType, nil }

func (d document) digest() oci.Digest {
	sum := sha256.Sum256(d.raw)
	return oci.Digest{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// fields parses the document, and finds out what it is if its descriptor did
// not say: the type that it names itself comes first.
func (d *document) fields() (object, error) {
	o, err := parseObject(d.raw)
	if err != nil {
		return nil, fmt.Errorf("%w: the manifest is not JSON of the known form: %w", registry.ErrUnsupported, err)
	}
	var own types.MediaType
	if err := o.get("mediaType", &own); err != nil {
		return nil, err
	}
	if own != "" {
		d.mediaType = own
	}
	_, isIndex := o["manifests"]
	_, hasLayers := o["layers"]
	_, hasConfig := o["config"]
	_, old := o["fsLayers"]
	switch {
	case old || d.mediaType.IsSchema1():
		return nil, fmt.Errorf("%w: its manifest is of Docker's schema 1, which was given up in 2017; push the image again with a current Docker", registry.ErrUnsupported)
	case isIndex && (hasLayers || hasConfig):
		// Two programs could read two images from one digest (CVE-2021-41190).
		return nil, fmt.Errorf("%w: the manifest is an index and an image at once", registry.ErrUnsupported)
	case d.mediaType.IsIndex() || d.mediaType.IsImage():
	case isIndex:
		d.mediaType = types.OCIImageIndex
	case hasConfig && own == "":
		d.mediaType = types.OCIManifestSchema1
	}
	return o, nil
}

// readDocument reads a document or config to its end.
func readDocument(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("%w: a document of more than %d bytes", registry.ErrTooLarge, maxDocument)
	}
	return raw, nil
}

// object is a JSON object whose fields keep their bytes. Fields that nobody
// here knows pass unchanged.
type object map[string]json.RawMessage

func parseObject(raw []byte) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("it is null")
	}
	return o, nil
}

// get decodes a field, if the object has it.
func (o object) get(name string, into any) error {
	raw, ok := o[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%w: field %q of a manifest: %w", registry.ErrUnsupported, name, err)
	}
	return nil
}

func (o object) set(name string, value any) {
	o[name] = encode(value)
}

// encode writes values of this package, which JSON can hold. The order of an
// object's fields is that of their names, so equal values have equal bytes.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // no such value is made here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// descriptors reads a field that is a list of descriptors, as the objects that
// they are and decoded.
func (o object) descriptors(name string) ([]object, []oci.Descriptor, error) {
	var objects []object
	var descs []oci.Descriptor
	if err := o.get(name, &objects); err != nil {
		return nil, nil, err
	}
	if err := o.get(name, &descs); err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(descs, isHollow) {
		return nil, nil, fmt.Errorf("%w: field %q of a manifest has a descriptor without digest or with a negative size", registry.ErrUnsupported, name)
	}
	return objects, descs, nil
}

func isHollow(desc oci.Descriptor) bool { return desc.Digest == (oci.Digest{}) || desc.Size < 0 }

// redirect makes the descriptor one of another content. What described only
// the old content goes.
func (o object) redirect(to oci.Descriptor) {
	o.set("mediaType", to.MediaType)
	o.set("digest", to.Digest)
	o.set("size", to.Size)
	delete(o, "data")
	delete(o, "urls")
}

// annotate hands the annotations to change, and keeps what it returns.
func (o object) annotate(change func(map[string]string)) error {
	annotations := map[string]string{}
	if err := o.get("annotations", &annotations); err != nil {
		return err
	}
	if annotations == nil { // it was null
		annotations = map[string]string{}
	}
	change(annotations)
	if len(annotations) == 0 {
		delete(o, "annotations")
		return nil
	}
	o.set("annotations", annotations)
	return nil
}

// verified reads what desc describes from a place that verifies nothing. It
// gives io.EOF only behind the right bytes.
type verified struct {
	io.ReadCloser
	desc   oci.Descriptor
	hasher interface {
		io.Writer
		Sum([]byte) []byte
	}
	left int64
}

func verify(r io.ReadCloser, desc oci.Descriptor) (io.ReadCloser, error) {
	hasher, err := v1.Hasher(desc.Digest.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", desc.Digest, registry.ErrUnsupported, err)
	}
	return &verified{r, desc, hasher, desc.Size}, nil
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.left -= int64(n)
	v.hasher.Write(p[:n])
	switch {
	case v.left < 0 || v.left > 0 && err == io.EOF:
		return 0, fmt.Errorf("%s: %w: it has not the %d bytes of its descriptor", v.desc.Digest, registry.ErrMismatch, v.desc.Size)
	case v.left == 0 && n > 0 || err == io.EOF:
		if got := hex.EncodeToString(v.hasher.Sum(nil)); got != v.desc.Digest.Hex {
			return 0, fmt.Errorf("%s: %w: the bytes there have digest %s:%s", v.desc.Digest, registry.ErrMismatch, v.desc.Digest.Algorithm, got)
		}
	}
	return n, err
}
