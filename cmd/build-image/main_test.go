package main

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// A stand-in for both programs is enough: what they do is not looked at.
func programs(t *testing.T) string {
	t.Helper()
	dist := t.TempDir()
	source := filepath.Join(dist, "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"runner", "applet", "loader"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dist, "linux-amd64", program), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if msg, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, msg)
		}
	}
	return dist
}

func TestRun(t *testing.T) {
	dist := programs(t)
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	var out strings.Builder
	args := []string{"-dist", dist, "-platforms", "linux/amd64", "-version", "1.2.3", "-push", host + "/runner:1.2.3," + host + "/runner:latest"}
	if err := run(t.Context(), args, "1700000000", &out); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"runner-image/index.json", "runner-image-amd64.tar"} {
		if _, err := os.Stat(filepath.Join(dist, file)); err != nil {
			t.Error(err)
		}
	}

	root, err := layout.ImageIndexFromPath(filepath.Join(dist, "runner-image"))
	if err != nil {
		t.Fatal(err)
	}
	top, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1.2.3", "latest"} {
		ref, err := name.ParseReference(host + "/runner:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		desc, err := remote.Get(ref)
		if err != nil {
			t.Fatal(err)
		}
		if desc.Digest != top.Manifests[0].Digest {
			t.Errorf("pushed %s as %s, wrote %s", tag, desc.Digest, top.Manifests[0].Digest)
		}
		img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
		if err != nil {
			t.Fatal(err)
		}
		if config, err := img.ConfigFile(); err != nil || config.Created.Unix() != 1_700_000_000 {
			t.Errorf("%s was created at %v (%v), want SOURCE_DATE_EPOCH", tag, config.Created, err)
		}
	}
	for _, want := range []string{"MiB compressed", "pushed " + host + "/runner:latest"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		name, epoch, want string
		args              []string
	}{
		{"an argument", "", "unexpected argument", []string{"now"}},
		{"a bad time", "yesterday", "SOURCE_DATE_EPOCH", nil},
		{"a missing program", "", "no such file", []string{"-dist", t.TempDir()}},
		{"a bad platform", "", "build runner image", []string{"-platforms", "a/b/c/d"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := run(t.Context(), test.args, test.epoch, &out); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
