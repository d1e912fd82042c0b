package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	archive "github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// bringsAlong is a job with a JavaScript action in an image that cannot run
// GitHub's node, through a runner image that brings along what is missing.
const bringsAlong = `
jobs:
  test:
    container:
      image: ${{ vars.DERIVED }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/${{ vars.IMAGE }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
      volumes: ["${{ vars.VOLUME }}"]
    steps:
    - uses: acme/setup@v1
    - run: /.clipper-runner/github-init
`

// TestBroughtGlibc runs GitHub's own node in an image that has no libc.
func TestBroughtGlibc(t *testing.T) {
	t.Parallel()
	req := newRequest(t, bringsAlong, nil)
	req.Vars["DERIVED"] = deriveRunner(t, "gha/runner-glibc", glibc(t)...)
	req.Vars["IMAGE"] = strings.TrimPrefix(lab.Push(t, "gha/no-libc", shellAlone(t)), lab.Registry+"/")
	req.Vars["VOLUME"] = "/nothing"
	result := runJob(t, newRunner(t), req)
	const says = ": hello from /__e/node24/bin/node in /__w/app/app, workspace /__w/app/app, home /github/home, child 42, state "
	checkJob(t, result, "success", "pre"+says, "main"+says+"in pre", "post"+says+"in pre")
	if strings.Contains(result.Log, "JavaScript actions do not run") {
		t.Error("github-init warns of what is not so")
	}
}

// TestBroughtNode runs a node of the derived image's, which needs no libc, in
// an image with an old one.
func TestBroughtNode(t *testing.T) {
	t.Parallel()
	node := filepath.Join(lab.Scratch(t), "node")
	if out, err := exec.CommandContext(t.Context(), "gcc", "-static", "-o", node, "testdata/muslnode.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	program, err := os.ReadFile(node)
	if err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, bringsAlong, nil)
	req.Vars["DERIVED"] = deriveRunner(t, "gha/runner-node", tarball.File("__e/node24/bin/node", string(program), tarball.Mode(0o755)))
	req.Vars["IMAGE"] = strings.TrimPrefix(lab.Push(t, "gha/old-libc", oldGlibc(t)), lab.Registry+"/")
	req.Vars["VOLUME"] = "/__e/node24"
	const says = "musl: hello, /__w/_actions/acme/setup/v1/"
	checkJob(t, runJob(t, newRunner(t), req), "success", says+"pre.js", says+"main.js", says+"post.js")
}

// deriveRunner pushes the runner image with one more layer.
func deriveRunner(t *testing.T, repository string, entries ...tarball.Entry) string {
	t.Helper()
	base, err := name.ParseReference(pushRunner()(t), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(lab.Registry+"/"+repository+":e2e", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(base, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := archive.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(tarball.Build(entries...))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

// glibc is what runnerimage/README.md has a derived image bring along.
func glibc(t *testing.T) []tarball.Entry {
	t.Helper()
	dir := lab.Scratch(t)
	for _, layer := range lab.Packages(t, "libc6", "libgcc-s1", "libstdc++6") {
		extractLayer(t, layer, dir)
	}
	entries := []tarball.Entry{library(t, dir, "ld-linux-x86-64.so.2", "")}
	for _, name := range strings.Fields("libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 libnss_dns.so.2 libnss_files.so.2 libgcc_s.so.1 libstdc++.so.6") {
		entries = append(entries, library(t, dir, name, "lib/"))
	}
	return entries
}

// library is a file of an extracted package, where the side-car has it.
func library(t *testing.T, dir, name, place string) tarball.Entry {
	t.Helper()
	for _, libraries := range []string{"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"} {
		if content, err := os.ReadFile(filepath.Join(dir, libraries, name)); err == nil {
			return tarball.File(".clipper-runner/glibc/"+place+name, string(content), tarball.Mode(0o755))
		}
	}
	t.Fatalf("Debian's packages have no %s", name)
	return tarball.Entry{}
}

func extractLayer(t *testing.T, layer stack.Layer, dir string) {
	t.Helper()
	in, err := layer.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	extract := exec.CommandContext(t.Context(), "tar", "--extract", "--directory", dir)
	extract.Stdin = in
	if out, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", extract, err, out)
	}
}
