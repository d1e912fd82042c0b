package e2e

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/test/actions"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// checkAnnotation fails the test if no error annotation has this text.
func checkAnnotation(t *testing.T, r *actions.Result, text string) {
	t.Helper()
	if !slices.ContainsFunc(r.Annotations, func(a actions.Annotation) bool { return a.Level == "error" && strings.Contains(a.Message, text) }) {
		t.Errorf("no annotation says %q; there are %v", text, r.Annotations)
	}
}

// keep puts a file into the workspace of a runner. The returned function fails
// the test if anything there is not as it was.
func keep(t *testing.T, r *actions.Runner) (check func()) {
	t.Helper()
	file := filepath.Join(r.Workspace(), "of-the-user")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("precious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		entries, err := os.ReadDir(r.Workspace())
		content, _ := os.ReadFile(file)
		if err != nil || len(entries) != 1 || string(content) != "precious\n" {
			t.Errorf("the workspace is not as it was: %v, %v, %q", entries, err, content)
		}
	}
}

// initAlone is a job that does nothing but lay an image out.
const initAlone = `
jobs:
  test:
    container:
      image: ${{ vars.RUNNER }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.IMAGE }}
        CLIPPER_CREDENTIALS: ${{ secrets.CREDENTIALS }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
    steps:
    - {id: init, run: /.clipper-runner/github-init}
    - {id: next, run: "true"}
    - {id: always, if: always(), run: echo still a shell}
`

// TestBadInput: what a person may get wrong has an annotation that says so, the
// exit code of its kind, and no other effect.
func TestBadInput(t *testing.T) {
	pushIndex(t, "gha/arm64", "arm64")
	for _, test := range []struct {
		name, image, credentials string
		private                  bool
		code, annotation         string
	}{
		{name: "unset", code: "87", annotation: "no image is named"},
		{name: "malformed", image: "UPPER CASE::", code: "87", annotation: "UPPER CASE"},
		{name: "missing", image: "gha/nowhere:1", code: "82", annotation: "gha/nowhere"},
		{name: "anonymous", image: "gha/arm64:e2e", private: true, code: "81", annotation: "CLIPPER_CREDENTIALS"},
		{name: "refused", image: "gha/arm64:e2e", credentials: "user:wrong-password", private: true, code: "81", annotation: "access denied"},
		{name: "platform", image: "gha/arm64:e2e", code: "83", annotation: "linux/arm64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var handler http.Handler
			if test.private {
				handler = private("user", "right-password")
			}
			workflow := initAlone
			if strings.HasPrefix(test.image, "gha/") {
				workflow = strings.ReplaceAll(workflow, "vars.IMAGE", "vars.REGISTRY }}/${{ vars.IMAGE")
			}
			req := newRequest(t, workflow, handler)
			req.Vars["IMAGE"], req.Secrets = test.image, map[string]string{"CREDENTIALS": test.credentials}
			r := newRunner(t)
			untouched := keep(t, r)
			result := runJob(t, r, req)
			checkJob(t, result, "failure", "##[error]Process completed with exit code "+test.code+".", "still a shell")
			checkAnnotation(t, result, test.annotation)
			if strings.Contains(result.Log, "wrong-password") {
				t.Error("the log shows the password")
			}
			untouched()
		})
	}
}

// TestSecret: a secret in the container's env: is used for the pull, is in no
// log, and no later step finds it where it was.
func TestSecret(t *testing.T) {
	t.Parallel()
	workflow := strings.Replace(initAlone, `"true"`, `'echo "credentials are $CLIPPER_CREDENTIALS"; env'`, 1)
	req := newRequest(t, workflow, private("user", "s3cret-of-a-person"))
	req.Workflow = strings.ReplaceAll(req.Workflow, "${{ vars.IMAGE }}", "${{ vars.REGISTRY }}/gha/secret:e2e")
	req.Secrets = map[string]string{"CREDENTIALS": "user:s3cret-of-a-person"}
	lab.Push(t, "gha/secret", shellAlone(t))
	result := runJob(t, newRunner(t), req)
	checkJob(t, result, "success", "credentials are -")
	if strings.Contains(result.Log, "s3cret") {
		t.Error("the log shows the password")
	}
}

// pushIndex pushes an index with one image, for this architecture.
func pushIndex(t *testing.T, repository, arch string) {
	t.Helper()
	image := shellAlone(t)
	image.Arch = arch
	ref, err := name.ParseReference(lab.Push(t, repository, image), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestUnfitEnvironment: what GitHub cannot pass on is named in a warning, and
// the job goes on.
func TestUnfitEnvironment(t *testing.T) {
	t.Parallel()
	image := shellAlone(t)
	image.Config.Env = append(image.Config.Env,
		"BIG="+strings.Repeat("x", 1<<20), "TWO\nLINES=in its name", "dotted.name=fine",
		"NODE_OPTIONS=--no-warnings", "DOCKER_HOST=tcp://nowhere", "GOMEMLIMIT=nonsense", "LD_PRELOAD=/none.so", "GITHUB_SHA=forged", "KEPT=yes",
	)
	req := newRequest(t, strings.Replace(initAlone, `"true"`, `'echo "kept=$KEPT big=${#BIG} docker=$DOCKER_HOST sha=$GITHUB_SHA"'`, 1), nil)
	req.Vars["IMAGE"] = "" // set below, with the registry
	req.Workflow = strings.ReplaceAll(req.Workflow, "${{ vars.IMAGE }}", "${{ vars.REGISTRY }}/gha/unfit:e2e")
	lab.Push(t, "gha/unfit", image)
	result := runJob(t, newRunner(t), req)
	checkJob(t, result, "success", "kept=yes big=0 docker= sha=ffac537e6cbbf934b08745a378932722df287a53")
	for _, name := range []string{"BIG", "NODE_OPTIONS", "TWO"} {
		if !slices.ContainsFunc(result.Annotations, func(a actions.Annotation) bool {
			return a.Level == "warning" && strings.Contains(a.Message+a.Properties["title"], name)
		}) {
			t.Errorf("no warning names %s: %v", name, result.Annotations)
		}
	}
	if !slices.ContainsFunc(result.Annotations, func(a actions.Annotation) bool {
		return strings.Contains(a.Message+a.Properties["title"], "DOCKER_HOST")
	}) {
		t.Errorf("nobody says that DOCKER_HOST was left out: %v", result.Annotations)
	}
}

// stuck is the tests' registry, in which blobs wait until they are let go. It
// tells when the first is asked for.
func stuck(t *testing.T) (handler http.Handler, asked <-chan struct{}, letGo func()) {
	registry := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lab.Registry})
	first, free := make(chan struct{}), make(chan struct{})
	var once, open sync.Once
	letGo = func() { open.Do(func() { close(free) }) }
	t.Cleanup(letGo)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			once.Do(func() { close(first) })
			select {
			case <-free:
			case <-r.Context().Done():
			}
		}
		registry.ServeHTTP(w, r)
	}), first, letGo
}

// TestCancelledJob cancels a job in the middle of a pull. GitHub ends the docker
// command, not what it started: that goes on, and a step that runs always()
// waits for it.
func TestCancelledJob(t *testing.T) {
	t.Parallel()
	handler, asked, letGo := stuck(t)
	req := newRequest(t, strings.ReplaceAll(initAlone, "vars.IMAGE", "vars.REGISTRY }}/${{ vars.IMAGE"), handler)
	req.Vars["IMAGE"] = strings.TrimPrefix(lab.Push(t, "gha/cancelled", alpine(t)), lab.Registry+"/")
	req.HostNetwork = true // the registry is on the loopback then
	cancel, begun := make(chan struct{}), make(chan struct{})
	req.Cancel = cancel
	go func() {
		<-asked
		<-begun
		close(cancel)
	}()
	req.Output = func(line string) {
		switch {
		case line == "##[group]Run /.clipper-runner/github-init":
			close(begun)
		case strings.Contains(line, "The operation was canceled."):
			letGo()
		}
	}
	r := newRunner(t)
	untouched := keep(t, r)
	result := runJob(t, r, req)
	checkJob(t, result, "cancelled", "still a shell")
	for id, want := range map[string]string{"init": "cancelled", "next": "skipped", "always": "success"} {
		if got := result.Step(id).Outcome; got != want {
			t.Errorf("step %s: %s, want %s", id, got, want)
		}
	}
	untouched()
}

// TestTerminatedInit sends SIGTERM to github-init itself, and runs it again.
func TestTerminatedInit(t *testing.T) {
	t.Parallel()
	handler, asked, letGo := stuck(t)
	// Without an image in the container's own settings nothing else pulls.
	req := newRequest(t, `
jobs:
  test:
    container:
      image: ${{ vars.RUNNER }}
      env: {CLIPPER_INSECURE_REGISTRIES: "${{ vars.REGISTRY }}"}
    env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/gha/terminated:e2e"}
    steps:
    - {id: init, run: exec /.clipper-runner/github-init}
    - {id: again, if: always(), run: /.clipper-runner/github-init}
    - {if: always(), run: 'grep ^ID= /etc/os-release'}
`, handler)
	lab.Push(t, "gha/terminated", alpine(t))
	ctx, done := context.WithCancel(t.Context())
	defer done()
	go func() {
		select {
		case <-asked:
		case <-ctx.Done():
			return
		}
		terminate(t, "/.clipper-runner/github-init\x00", "/gha/terminated:e2e\x00")
		letGo()
	}()
	r := newRunner(t)
	untouched := keep(t, r)
	result := runJob(t, r, req)
	checkJob(t, result, "failure", "##[error]Process completed with exit code 89.", "ID=alpine")
	checkAnnotation(t, result, "Interrupted before the image was laid out")
	if got := result.Step("again").Outcome; got != "success" {
		t.Errorf("the second github-init: %s", got)
	}
	untouched()
}

// terminate sends SIGTERM to the processes of this machine's containers whose
// command line is this, and that have this in their environment.
func terminate(t *testing.T, command, variable string) {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Error(err)
	}
	found := false
	for _, file := range processes {
		line, _ := os.ReadFile(file) // it may be gone
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		if string(line) != command || !strings.Contains(string(environ), variable) {
			continue
		}
		var pid int
		for _, digit := range filepath.Base(filepath.Dir(file)) {
			pid = 10*pid + int(digit-'0')
		}
		found = true
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	if !found {
		t.Errorf("no process %q", command)
	}
}

// TestNoSpace: an image that is larger than the machine's disk.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	lab.Push(t, "gha/large", stack.Image{Layers: []stack.Layer{stack.Tar(tarball.Build(noise("noise", 48<<20)))}})
	data := filepath.Join(lab.Scratch(t), "docker")
	mountSmall(t, data)
	r := newRunner(t)
	r.DockerHost = lab.StartEngine(t, "overlay2", data).Host
	req := newRequest(t, strings.ReplaceAll(initAlone, "${{ vars.IMAGE }}", "${{ vars.REGISTRY }}/gha/large:e2e"), nil)
	untouched := keep(t, r)
	result := runJob(t, r, req)
	checkJob(t, result, "failure", "##[error]Process completed with exit code 84.", "still a shell")
	checkAnnotation(t, result, "space")
	untouched()
}
