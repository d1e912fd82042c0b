package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/actions"
)

// setup is the action acme/setup@v1 of the tests' workflows.
const setup = "testdata/setup-action"

// newRunner makes a runner of GitHub's for one test, with node 24 at /__e.
func newRunner(t *testing.T) *actions.Runner {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	externals := filepath.Join(root, ".setup", "externals")
	if _, err := os.Stat(filepath.Join(externals, "node24/bin/node")); err != nil {
		t.Fatalf("no node for JavaScript actions (run `make test`, which fetches it): %v", err)
	}
	return &actions.Runner{
		DockerHost: lab.Engine.Host, Dir: lab.Scratch(t), Externals: externals,
		Actions: map[string]string{"acme/setup@v1": setup},
		// The replay's attempts are those of the runner; only the waiting
		// between them is shorter.
		Wait: func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d / 10):
				return nil
			}
		},
	}
}

// pushRunner pushes the runner image, because GitHub's runner pulls images
// always, and returns its name for an engine.
var pushRunner = sync.OnceValue(func() func(t *testing.T) string {
	var once sync.Once
	var ref string
	return func(t *testing.T) string {
		t.Helper()
		once.Do(func() { ref = lab.PushArchive(t, "clipperregistry/runner", "../../dist/runner-image-amd64.tar") })
		return ref
	}
})

// newRequest is a job of a workflow whose vars are
//
//	RUNNER    the runner image
//	REGISTRY  the registry as the job's containers reach it
//
// beside those given. A registry that is asked through handler replaces the
// tests' own.
func newRequest(t *testing.T, workflow string, handler http.Handler) actions.Request {
	t.Helper()
	if handler == nil {
		handler = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lab.Registry})
	}
	return actions.Request{
		Workflow: workflow,
		Vars:     map[string]string{"RUNNER": pushRunner()(t)},
		Listen: func(address string) map[string]string {
			return map[string]string{"REGISTRY": serveAt(t, address, handler)}
		},
	}
}

// serveAt serves on a free port of this machine's address in a job's network,
// which the job's containers reach, and returns host:port.
func serveAt(t *testing.T, address string, handler http.Handler) string {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Error(err)
		return ""
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

// private is the tests' registry behind a password.
func private(user, password string) http.Handler {
	registry := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lab.Registry})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		registry.ServeHTTP(w, r)
	})
}

// runJob runs a job and shows its log if the test fails.
func runJob(t *testing.T, r *actions.Runner, req actions.Request) *actions.Result {
	t.Helper()
	result, err := r.Run(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for line := range strings.Lines(result.Log) {
				if len(line) > 500 {
					line = line[:500] + "…\n"
				}
				t.Log(strings.TrimRight(line, "\n"))
			}
		}
	})
	return result
}

// checkJob fails the test if the job ended otherwise, or if these lines are not
// in its log in this order.
func checkJob(t *testing.T, r *actions.Result, conclusion string, lines ...string) {
	t.Helper()
	if r.Conclusion != conclusion {
		t.Errorf("the job ends as %s, want %s", r.Conclusion, conclusion)
	}
	checkLines(t, strings.Split(r.Log, "\n"), lines...)
}

// checkLines fails the test if these lines are not there in this order.
func checkLines(t *testing.T, lines []string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		at := slices.Index(lines, want)
		if at < 0 {
			t.Errorf("%q does not come out, or not in that order", want)
			continue
		}
		lines = lines[at+1:]
	}
}

// TestReplay runs a job in an ordinary image, so that a difference in the tests
// of the runner image is not the replay's.
func TestReplay(t *testing.T) {
	t.Parallel()
	req := newRequest(t, `
name: CI
env: {LEVEL: workflow}
jobs:
  test:
    container:
      image: ${{ vars.PRIVATE }}
      credentials: {username: reader, password: "${{ secrets.PASSWORD }}"}
      env: {IN_CONFIG: "yes", LEVEL: container, HOME: /nowhere}
      options: --user root --hostname replay
    services:
      web:
        image: ${{ vars.IMAGE }}
        options: --health-cmd "test -e /tmp/up" --health-interval 200ms --health-retries 50
        entrypoint: sh
        command: -c "sleep 1; touch /tmp/up; sleep 100"
    steps:
    - {uses: acme/setup@v1, with: {greeting: hi}}
    - run: |
        echo "shell: ${0##*.} $- as $(id -u) in $(pwd), home $HOME, level $LEVEL, config $IN_CONFIG$CI$GITHUB_ACTIONS"
        from-setup "$SETUP"
        echo "path: ${PATH#*/setup:}"
        getent hosts web >/dev/null && echo the service has its name
        ls -d "$GITHUB_WORKSPACE" "$RUNNER_TEMP" "$RUNNER_TOOL_CACHE" "$GITHUB_EVENT_PATH" /__w/_actions
    - {shell: bash, run: 'set -o | grep pipefail; echo PATH=/from-env >>"$GITHUB_ENV"'}
    - run: 'echo "path still: ${PATH#*/setup:}"'
    - run: head -c 140000 /dev/zero | tr "\0" x | sed "s/^/BIG=/" >>"$GITHUB_ENV"
    - {id: after, run: "true"}
`, nil)
	req.Secrets = map[string]string{"PASSWORD": "s3cret-of-a-person"}
	image := lab.Push(t, "gha/debian", debian(t))
	req.Vars["IMAGE"] = image
	req.Vars["PRIVATE"] = strings.Replace(image, lab.Registry, serveAt(t, "127.0.0.1", private("reader", "s3cret-of-a-person")), 1)
	result := runJob(t, newRunner(t), req)
	const says = ": hi from /__e/node24/bin/node in /__w/app/app, workspace /__w/app/app, home /github/home, child 42, state "
	path := strings.TrimPrefix(debianPath, "PATH=")
	checkJob(t, result, "failure",
		"web service is healthy.", "pre"+says, "main"+says+"in pre",
		"shell: sh e as 0 in /__w/app/app, home /github/home, level workflow, config yestruetrue",
		"from-setup: two", "lines", "path: "+path, "the service has its name",
		"/__t", "/__w/_actions", "/__w/_temp", "/__w/app/app", "/github/workflow/event.json",
		"pipefail       \ton", "path still: "+path)
	if strings.Contains(result.Log, "s3cret") {
		t.Error("the log shows the password")
	}
	// One variable of GITHUB_ENV that is too long stops every step after it.
	if got := result.Step("after").Outcome; got != "failure" || !strings.Contains(result.Log, "argument list too long") {
		t.Errorf("the step after a variable of 140 kB: %s", got)
	}
}
