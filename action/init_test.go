package action

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
	files "github.com/clipperregistry/runner/test/tarball"
)

// container is the container of a job, in a directory, with a registry that
// wants the user "user" and a password.
type container struct {
	t   *testing.T
	dir string
	out bytes.Buffer
	Container
}

const password = "hunter-two-and-three"

func newContainer(t *testing.T) *container {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); r.Method == http.MethodGet && got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	image := strings.TrimPrefix(server.URL, "http://") + "/team/app:1"
	pushApp(t, image)

	dir := t.TempDir()
	c := &container{t: t, dir: dir}
	c.Job = map[string]string{
		"CLIPPER_MAGIC_IMAGE": image, "CLIPPER_CREDENTIALS": "user:" + password,
		"PATH": process.BakedPath, "HOME": filepath.Join(dir, "home"), "GITHUB_WORKSPACE": "/__w/r/r", "MODE": "the workflow's",
	}
	for _, name := range []string{"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} {
		c.Job[name] = filepath.Join(dir, name)
		must(t, os.WriteFile(c.Job[name], nil, 0o644))
	}
	root := filepath.Join(dir, "root")
	for _, path := range []string{"home", "root/.clipper-runner/bin", "root/__e"} {
		must(t, os.MkdirAll(filepath.Join(dir, path), 0o755))
	}
	c.Config = runnerimage.Config{Root: root, Dir: "/", Files: os.DirFS(root), Waiters: []rootfs.Link{}}
	c.Out = &c.out
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pushApp(t *testing.T, image string) {
	t.Helper()
	img, err := mutate.Config(empty.Image, v1.Config{
		User: "app", Env: []string{"PATH=/opt/app/bin:/usr/bin", "APP=1", "MODE=the image's", "DOCKER_HOST=tcp://evil", "NODE_OPTIONS=--no"},
	})
	must(t, err)
	blob := files.Build(files.File("usr/bin/git", "git", files.Mode(0o755)), files.File("etc/passwd", "app:x:1000:1000::/:/bin/sh\n"))
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil })
	must(t, err)
	img, err = mutate.AppendLayers(img, layer)
	must(t, err)
	ref, err := name.ParseReference(image)
	must(t, err)
	must(t, remote.Write(ref, img))
}

// has checks that a file of the step has words in it, and no secret.
func (c *container) has(path string, words ...string) {
	c.t.Helper()
	content, err := os.ReadFile(path)
	must(c.t, err)
	holds(c.t, path, string(content), words...)
}

func holds(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s lacks %q: %s", what, word, text)
		}
	}
}

func (c *container) phase(want layout.Phase) {
	c.t.Helper()
	if s, err := layout.Look(layout.In(c.Config.Root)); err != nil || s.Phase != want {
		c.t.Errorf("the layout is %+v, %v; want %s", s, err, want)
	}
}

func TestInit(t *testing.T) {
	c := newContainer(t)
	for n := range 2 {
		c.out.Reset()
		if err := Init(t.Context(), c.Container); err != nil {
			t.Fatalf("call %d: %v\n%s", n, err, &c.out)
		}
		c.phase(layout.Done)
		holds(t, "the log", c.out.String(),
			"::group::Lay out 127.0.0.1", "::endgroup::",
			"::notice title=Clipper Runner::The image's DOCKER_HOST is not passed", "::warning title=Clipper Runner::The image's NODE_OPTIONS is not passed",
			"the workflow's value is kept for MODE", `the image's user is "app" (1000), and steps run as 0`,
			"JavaScript actions do not run after this step: the image has no glibc")
	}
	c.has(c.Job["GITHUB_PATH"], "/usr/bin\n/opt/app/bin\n")
	c.has(c.Job["GITHUB_ENV"], "APP<<", "CLIPPER_CREDENTIALS<<", "\n-\n")
	c.has(c.Job["GITHUB_OUTPUT"], "digest<<", "\nsha256:", "bytes-pulled<<", "rootfs<<", "\n"+c.Config.Root+"\n")
	c.has(c.Job["GITHUB_STEP_SUMMARY"], "team/app:1", "| Pulled |")
	c.has(filepath.Join(c.dir, "home/.gitconfig"), "/__w/r/r")
	must(t, filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(password)) {
			t.Errorf("%s holds the password", path)
		}
		return err
	}))
}

// TestInitMasks looks for the password before the line that masks it.
func TestInitMasks(t *testing.T) {
	c := newContainer(t)
	must(t, Init(t.Context(), c.Container))
	if before, rest, ok := strings.Cut(c.out.String(), "::add-mask::"+password); !ok || strings.Contains(before+rest, password) {
		t.Errorf("log: %s", &c.out)
	}
}

func TestInitFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		job   map[string]string
		code  int
		words string
	}{
		{"no image", map[string]string{"CLIPPER_MAGIC_IMAGE": ""}, 87, "::error title=Clipper Runner::bad settings: no image is named"},
		{"malformed image", map[string]string{"CLIPPER_MAGIC_IMAGE": "Not An Image"}, 87, "::error title=Clipper Runner::bad settings: CLIPPER_MAGIC_IMAGE"},
		{"refused", map[string]string{"CLIPPER_CREDENTIALS": "user:wrong"}, 81, "::error title=Clipper Runner::"},
		{"no identity", map[string]string{"CLIPPER_CREDENTIALS": "-", "CLIPPER_OIDC_URL": "https://oidc.example"}, 87, "id-token: write"},
		{"no step", map[string]string{"GITHUB_ENV": ""}, 88, "GITHUB_ENV is not set"},
		{"a file that is gone", map[string]string{"GITHUB_PATH": "/nonexistent/path"}, 88, "GITHUB_PATH"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t)
			for name, value := range test.job {
				c.Job[name] = value
			}
			err := Init(t.Context(), c.Container)
			if code := ExitCode(err); code != test.code {
				t.Errorf("exit code %d, want %d: %v", code, test.code, err)
			}
			holds(t, "the log", c.out.String(), test.words)
		})
	}
}

func TestInitInterrupted(t *testing.T) {
	c := newContainer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := ExitCode(Init(ctx, c.Container)); code != runnerimage.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	holds(t, "the log", c.out.String(), "::error title=Clipper Runner::Interrupted before the image was laid out (")
	c.out.Reset()
	must(t, Init(t.Context(), c.Container))
}

func TestPrefetch(t *testing.T) {
	c := newContainer(t)
	must(t, Prefetch(t.Context(), c.Container))
	c.phase(layout.Done)
	c.out.Reset()
	must(t, Init(t.Context(), c.Container))
	holds(t, "the log", c.out.String(), "is laid out already")
	c.has(c.Job["GITHUB_ENV"], "APP<<")
}

func TestPrefetchWithout(t *testing.T) {
	for _, test := range []struct {
		name  string
		job   map[string]string
		phase layout.Phase
		fails bool
	}{
		{"an image", map[string]string{"CLIPPER_MAGIC_IMAGE": ""}, layout.None, false},
		{"a good image", map[string]string{"CLIPPER_MAGIC_IMAGE": "Not An Image"}, layout.Failed, true},
		{"credentials", map[string]string{"CLIPPER_CREDENTIALS": ""}, layout.NeedsToken, true},
		{"a step's identity", map[string]string{"CLIPPER_CREDENTIALS": "", "CLIPPER_OIDC_URL": "https://oidc.example"}, layout.NeedsToken, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t)
			good := c.Job["CLIPPER_MAGIC_IMAGE"]
			for name, value := range test.job {
				c.Job[name] = value
			}
			if err := Prefetch(t.Context(), c.Container); (err != nil) != test.fails {
				t.Errorf("%v", err)
			}
			c.phase(test.phase)

			// A step that has what was missing goes on.
			c.Job["CLIPPER_MAGIC_IMAGE"], c.Job["CLIPPER_CREDENTIALS"] = good, "user:"+password
			must(t, Init(t.Context(), c.Container))
			c.phase(layout.Done)
		})
	}
}

func TestNodeLack(t *testing.T) {
	empty := t.TempDir() // no glibc
	release := func(text string) fstest.MapFS {
		return fstest.MapFS{"__e/node24/bin/node": {}, "etc/os-release": {Data: []byte(text)}}
	}
	for _, test := range []struct {
		name, arch string
		files      fstest.MapFS
		want       string
	}{
		{"no node at all", "amd64", fstest.MapFS{}, ""},
		{"Alpine", "amd64", release("NAME=x\nID=alpine\n"), ""},
		{"Alpine on arm64", "arm64", release("ID=alpine\n"), "GitHub has no node for Alpine on arm64"},
		{"scratch", "amd64", release(""), "the image has no glibc"},
	} {
		if got := nodeLack(test.files, empty, test.arch); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}
