package bench

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/test/stack"
)

// image is an image to measure with.
type image struct {
	// name is what tables call it, title what it is.
	name, title string
	layers      func(b *testing.B) []stack.Layer
	// command prints something as soon as the image's program is of use.
	command []string
}

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

var (
	small = image{
		name: "small", title: "musl and busybox", command: []string{"busybox", "echo", "ready"},
		layers: busybox,
	}
	typical = image{
		name: "typical", title: "Debian with nginx", command: []string{"sh", "-c", "nginx -t 2>&1"},
		layers: debian("nginx-light"),
	}
	large = image{
		name: "large", title: "Python for data, one layer",
		command: []string{"python3", "-c", "import numpy, pandas; print(pandas.__version__)"},
		layers:  debian(dataPackages...),
	}
	models = image{
		name: "models", title: "few big files of random bytes, in four layers", command: []string{"busybox", "echo", "ready"},
		layers: func(b *testing.B) []stack.Layer { return append(busybox(b), weights()...) },
	}
	many = image{
		name: "many", title: "500,000 small files and directories", command: []string{"/none"},
		layers: func(*testing.B) []stack.Layer { return []stack.Layer{manyFiles()} },
	}
	// bare has coreutils, and no layer of another image.
	bare = image{name: "bare", title: "Debian", command: []string{"sh"}, layers: debian()}
)

// dataPackages are what a data team's image weighs.
var dataPackages = []string{
	"python3", "python3-numpy", "python3-scipy", "python3-pandas", "python3-sklearn", "python3-matplotlib",
	"python3-nltk", "python3-django", "libboost-dev", "python3-botocore", "python3-sympy", "python3-plotly", "python3-statsmodels",
}

func busybox(b *testing.B) []stack.Layer { return lab.Packages(b, "musl", "busybox-static") }

func debian(packages ...string) func(*testing.B) []stack.Layer {
	return func(b *testing.B) []stack.Layer {
		return []stack.Layer{stack.TarFile(lab.Debian(b, stack.Debian{Packages: packages}))}
	}
}

// form is how an image's layers travel.
type form string

const (
	gzipped form = "gzip"
	zstdded form = "zstd"
	// published is what `clipper-runner publish` makes of the one of gzip.
	published form = "published"
)

// built is an image in the registry.
type built struct {
	ref     string
	command []string
	// size is that of all that is pulled, the manifest itself aside.
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

// images builds every image once in every form that is asked for. The registry
// keeps them.
type images map[string]*built

func (i images) get(b *testing.B, img image, as form) *built {
	b.Helper()
	key := img.name + "-" + string(as)
	if i[key] == nil {
		say("building image %s as %s", img.name, as)
		var ref string
		if as == published {
			ref = publish(b, i.get(b, img, gzipped))
		} else {
			ref = push(b, img, as)
		}
		i[key] = described(b, ref, img.command)
	}
	return i[key]
}

// push pushes the image compressed as `docker push` would, or by the usual
// level of zstd.
func push(b *testing.B, img image, as form) (ref string) {
	b.Helper()
	config := v1.Config{Env: []string{searchPath}, Cmd: img.command}
	pushed := stack.Image{Layers: img.layers(b), Config: config, Docker: as == gzipped}
	compression := map[form]stack.Compression{gzipped: stack.PushedGzip, zstdded: stack.PushedZstd}[as]
	return lab.Push(b, "bench/"+img.name+"-"+string(as), pushed.With(compression))
}

// publish publishes an image of the registry under another name.
func publish(b *testing.B, img *built) (ref string) {
	b.Helper()
	ref = strings.Replace(img.ref, "/bench/", "/bench/published-", 1)
	stack.Output(b, exec.CommandContext(b.Context(), lab.Program(b, "cmd/clipper-runner"), "publish", img.ref, ref))
	return ref
}

// described asks the registry what it has.
func described(b *testing.B, ref string, command []string) *built {
	b.Helper()
	parsed, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		b.Fatal(err)
	}
	img, err := remote.Image(parsed, remote.WithContext(b.Context()))
	if err != nil {
		b.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		b.Fatal(err)
	}
	return &built{ref: ref, command: command, size: compressed(manifest), layers: manifest.Layers}
}

// compressed is the size of what is pulled, the manifest itself aside.
func compressed(manifest *v1.Manifest) int64 {
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size
}

// blobs are the addresses of the image's layers where it is reached at address.
func (i *built) blobs(b *testing.B, address string) (urls []string) {
	b.Helper()
	parsed, err := name.ParseReference(i.ref, name.Insecure)
	if err != nil {
		b.Fatal(err)
	}
	for _, layer := range i.layers {
		urls = append(urls, fmt.Sprintf("http://%s/v2/%s/blobs/%s", address, parsed.Context().RepositoryStr(), layer.Digest))
	}
	return urls
}
