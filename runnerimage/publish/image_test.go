package publish_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// blob is a layer of given bytes.
type blob struct {
	raw, tar  []byte
	mediaType types.MediaType
}

func (b blob) Digest() (v1.Hash, error)             { return hashOf(b.raw), nil }
func (b blob) DiffID() (v1.Hash, error)             { return hashOf(b.tar), nil }
func (b blob) Compressed() (io.ReadCloser, error)   { return io.NopCloser(bytes.NewReader(b.raw)), nil }
func (b blob) Uncompressed() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.tar)), nil }
func (b blob) Size() (int64, error)                 { return int64(len(b.raw)), nil }
func (b blob) MediaType() (types.MediaType, error)  { return b.mediaType, nil }

func hashOf(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sum)}
}

// imageOf is a Docker image with layers of these tar files.
func imageOf(t *testing.T, architecture string, compress func([]byte) []byte, tars ...[]byte) v1.Image {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: architecture, Created: v1.Time{Time: time.Unix(1_700_000_000, 0).UTC()},
		Config: v1.Config{Cmd: []string{"<sh>", "-c", "&"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tar := range tars {
		if image, err = mutate.Append(image, mutate.Addendum{
			Layer: blob{compress(tar), tar, types.DockerLayer}, Annotations: map[string]string{"of": "layer"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return mutate.Annotations(image, map[string]string{"of": "manifest <&>"}).(v1.Image)
}

// withDiffIDs is the image with a config that lists other diff IDs.
func withDiffIDs(t *testing.T, image v1.Image, ids []string) v1.Image {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs = nil
	for _, id := range ids {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: id})
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	manifest = manifest.DeepCopy()
	manifest.Config.Digest, manifest.Config.Size = hashOf(raw), int64(len(raw))
	return fixedImage{image, raw, manifest}
}

// fixedImage is an image with another config and manifest.
type fixedImage struct {
	v1.Image
	config   []byte
	manifest *v1.Manifest
}

func (f fixedImage) RawConfigFile() ([]byte, error)  { return f.config, nil }
func (f fixedImage) Manifest() (*v1.Manifest, error) { return f.manifest, nil }
func (f fixedImage) RawManifest() ([]byte, error)    { return json.Marshal(f.manifest) }
func (f fixedImage) ConfigName() (v1.Hash, error)    { return hashOf(f.config), nil }
func (f fixedImage) Digest() (v1.Hash, error) {
	raw, err := f.RawManifest()
	return hashOf(raw), err
}
func (f fixedImage) Size() (int64, error) {
	raw, err := f.RawManifest()
	return int64(len(raw)), err
}

func emptyIndex(mediaType types.MediaType) v1.ImageIndex {
	return mutate.IndexMediaType(empty.Index, mediaType)
}

// damagedLayout is a layout with the image, a byte of whose last layer is
// another.
func damagedLayout(t *testing.T, image v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, emptyIndex(types.OCIImageIndex))
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "blobs", "sha256", manifest.Layers[len(manifest.Layers)-1].Digest.Hex)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir
}

// noise is text that compresses a little, the same for the same seed.
func noise(seed uint64, size int) string {
	r := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}
