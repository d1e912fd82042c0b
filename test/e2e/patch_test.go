package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	archive "github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestPatch: a runner whose store holds a version fetches of the next one what
// is new, and as much as publish has promised.
func TestPatch(t *testing.T) {
	for _, c := range []struct {
		name     string
		versions func(t *testing.T) (before, after stack.Image)
	}{
		{"a file in a large layer", largeVersions},
		{"a package in a middle layer", packageVersions},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := "patch/" + slug(c.name)
			before, after := c.versions(t)
			previous := publish(t, lab.Push(t, name+"/source", before.With(stack.Zstd)), name)
			source := push(t, name+"/source", after)
			ref, image := publishFrom(t, previous, source.ref, name+"/next")

			store, proxy := newStore(t), lab.Proxy(t)
			store.snapshot(t, previous)
			tree, _ := store.snapshot(t, proxy.Through(ref))
			compare(t, source.snapped, tree)

			bound := zstdSize(t, changes(t, before, after))*5/4 + image.After/200
			t.Logf("%d bytes fetched of %d; the bound is %d", proxy.Bytes(), image.After, bound)
			if proxy.Bytes() > bound {
				t.Errorf("%d bytes fetched, more than %d", proxy.Bytes(), bound)
			}
			image.Fetch.compare(t, proxy, source.total-source.layers)
		})
	}
}

// promised is what publish reports of an image of one platform.
type promised struct {
	After int64 // bytes of all layers
	Fetch promisedFetch
}

// promisedFetch is what a client of the previous version fetches of the
// layers. Bytes are those of the tables, too.
type promisedFetch struct{ Chunks, Bytes int64 }

// publishFrom is publish with a previous version and a report.
func publishFrom(t *testing.T, previous, ref, repository string) (string, promised) {
	t.Helper()
	target := lab.Registry + "/" + repository + ":e2e"
	out := output(t, lab.Program(t, "cmd/clipper-runner"), "publish", "--json", "--from", previous, ref, target)
	var report struct{ Images []promised }
	if err := json.Unmarshal(out, &report); err != nil || len(report.Images) != 1 || report.Images[0].Fetch.Bytes == 0 {
		t.Fatalf("publish --json: %v: %s", err, out)
	}
	return target, report.Images[0]
}

// compare compares the promise with what a client has fetched of one new layer
// and of the config, of which nothing is promised.
func (f promisedFetch) compare(t *testing.T, proxy *faultproxy.Proxy, config int64) {
	t.Helper()
	// Beside those for config and table there is a request for each chunk, but
	// that chunks near each other come by one, with what is between them.
	const widestGap = 32 << 10
	_, requests := proxy.Counts()
	gaps := f.Chunks - (requests - 2)
	if between := proxy.Bytes() - config - f.Bytes; between < 0 || between > gaps*widestGap {
		t.Errorf("publish promised %+v; fetched were %d bytes by %d requests, with a config of %d", f, proxy.Bytes(), requests, config)
	}
}

// largeVersions have one layer of 1 GiB, in which one file of 1 MiB changes.
func largeVersions(*testing.T) (before, after stack.Image) {
	version := func(n byte) stack.Image {
		return stack.Image{
			Layers: []stack.Layer{{Open: func() (io.ReadCloser, error) {
				r, w := io.Pipe()
				go func() { w.CloseWithError(writeLarge(w, n)) }()
				return r, nil
			}}},
			Config: v1.Config{Cmd: []string{"/none"}},
		}
	}
	return version(1), version(2)
}

func writeLarge(w io.Writer, version byte) error {
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o755, ModTime: tarball.ModTime}); err != nil {
		return err
	}
	content := make([]byte, 1<<20)
	for n := range 1024 {
		seed := [32]byte{byte(n), byte(n >> 8)}
		if n == 700 {
			seed[2] = version
		}
		fillCompressible(content, seed)
		header := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("data/%04d", n), Mode: 0o644, Size: int64(len(content)), ModTime: tarball.ModTime}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(content); err != nil {
			return err
		}
	}
	return out.Close()
}

// fillCompressible fills content, of which a sixteenth is noise.
func fillCompressible(content []byte, seed [32]byte) {
	const noise, block = 1 << 10, 16 << 10
	random := rand.NewChaCha8(seed)
	for ; len(content) > 0; content = content[block:] {
		random.Read(content[:noise])
		for at := noise; at < block; at += noise {
			copy(content[at:], content[:noise])
		}
	}
}

// packageVersions are a Debian with packages in a layer of their own, below
// the application. One of them is upgraded.
func packageVersions(t *testing.T) (before, after stack.Image) {
	image := stack.Image{
		Layers: []stack.Layer{stack.TarFile(lab.Debian(t, stack.Debian{}))},
		Config: v1.Config{Env: []string{debianPath}, Cmd: []string{"bash"}},
	}
	base := lab.Push(t, "patch/base", image)
	lab.Engine.Pull(t, base)
	application := stack.Tar(tarball.Build(dir("srv"), program(t, "srv/app", "test/e2e/probe")))
	version := func(packages string) stack.Image {
		image := image
		image.Layers = []stack.Layer{image.Layers[0], installed(t, base, packages), application}
		return image
	}

	packages := lab.Scratch(t)
	inDir(t, packages, "apt-get", "download", "-o", "APT::Sandbox::User=root", "busybox-static", "iso-codes", "linux-libc-dev", "netbase", "tzdata")
	before = version(packages)
	files, err := filepath.Glob(filepath.Join(packages, "linux-libc-dev_*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("apt-get download left %q: %v", files, err)
	}
	inDir(t, lab.Scratch(t), "sh", "-ec", rebuild, "sh", files[0])
	return before, version(packages)
}

// rebuild makes the next version of the package $1: a line more in some files
// here and there.
const rebuild = `
	dpkg-deb --raw-extract "$1" tree
	sed -i 's/^Version: .*/&+e2e1/' tree/DEBIAN/control
	find tree/usr -name '*.h' | sort | awk 'NR % 200 == 100' | while read -r header; do
		sed -i '1i /* Mended in this version. */' "$header"
	done
	(cd tree && find usr -type f | sort | xargs md5sum >DEBIAN/md5sums)
	dpkg-deb --build tree "$1"`

// installed is the layer that the engine makes of an installation of all
// packages in a directory.
func installed(t *testing.T, base, packages string) stack.Layer {
	t.Helper()
	container := lab.Start(t, stack.RunSpec{
		Image: base, Via: stack.Direct, Flags: []string{"--volume", packages + ":/mnt:ro"},
		Args: []string{"sh", "-c", "dpkg --install /mnt/*.deb"},
	})
	if code := container.Wait(t); code != "0" {
		t.Fatalf("dpkg exits %s: %s", code, container.Logs(t).Stderr)
	}
	file := filepath.Join(lab.Scratch(t), "image.tar")
	committed := lab.Engine.Docker(t, "commit", container.Name)
	lab.Engine.Docker(t, "save", "--output", file, committed)
	lab.Engine.Docker(t, "rmi", committed)
	image, err := archive.ImageFromPath(file, nil)
	try(t, err)
	layers, err := image.Layers()
	try(t, err)
	return stack.Layer{Open: layers[len(layers)-1].Uncompressed}
}

// inDir runs a command in a directory.
func inDir(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// changes are the files that differ between two versions of an image, one
// after the other.
func changes(t *testing.T, before, after stack.Image) []byte {
	t.Helper()
	var changed bytes.Buffer
	for n := range after.Layers {
		known := map[string][sha256.Size]byte{}
		eachFile(t, before.Layers[n], func(name string, content []byte) { known[name] = sha256.Sum256(content) })
		eachFile(t, after.Layers[n], func(name string, content []byte) {
			if known[name] != sha256.Sum256(content) {
				changed.Write(content)
			}
		})
	}
	return changed.Bytes()
}

// eachFile calls do with every regular file of a layer. The content is good
// until do returns.
func eachFile(t *testing.T, l stack.Layer, do func(name string, content []byte)) {
	t.Helper()
	in, err := l.Open()
	try(t, err)
	defer in.Close()
	var content bytes.Buffer
	for entries := tar.NewReader(in); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		try(t, err)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content.Reset()
		_, err = content.ReadFrom(entries)
		try(t, err)
		do(header.Name, content.Bytes())
	}
}

// zstdSize is how many bytes zstd makes of content.
func zstdSize(t *testing.T, content []byte) int64 {
	t.Helper()
	zstd := exec.CommandContext(t.Context(), "zstd", "--stdout")
	zstd.Stdin = bytes.NewReader(content)
	out, err := zstd.Output()
	if err != nil {
		t.Fatalf("zstd (run `make test`, which installs it): %v", err)
	}
	return int64(len(out))
}
