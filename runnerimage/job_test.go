package runnerimage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
	files "github.com/clipperregistry/runner/test/tarball"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// job is the container of a job with a registry that it pulls from.
type job struct {
	t     *testing.T
	root  string
	image string
	log   *bytes.Buffer
	// pulls counts how often a layer was asked for; before, if set, is called
	// then.
	pulls  atomic.Int32
	before func()
	// password, if set, is what the registry wants of its user "user".
	password string
}

func newJob(t *testing.T) *job {
	t.Helper()
	j := &job{t: t, root: t.TempDir(), log: &bytes.Buffer{}}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.Method == http.MethodGet && password != j.password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			j.pulls.Add(1)
			if j.before != nil {
				j.before()
			}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	j.image = strings.TrimPrefix(server.URL, "http://") + "/team/app:1"
	j.push(j.image, files.Build(files.File("bin/sh", "image's"), files.File("app", "image's")))
	for _, dir := range []string{"/.clipper-runner/bin", "/bin", "/tmp"} {
		must(t, os.MkdirAll(j.at(dir), 0o755))
	}
	for _, name := range append(layout.Interpreters(), "sh") {
		must(t, os.WriteFile(j.at("/.clipper-runner/bin/"+name), nil, 0o755))
	}
	must(t, os.Symlink("/.clipper-runner/bin/sh", j.at("/bin/sh")))
	return j
}

func (j *job) push(image string, layers ...[]byte) {
	j.t.Helper()
	img, err := mutate.Config(empty.Image, v1.Config{Env: []string{"A=b"}, User: "1000"})
	must(j.t, err)
	for _, blob := range layers {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil })
		must(j.t, err)
		img, err = mutate.AppendLayers(img, l)
		must(j.t, err)
	}
	ref, err := name.ParseReference(image)
	must(j.t, err)
	must(j.t, remote.Write(ref, img))
}

func (j *job) at(path string) string { return filepath.Join(j.root, path) }

func (j *job) config() Config {
	ref, err := oci.ParseReference(j.image)
	must(j.t, err)
	return Config{
		Settings: Settings{Image: ref, Platform: oci.HostPlatform(""), Pull: PullAlways, TOC: TOCAuto, Log: LogText},
		Root:     j.root, Bare: []string{"/bin", "/bin/sh", "/tmp"}, Files: os.DirFS(j.root), Log: j.log,
		Waiters: []rootfs.Link{{Path: "/bin/sh", Target: "/.clipper-runner/bin/sh"}},
	}
}

func (j *job) status(phase layout.Phase) {
	j.t.Helper()
	s, err := layout.Look(layout.In(j.root))
	if err != nil || s.Phase != phase {
		j.t.Errorf("the layout is %+v, %v; want %s", s, err, phase)
	}
}

// stands says whether the image's file, or the bare one's waiter, is at /bin/sh.
func (j *job) stands() bool {
	_, err := os.Readlink(j.at("/bin/sh"))
	return err != nil
}

func TestJoin(t *testing.T) {
	j := newJob(t)
	cfg := j.config()
	completed := false
	cfg.Complete = func() error {
		if completed = true; j.stands() {
			t.Error("a program of the image could run too early")
		}
		j.status(layout.Running)
		return nil
	}
	var prepared int
	prepare := func(*Settings) error { prepared++; return nil }
	for range 2 {
		laid, err := Join(t.Context(), cfg, prepare)
		must(t, err)
		if laid.Summary.Image != j.image || laid.Summary.Entries != 2 || laid.Summary.BytesPulled == 0 || laid.Config.Config.User != "1000" {
			t.Errorf("%+v", laid)
		}
		j.status(layout.Done)
	}
	if !completed || !j.stands() || prepared != 1 {
		t.Errorf("completed %v, stands %v, prepared %d times", completed, j.stands(), prepared)
	}
	left, err := os.ReadDir(j.at("/.clipper-runner/bin"))
	if err != nil || len(left) != 1 {
		t.Errorf("the commands of the bare image are %v, %v; want sh alone", left, err)
	}
	if !strings.Contains(j.log.String(), "is laid out already") {
		t.Errorf("log: %s", j.log)
	}
}

// TestJoinIsShared has several processes want the same image.
func TestJoinIsShared(t *testing.T) {
	j := newJob(t)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			cfg := j.config()
			cfg.Log = io.Discard
			if laid, err := Join(t.Context(), cfg, nil); err != nil || laid.Summary.Entries != 2 {
				t.Errorf("%+v, %v", laid, err)
			}
		})
	}
	group.Wait()
	// One for the config, one for the layer.
	if n := j.pulls.Load(); n != 2 {
		t.Errorf("%d blobs were pulled", n)
	}
}

func TestJoinAnotherImage(t *testing.T) {
	j := newJob(t)
	first, other := j.config(), j.config()
	var err error
	other.Settings.Image, err = oci.ParseReference(strings.TrimSuffix(j.image, "1") + "2")
	must(t, err)
	j.before = func() { // while it is under way
		if _, err := Join(t.Context(), other, nil); !errors.Is(err, ErrOtherImage) {
			t.Errorf("%v", err)
		}
	}
	_, err = Join(t.Context(), first, nil)
	must(t, err)
	if _, err := Join(t.Context(), other, nil); !errors.Is(err, ErrOtherImage) || ExitCode(err) != ExitSettings || !strings.Contains(err.Error(), j.image) {
		t.Errorf("%v", err)
	}
	j.status(layout.Done)

	// The same image by its digest is no other one.
	laid, err := Join(t.Context(), first, nil)
	must(t, err)
	byDigest := j.config()
	byDigest.Settings.Image, err = oci.ParseReference(j.image + "@" + laid.Summary.Digest)
	must(t, err)
	_, err = Join(t.Context(), byDigest, nil)
	must(t, err)
}

// TestJoinAgain has layouts fail in several ways, and a later one succeed.
func TestJoinAgain(t *testing.T) {
	j := newJob(t)
	fails := func(ctx context.Context, cfg Config, prepare func(*Settings) error, phase layout.Phase, code int) {
		t.Helper()
		if _, err := Join(ctx, cfg, prepare); ExitCode(err) != code {
			t.Errorf("exit code %d, want %d: %v", ExitCode(err), code, err)
		}
		j.status(phase)
		if j.stands() {
			t.Error("a part of the image stands")
		}
	}
	missing := j.config()
	missing.Settings.Image, _ = oci.ParseReference(j.image + "23")
	fails(t.Context(), missing, nil, layout.Failed, ExitNotFound)

	j.password = "secret"
	fails(t.Context(), j.config(), nil, layout.NeedsToken, ExitDenied)

	ctx, cancel := context.WithCancel(t.Context())
	fails(ctx, j.config(), func(*Settings) error { cancel(); return nil }, layout.Interrupted, ExitInterrupted)

	broken := errors.New("no identity")
	fails(t.Context(), j.config(), func(*Settings) error { return broken }, layout.Failed, ExitInternal)

	var masked []string
	cfg := j.config()
	cfg.Mask = func(secret string) { masked = append(masked, secret) }
	_, err := Join(t.Context(), cfg, func(s *Settings) error { s.Credentials = "user:secret"; return nil })
	must(t, err)
	j.status(layout.Done)
	if len(masked) == 0 || masked[0] != "secret" {
		t.Errorf("masked %q", masked)
	}
	for _, file := range []string{"state.json", "layout"} {
		if content, err := os.ReadFile(j.at("/.clipper-runner/" + file)); err != nil || bytes.Contains(content, []byte("secret")) {
			t.Errorf("%s: %s, %v", file, content, err)
		}
	}
}
