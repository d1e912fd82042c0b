package bench

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/clipperregistry/runner/test/stack"
)

// image is an image to measure with.
type image struct {
	name, title string
	layers      func(b *testing.B) []stack.Layer
	// command prints something as soon as the image's program is of use.
	command []string
}

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

var (
	small = image{
		name: "small", title: "small: musl and busybox", command: []string{"busybox", "echo", "ready"},
		layers: func(b *testing.B) []stack.Layer { return lab.Packages(b, "musl", "busybox-static") },
	}
	typical = image{
		name: "typical", title: "typical: Debian with nginx", command: []string{"sh", "-c", "nginx -t 2>&1"},
		layers: debian("nginx-light"),
	}
	large = image{
		name: "large", title: "large: Python for data, one layer",
		command: []string{"python3", "-c", "import numpy, pandas; print(pandas.__version__)"},
		layers:  debian(dataPackages...),
	}
	many = image{
		name: "many", title: "many: 500,000 small files and directories", command: []string{"/none"},
		layers: func(*testing.B) []stack.Layer { return []stack.Layer{{Open: manyFiles}} },
	}
)

// dataPackages are what a data team's image weighs.
var dataPackages = []string{
	"python3", "python3-numpy", "python3-scipy", "python3-pandas", "python3-sklearn", "python3-matplotlib",
	"python3-nltk", "python3-django", "libboost-dev",
}

func debian(packages ...string) func(*testing.B) []stack.Layer {
	return func(b *testing.B) []stack.Layer {
		return []stack.Layer{stack.TarFile(lab.Debian(b, stack.Debian{Packages: packages}))}
	}
}

// manyFiles is a tar of 500,000 entries.
func manyFiles() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeManyFiles(w)) }()
	return r, nil
}

func writeManyFiles(w io.Writer) error {
	const dirs, files = 5000, 99
	out := tar.NewWriter(w)
	for d := range dirs {
		dir := fmt.Sprintf("srv/%02d/%02d", d/100, d%100)
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return err
		}
		for f := range files {
			content := fmt.Appendf(nil, "file %d of directory %d\n", f, d)
			if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s/%02d", dir, f), Mode: 0o644, Size: int64(len(content))}); err != nil {
				return err
			}
			if _, err := out.Write(content); err != nil {
				return err
			}
		}
	}
	return out.Close()
}

// built is an image in the registry.
type built struct {
	ref     string
	command []string
	// blobs are its layers in files, size is that of all that is pulled.
	blobs  []string
	size   int64
	layers []v1.Descriptor
}

// since is how much an engine pulls of the image that has another one, by
// layer: it takes a layer over where all beneath it are the same.
func (i *built) since(other *built) (size int64) {
	same := true
	for n, layer := range i.layers {
		if same = same && n < len(other.layers) && layer.Digest == other.layers[n].Digest; !same {
			size += layer.Size
		}
	}
	return size
}

// images builds every image once.
type images struct {
	dir  string
	made map[string]*built
}

func (i *images) get(b *testing.B, img image) *built {
	b.Helper()
	if i.made[img.name] == nil {
		built, err := i.build(b, img)
		if err != nil {
			b.Fatalf("build image %s: %v", img.name, err)
		}
		i.made[img.name] = built
	}
	return i.made[img.name]
}

func (i *images) build(b *testing.B, img image) (*built, error) {
	result := &built{command: img.command}
	out, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{searchPath}, Cmd: img.command},
	})
	if err != nil {
		return nil, err
	}
	for n, layer := range img.layers(b) {
		blob := filepath.Join(i.dir, fmt.Sprintf("%s-%d.tar.gz", img.name, n))
		if err := compress(layer, blob); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromFile(blob)
		if err != nil {
			return nil, err
		}
		if out, err = mutate.AppendLayers(out, layer); err != nil {
			return nil, err
		}
		result.blobs = append(result.blobs, blob)
	}
	ref, err := name.ParseReference(lab.Registry+"/bench/"+img.name+":latest", name.Insecure)
	if err != nil {
		return nil, err
	}
	if err := remote.Write(ref, out, remote.WithContext(b.Context())); err != nil {
		return nil, err
	}
	manifest, err := out.Manifest()
	if err != nil {
		return nil, err
	}
	result.ref, result.size, result.layers = ref.String(), compressed(manifest), manifest.Layers
	return result, nil
}

// compress writes a layer's tar to a file as `docker push` would: Go's own
// gzip at its usual level.
func compress(layer stack.Layer, file string) error {
	in, err := layer.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	w := gzip.NewWriter(out)
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// compressed is the size of what is pulled, the manifest itself aside.
func compressed(manifest *v1.Manifest) int64 {
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size
}
