package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/actions"
	"github.com/clipperregistry/runner/test/cloud"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// The pages with workflows, which TestActionExamples and TestECSActionExamples
// run.
const (
	actionPage = "action/README.md"
	ecsPage    = "ecs/README.md"
)

// TestActionExamples runs every workflow of the action's README, word by word,
// once for each combination of its matrix. Each must promise something: the
// lines behind "# → " must come out in that order.
//
// What differs from GitHub is around the workflow. The runner image, the action
// and an action in JavaScript in place of checkout are those of this clone; the
// images are the tests' own. Containers find them at the registries' real names
// (publicHosts and the cloud's), which lead to this machine, and the machine
// finds them at a mirror.
func TestActionExamples(t *testing.T) {
	pushActionExamples(t)
	released := releasedAction(t)
	runner := pushRunner()(t)
	for _, block := range workflowExamples(t, actionPage) {
		title, _, _ := strings.Cut(strings.TrimPrefix(block.script, "# "), ":")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			w, err := actions.ParseWorkflow(block.script)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for id, job := range w.Jobs {
				for _, combination := range combinations(job.Strategy.Matrix) {
					r := newRunner(t)
					r.User = 1001
					r.Images = map[string]string{"clipperregistry/runner:1": runner}
					r.Actions = map[string]string{"clipperregistry/runner@v1": released, "actions/checkout@v7": setup}
					r.Env = map[string]string{"CLIPPER_MIRRORS": "docker.io=" + lab.Registry}
					req := actions.Request{Workflow: block.script, Job: id, Matrix: combination, Vars: map[string]string{}}
					check := withServices(t, job, &req)
					result := runJob(t, r, req)
					checkJob(t, result, "success")
					check(result)
					lines = append(lines, strings.Split(result.Log, "\n")...)
				}
			}
			checkLines(t, lines, block.output...)
		})
	}
}

// workflowExamples are a page's examples, of which none may be left out and each
// must promise something.
func workflowExamples(t *testing.T, page string) []example {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := examples(t, page, workflowFence)
	if len(blocks) == 0 || len(blocks) != strings.Count(string(text), "```yaml") {
		t.Errorf("%s has %d examples, and other workflows", page, len(blocks))
	}
	for _, block := range blocks {
		if len(block.output) == 0 {
			t.Errorf("%s line %d: the example promises nothing", page, block.line)
		}
	}
	return blocks
}

// combinations are those of a matrix, in its order; without one there is one
// job.
func combinations(matrix map[string][]any) []map[string]any {
	all := []map[string]any{{}}
	for _, name := range slices.Sorted(maps.Keys(matrix)) {
		var more []map[string]any
		for _, combination := range all {
			for _, value := range matrix[name] {
				with := maps.Clone(combination)
				with[name] = value
				more = append(more, with)
			}
		}
		all = more
	}
	return all
}

// publicHosts are the registries of the examples that are no cloud's.
var publicHosts = []string{"index.docker.io", "gcr.io", "ghcr.io"}

// withServices gives a job what it finds at GitHub: registries at their names,
// an identity, and a cache. check looks at what the job left there.
func withServices(t *testing.T, job actions.Job, req *actions.Request) (check func(*actions.Result)) {
	t.Helper()
	c := cloud.New()
	cache := httptest.NewServer(c)
	t.Cleanup(cache.Close)
	req.IDToken, req.Runtime = c.Env(), c.CacheEnv(cache.URL, cloud.PushScopes...)
	if job.Container != nil {
		withHosts(t, slices.Concat(publicHosts, cloudHosts), atGitHub(c), req)
		req.Options = "${{ vars.HOSTS }} --volume ${{ vars.CA }}/ca.pem:/ca.pem:ro --env CLIPPER_CA_CERTS=/ca.pem"
	}
	cached := slices.ContainsFunc(job.Steps, func(s actions.Step) bool {
		return slices.Contains(s.With, actions.Pair{Name: "cache", Value: "true"})
	})
	return func(result *actions.Result) {
		if entries := len(c.CacheKeys()); cached != (entries > 0) {
			t.Errorf("the cache has %d entries", entries)
		}
		for _, secret := range append(c.Secrets(), actions.GitHubToken) {
			if strings.Contains(result.Log, secret) {
				t.Errorf("the log shows the token %.12s…", secret)
			}
		}
	}
}

// atGitHub is the tests' registry under many names: open on Docker Hub and
// gcr.io, for the job's token on ghcr.io, for the cloud's tokens elsewhere.
func atGitHub(c *cloud.Cloud) http.Handler {
	registry := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lab.Registry})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v2/") {
			c.ServeHTTP(w, r)
			return
		}
		open := true
		switch user, password, _ := r.BasicAuth(); r.Host {
		case "index.docker.io", "gcr.io":
		case "ghcr.io":
			open = password == actions.GitHubToken
		default:
			open = c.Accepts(r.Host, user, password)
		}
		if !open {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		registry.ServeHTTP(w, r)
	})
}

// pushActionExamples pushes what the examples name.
func pushActionExamples(t *testing.T) {
	t.Helper()
	base := debian(t)
	app := alpine(t)
	app.Layers = append(app.Layers, stack.Tar(tarball.Build(
		tarball.Dir("usr"), tarball.Dir("usr/local"), tarball.Dir("usr/local/bin"),
		tarball.File("usr/local/bin/app", "#!/bin/sh\necho \"app 1.0\"\n", tarball.Mode(0o755)),
	)))
	static := distroless(t)
	static.Layers = append(static.Layers, stack.Tar(tarball.Build(
		tarball.Dir("etc"), tarball.File("etc/os-release", "PRETTY_NAME=\"Distroless\"\nID=\"debian\"\n"),
	)))
	for _, pushed := range []struct {
		repository, tag string
		image           stack.Image
	}{
		{"library/debian", "12", base},
		{"library/node", "24", base},
		{"library/alpine", "3.22", alpine(t)},
		{"library/golang", "1.26", golang(t)},
		{"library/postgres", "17", postgres(t)},
		{"distroless/static-debian12", "latest", static},
		{"acme/app", "1", app},
	} {
		pushTagged(t, pushed.repository, pushed.tag, pushed.image)
	}
}

// golang is Debian with the go command of this machine, where Docker's image
// has it.
func golang(t *testing.T) stack.Image {
	image := debian(t)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	// By the directory of its tools it knows where it is.
	entries := []tarball.Entry{
		tarball.Dir("usr"), tarball.Dir("usr/local"), tarball.Dir("usr/local/go"), tarball.Dir("usr/local/go/bin"),
		tarball.Dir("usr/local/go/pkg"), tarball.Dir("usr/local/go/pkg/tool"),
	}
	for _, file := range []string{"VERSION", "go.env", "bin/go"} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), file))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, tarball.File("usr/local/go/"+file, string(content), tarball.Mode(0o755)))
	}
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(entries...)))
	image.Config.Env = []string{"PATH=/go/bin:/usr/local/go/bin:" + strings.TrimPrefix(debianPath, "PATH="), "GOPATH=/go", "GOTOOLCHAIN=local"}
	image.Config.WorkingDir = "/go"
	return image
}

// postgresStart makes the database at its first start, as the entrypoint of
// Docker's image does: with a password for the network.
const postgresStart = `#!/bin/sh
set -e
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
[ "$1" = postgres ] || exec "$@"
echo "${POSTGRES_PASSWORD:?}" >/tmp/password
initdb --no-sync --username postgres --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp
`

// postgres is a database in the manner of Docker's image.
func postgres(t *testing.T) stack.Image {
	image := postgresql(t)
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(
		tarball.Dir("usr"), tarball.Dir("usr/local"), tarball.Dir("usr/local/bin"),
		tarball.File("usr/local/bin/docker-entrypoint.sh", postgresStart, tarball.Mode(0o755)),
	)))
	image.Config.Entrypoint = []string{"docker-entrypoint.sh"}
	return image
}
