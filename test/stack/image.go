package stack

import (
	"bytes"
	standard "compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// Compression is how a layer travels.
type Compression int

const (
	// Gzip is quick to write.
	Gzip Compression = iota
	// Zstd is quick to write. It cannot be pulled by Docker before 23.0.
	Zstd
	Plain
	// PushedGzip is as `docker push` writes it: Go's own gzip at its usual
	// level.
	PushedGzip
	// PushedZstd is of the usual level, too.
	PushedZstd
)

// Layer is one layer of an image.
type Layer struct {
	// Open returns the layer's uncompressed tar.
	Open        func() (io.ReadCloser, error)
	Compression Compression

	file string // that holds the tar, "" if it is not in one
}

// Tar is a layer of these bytes.
func Tar(tar []byte) Layer {
	return Layer{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tar)), nil }}
}

// TarFile is a layer of the tar at path.
func TarFile(path string) Layer {
	return Layer{Open: func() (io.ReadCloser, error) { return os.Open(path) }, file: path}
}

// Image is an image to push.
type Image struct {
	Layers []Layer
	Config v1.Config
	// Docker makes it a Docker schema 2 image rather than an OCI one.
	Docker bool
	// Arch is the architecture in its config. Default: amd64.
	Arch string
}

// With returns the image with its layers compressed this way: the same image
// for whoever pulls it, with the same diff IDs.
func (i Image) With(c Compression) Image {
	layers := make([]Layer, len(i.Layers))
	for n, layer := range i.Layers {
		layer.Compression = c
		layers[n] = layer
	}
	i.Layers = layers
	return i
}

// Push pushes the image to the registry as repository:e2e and returns that
// reference with the registry's host.
func (s *Stack) Push(t testing.TB, repository string, image Image) string {
	t.Helper()
	compress := into(s.Scratch(t))
	img, err := image.assemble(func(l Layer) (blob, error) {
		if l.file == "" {
			return compress(l)
		}
		return s.compressed(l)
	})
	if err != nil {
		t.Fatalf("build image %s: %v", repository, err)
	}
	return s.PushImage(t, repository, img)
}

// PushArchive pushes the image in an archive for `docker load`.
func (s *Stack) PushArchive(t testing.TB, repository, archive string) string {
	t.Helper()
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatalf("read %s (run `make image`): %v", archive, err)
	}
	return s.PushImage(t, repository, img)
}

// PushRunner pushes the runner image that was built last, for engines that pull
// images always.
func (s *Stack) PushRunner(t testing.TB) string {
	t.Helper()
	return s.PushArchive(t, "clipperregistry/runner", s.Engine.image)
}

// PushImage pushes an image that was made elsewhere.
func (s *Stack) PushImage(t testing.TB, repository string, img v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(s.Registry+"/"+repository+":e2e", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	return ref.String()
}

// compressed compresses a layer of a file once: a Debian is in many images.
func (s *Stack) compressed(l Layer) (blob, error) {
	key := fmt.Sprintf("%s %d", l.file, l.Compression)
	s.mu.Lock()
	compress := s.layers[key]
	if compress == nil {
		compress = sync.OnceValues(func() (blob, error) {
			if err := os.MkdirAll(s.programs(), 0o755); err != nil {
				return blob{}, err
			}
			return l.compress(s.programs())
		})
		s.layers[key] = compress
	}
	s.mu.Unlock()
	return compress()
}

// into has layers compressed into a directory.
func into(dir string) func(Layer) (blob, error) {
	return func(l Layer) (blob, error) { return l.compress(dir) }
}

// assemble has the layers compressed and describes them.
func (i Image) assemble(compress func(Layer) (blob, error)) (v1.Image, error) {
	manifest, config := types.OCIManifestSchema1, types.OCIConfigJSON
	if i.Docker {
		manifest, config = types.DockerManifestSchema2, types.DockerConfigJSON
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: i.arch(), Config: i.Config, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, manifest), config)
	blobs := make([]v1.Layer, len(i.Layers))
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for n, layer := range i.Layers {
		work.Go(func() error {
			blob, err := compress(layer)
			if err != nil {
				return fmt.Errorf("layer %d: %w", n, err)
			}
			blob.mediaType = layer.Compression.mediaType(i.Docker)
			blobs[n] = blob
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, blobs...)
}

func (i Image) arch() string {
	if i.Arch == "" {
		return "amd64"
	}
	return i.Arch
}

// blob is a compressed layer in a file. It is a v1.Layer.
type blob struct {
	path           string
	digest, diffID v1.Hash
	size           int64
	mediaType      types.MediaType
}

func (b blob) Digest() (v1.Hash, error)             { return b.digest, nil }
func (b blob) DiffID() (v1.Hash, error)             { return b.diffID, nil }
func (b blob) Size() (int64, error)                 { return b.size, nil }
func (b blob) MediaType() (types.MediaType, error)  { return b.mediaType, nil }
func (b blob) Compressed() (io.ReadCloser, error)   { return os.Open(b.path) }
func (b blob) Uncompressed() (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// compress compresses the layer into a file of a directory.
func (l Layer) compress(dir string) (blob, error) {
	in, err := l.Open()
	if err != nil {
		return blob{}, err
	}
	defer in.Close()
	out, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return blob{}, err
	}
	defer out.Close()

	digest, diffID := sha256.New(), sha256.New()
	compressor, err := l.Compression.writer(io.MultiWriter(out, digest))
	if err != nil {
		return blob{}, err
	}
	if _, err := io.Copy(compressor, io.TeeReader(in, diffID)); err != nil {
		return blob{}, err
	}
	if err := compressor.Close(); err != nil {
		return blob{}, err
	}
	size, err := out.Seek(0, io.SeekCurrent)
	return blob{
		path: out.Name(), digest: sum(digest), diffID: sum(diffID), size: size, mediaType: l.Compression.mediaType(false),
	}, err
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

func (c Compression) writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	case PushedZstd:
		return zstd.NewWriter(w)
	case Plain:
		return nopCloser{w}, nil
	case PushedGzip:
		return standard.NewWriter(w), nil
	default:
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	}
}

func (c Compression) mediaType(docker bool) types.MediaType {
	switch {
	case c == Zstd || c == PushedZstd:
		return types.OCILayerZStd
	case c == Plain && docker:
		return types.DockerUncompressedLayer
	case c == Plain:
		return types.OCIUncompressedLayer
	case docker:
		return types.DockerLayer
	default:
		return types.OCILayer
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
