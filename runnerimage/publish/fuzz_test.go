package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// echo is an origin in which every document and every blob is the same one.
type echo struct{ doc document }

func (e echo) root(context.Context) (document, error)                  { return e.doc, nil }
func (e echo) child(context.Context, oci.Descriptor) (document, error) { return e.doc, nil }
func (echo) repository() oci.Reference                                 { return oci.Reference{} }
func (echo) close() error                                              { return nil }
func (e echo) blob(context.Context, oci.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(e.doc.raw)), nil
}

const fuzzDigest = `"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1`

// FuzzTree reads an image of any documents and rewrites it.
func FuzzTree(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`,
		`{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json",` + fuzzDigest + `}]}`,
		`{"manifests":[{"mediaType":"text/plain",` + fuzzDigest + `,"annotations":null},null]}`,
		`{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","rootfs":{"diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]},` +
			`"config":{"mediaType":"application/vnd.oci.image.config.v1+json",` + fuzzDigest + `},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",` + fuzzDigest + `}]}`,
		`{"config":null,"layers":null}`, `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tree, err := readTree(t.Context(), echo{document{raw, types.OCIManifestSchema1}}, nil)
		if err != nil {
			return
		}
		outcomes := map[layerKey]*outcome{}
		for _, n := range tree.images() {
			for _, l := range n.image.layers {
				outcomes[l.key()] = &outcome{action: Converted, desc: oci.Descriptor{MediaType: types.OCILayerZStd, Size: 7, Digest: document{}.digest()}}
			}
		}
		r := newRewriter(outcomes)
		if _, err := r.rewrite(tree); err != nil {
			return
		}
		for _, doc := range r.docs {
			if !json.Valid(doc.raw) {
				t.Errorf("%q is no JSON", doc.raw)
			}
		}
	})
}

// FuzzArchive reads any file as a docker-archive.
func FuzzArchive(f *testing.F) {
	config := `{"rootfs":{"diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}`
	f.Add([]byte{})
	f.Add(tarball.Build(tarball.File("manifest.json", `[{"Config":"c","Layers":["l"]}]`), tarball.File("c", config), tarball.File("l", "layer")))
	f.Add(tarball.Build(tarball.File("manifest.json", `[{"Config":"c","Layers":["l"]}]`), tarball.File("c", config), tarball.Symlink("l", "l")))
	f.Add(tarball.Build(tarball.File("manifest.json", `[{"Config":"../c","Layers":[]},null]`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "archive")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := openArchive(Source{Transport: DockerArchive, Path: path})
		if err != nil {
			if !errors.Is(err, registry.ErrUnsupported) && !errors.Is(err, registry.ErrMismatch) && !errors.Is(err, registry.ErrTooLarge) && !errors.Is(err, ErrArguments) {
				t.Errorf("%v", err)
			}
			return
		}
		defer a.close()
		if _, err := readTree(t.Context(), a, nil); err != nil {
			t.Logf("%v", err)
		}
	})
}
