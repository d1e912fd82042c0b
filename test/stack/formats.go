package stack

import (
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PushZstdChunked has skopeo compress the image's layers as zstd:chunked, and
// pushes it as repository:e2e.
func (s *Stack) PushZstdChunked(t testing.TB, repository string, image Image) string {
	t.Helper()
	from, to := s.layout(t, image), s.Scratch(t)
	// From layout to layout: of a registry it remembers which blobs are there
	// already, in whatever form, and would take those.
	skopeo := exec.CommandContext(t.Context(), "skopeo", "copy", "--quiet", "--format", "oci", "--dest-compress-format", "zstd:chunked", "oci:"+from, "oci:"+to)
	if out, err := skopeo.CombinedOutput(); err != nil {
		t.Fatalf("%s (run `make test`, which installs it): %v: %s", skopeo, err, out)
	}
	index, err := layout.ImageIndexFromPath(to)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the layout of skopeo has not one image: %v", err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return s.PushImage(t, repository, img)
}

// layout writes the image, its layers not compressed, as an OCI layout and
// returns the directory.
func (s *Stack) layout(t testing.TB, image Image) string {
	t.Helper()
	image.Docker = false
	img, err := image.With(Plain).assemble(into(s.Scratch(t)))
	if err != nil {
		t.Fatalf("build image: %v", err)
	}
	path, err := layout.Write(s.Scratch(t), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img); err != nil {
		t.Fatalf("write layout: %v", err)
	}
	return string(path)
}

// PushStargz pushes the image with eStargz layers as repository:e2e. They have
// two files more in their archives.
func (s *Stack) PushStargz(t testing.TB, repository string, image Image) string {
	t.Helper()
	bare := image
	bare.Layers, bare.Docker = nil, false
	img, err := bare.assemble(into(s.Scratch(t)))
	if err != nil {
		t.Fatal(err)
	}
	for n, layer := range image.Layers {
		blob, annotations, err := layer.stargz(s.Scratch(t))
		if err != nil {
			t.Fatalf("eStargz of layer %d: %v", n, err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: blob, MediaType: types.OCILayer, Annotations: annotations}); err != nil {
			t.Fatal(err)
		}
	}
	return s.PushImage(t, repository, img)
}

// stargz writes the layer into dir as nerdctl and stargz-snapshotter do.
func (l Layer) stargz(dir string) (blob, map[string]string, error) {
	plain, err := Layer{Open: l.Open, Compression: Plain}.compress(dir)
	if err != nil {
		return blob{}, nil, err
	}
	tar, err := os.Open(plain.path)
	if err != nil {
		return blob{}, nil, err
	}
	defer tar.Close()
	built, err := estargz.Build(io.NewSectionReader(tar, 0, plain.size))
	if err != nil {
		return blob{}, nil, err
	}
	defer built.Close()
	out, err := os.CreateTemp(dir, "stargz-")
	if err != nil {
		return blob{}, nil, err
	}
	defer out.Close()
	digest := sha256.New()
	size, err := io.Copy(io.MultiWriter(out, digest), built)
	if err != nil {
		return blob{}, nil, err
	}
	diffID, err := v1.NewHash(built.DiffID().String())
	return blob{path: out.Name(), digest: sum(digest), diffID: diffID, size: size, mediaType: types.OCILayer},
		map[string]string{estargz.TOCJSONDigestAnnotation: built.TOCDigest().String()}, err
}
