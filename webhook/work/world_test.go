package work

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/accept"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

var server *postgres.Server

func TestMain(m *testing.M) {
	if config := os.Getenv(crashVariable); config != "" {
		crash(config)
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they work
		panic(err)
	}
	os.Exit(postgres.Main(m, &server))
}

const deployYAML = `
name: Deploy
run-name: "Deploy ${{ inputs.clipper_run }}"
on: {workflow_dispatch: {inputs: {clipper_run: {}}}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

// nameless is a workflow whose runs cannot be told from each other.
const nameless = `
name: Nameless
on: workflow_dispatch
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

const clipperYAML = `version: 1
rules:
  - id: deploy
    on: { push: { branches: [main], paths: ["**.go"] }, manual: {} }
    run: { workflow: { file: deploy.yml } }
    report: { deployment: { environment: staging } }
  - id: test
    on: { pull_request: {}, comment: { command: /test } }
    run: { workflow: { file: deploy.yml } }
    forks: approve
    report: { comment: sticky }
`

const tasksYAML = `version: 1
rules:
  - id: itest
    on: { push: { branches: [main] } }
    run: { ecs: { image: "ghcr.io/acme/ci:1", command: [go, test] } }
    retries: 1
`

const policyYAML = `version: 1
repositories: ["acme/*"]
workflows: true
images: [{ match: "ghcr.io/acme/**" }]
clusters:
  default: { cluster: ci, subnets: [subnet-0a1b2c3d], execution_role: "arn:aws:iam::123456789012:role/clipper-execution" }
`

// world is a GitHub with an App on a repository, and the service's database.
type world struct {
	*fakehub.Hub
	*database.DB
	t       *testing.T
	url     string // of the database
	app     *fakehub.App
	repo    *fakehub.Repo
	install *fakehub.Installation
	tasks   *fakeTasks
	work    *Work
	ahead   atomic.Int64 // how far the service's clock is
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// both runs a test over both databases.
func both(t *testing.T, files map[string]string, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for name, url := range urls(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, url, files))
		})
	}
}

func urls(t *testing.T) map[string]string {
	return map[string]string{"SQLite": filepath.Join(t.TempDir(), "clipper.db"), "PostgreSQL": server.Database(t)}
}

// start makes a world in which deliveries are taken in, and nobody works yet.
func start(t *testing.T, url string, files map[string]string) *world {
	t.Helper()
	github := fakehub.New(t, fakehub.Config{Limits: fakehub.Unlimited})
	w := &world{Hub: github, t: t, url: url, app: github.App(fakehub.AppConfig{}), repo: github.Repo("acme/app"), tasks: &fakeTasks{dir: t.TempDir()}}
	all := map[string]string{".github/workflows/deploy.yml": deployYAML, ".github/workflows/nameless.yml": nameless, ".github/clipper.yml": clipperYAML, "main.go": "package main\n"}
	for path, text := range files {
		all[path] = text
	}
	w.repo.Commit(all)
	w.install = w.app.Install("acme", w.repo)
	github.User("mona")
	github.User("reader")
	w.repo.Permit("mona", "write")
	w.repo.Permit("reader", "read")
	w.open()
	return w
}

// open opens the database and has GitHub deliver into it.
func (w *world) open() {
	w.t.Helper()
	var err error
	if w.DB, err = database.Open(w.t.Context(), w.url, database.Options{Log: quiet, Now: w.now}); err != nil {
		w.t.Fatal(err)
	}
	handler, err := accept.New(accept.Config{Apps: []accept.App{{ID: w.app.ID, Secrets: []string{w.app.WebhookSecret}}}, Inbox: w.DB, Log: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhook", handler)
	service := httptest.NewServer(mux)
	w.app.SetWebhook(service.URL + "/webhook")
	w.work = &Work{
		DB: w.DB, GitHub: map[int64]GitHub{w.app.ID: w.client()}, Tasks: w.tasks, Policy: policy(w.t), Log: quiet, Pace: quick, Now: w.now,
		Page:     func(run *webhook.Run) string { return "https://clipper.example/runs/" + run.ID },
		Workflow: func(run *webhook.Run) string { return run.WorkflowPage("https://github.example/") },
	}
	w.t.Cleanup(func() {
		service.Close()
		w.DB.Close()
	})
}

// quick is a pace for tests.
var quick = Pace{Lease: 3 * time.Second, Watch: 100 * time.Millisecond, Resolve: 2 * time.Second, Report: 50 * time.Millisecond, Answer: time.Second, Tick: 50 * time.Millisecond}

func policy(t testing.TB) *rules.Policy {
	p, problems := rules.ParsePolicy([]byte(policyYAML))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func (w *world) client() *hub.Hub { return client(w.t, w.app.ID, w.app.PrivateKey, w.APIURL) }

func client(t testing.TB, app int64, key, url string) *hub.Hub {
	signer, err := hub.ParseKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Config{App: app, Signer: signer, URL: url, Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serve works until the test ends, or the function is called.
func (w *world) serve() (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.work.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// until waits for something to be so, or fails.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); !is(); {
		select {
		case <-ctx.Done():
			w.t.Fatalf("not so: %s\n%s", what, w.state())
		case <-tick:
		}
	}
}

// state is what the database has, for messages.
func (w *world) state() string {
	var b strings.Builder
	for d, err := range w.Deliveries(context.Background(), database.DeliveryFilter{}) {
		fmt.Fprintln(&b, d.Event, d.Action, d.State, d.Reason, err)
	}
	for r, err := range w.Runs(context.Background(), database.RunFilter{}) {
		fmt.Fprintln(&b, r.ID, r.Rule, r.State, r.Reason, r.CancelRequested, r.WorkflowRun, r.Task, r.Due, err)
		items, _ := w.Shown(context.Background(), r.ID)
		for _, i := range items {
			fmt.Fprintln(&b, "  ", i.Channel, i.Rev, i.Remote, i.Failure)
		}
	}
	return b.String()
}

// rest waits until everything that GitHub has sent was decided about, and
// everything was shown.
func (w *world) rest() {
	w.t.Helper()
	if err := w.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.until("it is at rest", func() bool {
		h, err := w.Health(w.t.Context())
		return err == nil && h.Undecided+h.Unsent == 0
	})
}

// runs are those of a rule.
func (w *world) runs(rule string) []webhook.Run {
	w.t.Helper()
	var runs []webhook.Run
	for r, err := range w.Runs(w.t.Context(), database.RunFilter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Rule == rule {
			runs = append(runs, r)
		}
	}
	return runs
}

// comes waits until the only run of a rule is in a state.
func (w *world) comes(rule string, state webhook.State) webhook.Run {
	w.t.Helper()
	var run webhook.Run
	w.until(fmt.Sprintf("the run of %s is %s", rule, state), func() bool {
		runs := w.runs(rule)
		if len(runs) > 1 {
			w.t.Fatalf("%s has %d runs\n%s", rule, len(runs), w.state())
		}
		if len(runs) == 1 {
			run = runs[0]
		}
		return run.State == state
	})
	return run
}

// check is what GitHub shows of a commit under a name, the latest.
func (w *world) check(commit, name string) fakehub.Check {
	w.t.Helper()
	var found fakehub.Check
	for _, c := range w.repo.Checks(commit) {
		if c.Name == name {
			found = c
		}
	}
	return found
}

// began is the only run of a workflow, once there is one.
func (w *world) began() *fakehub.Run {
	w.t.Helper()
	w.until("a workflow runs", func() bool { return len(w.repo.Runs()) > 0 })
	if n := len(w.repo.Runs()); n > 1 {
		w.t.Fatalf("%d workflows run", n)
	}
	return w.repo.Runs()[0]
}
