package runners

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook/accept"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

var server *postgres.Server

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // they wait more than they work
		panic(err)
	}
	os.Exit(postgres.Main(m, &server))
}

const workflowYAML = `
name: CI
on: workflow_dispatch
jobs:
  build: {runs-on: [%s], steps: [{run: "true"}]}
`

// world is a GitHub with an App, an ECS, and a database.
type world struct {
	*fakehub.Hub
	*cloud
	t       *testing.T
	mode    string
	db      *database.DB
	app     *fakehub.App
	repo    *fakehub.Repo
	install *fakehub.Installation
	log     *lines
	pace    Pace

	mu   sync.Mutex
	done map[int64]int // jobs, by how often they were done
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// quick is a pace for tests.
var quick = Pace{
	Pass: 100 * time.Millisecond, Least: 20 * time.Millisecond, Sweep: 100 * time.Millisecond, Lease: time.Second, Settle: 400 * time.Millisecond,
	Grace: 300 * time.Millisecond, Linger: 200 * time.Millisecond, Retry: 20 * time.Millisecond, RetryMost: 200 * time.Millisecond,
}

// modes runs a test with both ways to hear of jobs.
func modes(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	for _, mode := range []string{rules.ScaleSet, rules.JIT} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, mode, ""))
		})
	}
}

// start makes a world with a repository whose jobs want the label clipper.
func start(t *testing.T, mode, url string, change ...func(*fakehub.Config)) *world {
	t.Helper()
	config := fakehub.Config{Limits: fakehub.Unlimited, Poll: 2 * time.Second, SessionLife: 500 * time.Millisecond}
	for _, one := range change {
		one(&config)
	}
	github := fakehub.New(t, config)
	w := &world{Hub: github, t: t, mode: mode, app: github.App(fakehub.AppConfig{}), repo: github.Repo("acme/app"), log: &lines{}, pace: quick, done: map[int64]int{}}
	w.cloud = newCloud(t, github)
	w.work = func(_ context.Context, j *fakehub.Job) string { return w.did(j) }
	w.workflow(w.repo, "clipper")
	w.install = w.app.Install("acme")
	if url == "" {
		url = filepath.Join(t.TempDir(), "clipper.db")
	}
	var err error
	if w.db, err = database.Open(t.Context(), url, database.Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	handler, err := accept.New(accept.Config{Apps: []accept.App{{ID: w.app.ID, Secrets: []string{w.app.WebhookSecret}}}, Inbox: w.db, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhook", handler)
	service := httptest.NewServer(mux)
	w.app.SetWebhook(service.URL + "/webhook")
	t.Cleanup(func() {
		if err := w.Settle(context.Background()); err != nil {
			t.Error(err)
		}
		service.Close()
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range github.Problems() {
			t.Error(p)
		}
		w.secrets(t, w.log.String())
		if t.Failed() {
			t.Log(w.log)
		}
	})
	return w
}

func (w *world) workflow(r *fakehub.Repo, labels string) {
	if w.mode == rules.JIT {
		labels = "self-hosted, " + labels
	}
	r.Commit(map[string]string{".github/workflows/ci.yml": fmt.Sprintf(workflowYAML, labels)})
}

func (w *world) did(j *fakehub.Job) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[j.ID]++
	return "success"
}

// jobs is how many were done.
func (w *world) jobs() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.done)
}

func (w *world) client() *hub.Hub {
	w.t.Helper()
	signer, err := hub.ParseKey([]byte(w.app.PrivateKey))
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := hub.New(hub.Config{App: w.app.ID, Signer: signer, URL: w.APIURL, Timeout: time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// queue queues jobs of a repository.
func (w *world) queue(r *fakehub.Repo, n int) {
	w.t.Helper()
	for range n {
		d := hub.Dispatch{File: "ci.yml", Ref: "main"}
		if _, err := w.client().Dispatch(w.t.Context(), hub.Repo{Installation: w.install.ID, FullName: r.FullName}, d); err != nil {
			w.t.Fatal(err)
		}
	}
}

// fleet is one of a set with these members more.
func (w *world) fleet(members ...string) *rules.Fleet {
	w.t.Helper()
	text := "version: 1\nsets:\n- name: linux\n  owner: acme\n  labels: [clipper]\n  mode: " + w.mode +
		"\n  subnets: [subnet-0a1b2c3d]\n  execution_role: arn:aws:iam::123456789012:role/clipper\n"
	for _, m := range members {
		text += "  " + m + "\n"
	}
	f, problems := rules.ParseFleet([]byte(text))
	if problems != nil {
		w.t.Fatal(problems)
	}
	return f
}

// service is one that does not run yet.
func (w *world) service(f *rules.Fleet, change ...func(*Config)) *Runners {
	w.t.Helper()
	c := Config{
		Fleet: f, Apps: []App{{w.client(), w.Hub.URL}}, Tasks: w.cloud.service(), Parameters: w.store, Store: w.db, Pace: w.pace,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, one := range change {
		one(&c)
	}
	r, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// serve runs a service until the test ends, or the function is called.
func (w *world) serve(r *Runners) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// until waits for something to be so, or fails.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	for tick := time.Tick(10 * time.Millisecond); !is(); {
		select {
		case <-ctx.Done():
			w.t.Fatalf("not so: %s\ntasks %v, runners %+v, sets %+v", what, w.alive(), w.Runners(), w.ScaleSets())
		case <-tick:
		}
	}
}

// stays fails if something stops to be so within a moment that is long for the
// pace of tests.
func (w *world) stays(what string, is func() bool) {
	w.t.Helper()
	end := time.After(500 * time.Millisecond)
	for tick := time.Tick(5 * time.Millisecond); ; {
		if !is() {
			w.t.Fatalf("not so any more: %s\ntasks %v, runners %+v", what, w.alive(), w.Runners())
		}
		select {
		case <-end:
			return
		case <-tick:
		}
	}
}

// finished waits until so many jobs were done, each once, and nothing is left.
func (w *world) finished(jobs int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d jobs are done", jobs), func() bool { return w.jobs() == jobs })
	w.until("nothing is left", func() bool { return len(w.alive()) == 0 && len(w.Runners()) == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, times := range w.done {
		if times != 1 {
			w.t.Errorf("job %d was done %d times", id, times)
		}
	}
}

func has(names []string, name string) bool { return strings.Contains(strings.Join(names, " "), name) }

// hang takes a runner from GitHub without its task taking notice.
func (w *world) hang(name string) {
	w.t.Helper()
	w.cloud.mu.Lock()
	w.cloud.deaf = append(w.cloud.deaf, name)
	w.cloud.mu.Unlock()
	for _, r := range w.Runners() {
		if r.Name == name {
			if err := w.client().RemoveRunner(w.t.Context(), w.owner(), r.ID); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) owner() hub.Owner {
	return hub.Owner{Repo: hub.Repo{Installation: w.install.ID}, Organization: "acme"}
}

// orphan makes a runner that nobody starts.
func (w *world) orphan(name string) int64 {
	w.t.Helper()
	id, _, err := w.client().JITConfig(w.t.Context(), w.owner(), hub.JIT{Name: name, Labels: []string{"none"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) known(id int64) bool {
	for _, r := range w.Runners() {
		if r.ID == id {
			return true
		}
	}
	return false
}
