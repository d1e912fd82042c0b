package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/runners"
	"github.com/clipperregistry/runner/webhook/task"
)

const runnersYAML = `version: 1
sets:
- name: linux
  owner: acme
  labels: [clipper, linux]
  subnets: [subnet-0a1b2c3d]
  execution_role: arn:aws:iam::123456789012:role/clipper
`

// TestRunners: the sets of the file are kept, and their figures shown.
func TestRunners(t *testing.T) {
	tasks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ListTasks") {
			_, _ = w.Write([]byte(`{"taskArns": []}`)) // the caller may have gone
			return
		}
		w.WriteHeader(http.StatusNotImplemented)
	}))
	t.Cleanup(tasks.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": tasks.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	s := settings(t)
	s.Runners = filepath.Join(t.TempDir(), "runners.yml")
	if err := os.WriteFile(s.Runners, []byte(runnersYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s)
	w.until("there is a scale set", func() bool {
		sets := w.ScaleSets()
		return len(sets) == 1 && sets[0].Name == "linux" && strings.Join(sets[0].Labels, " ") == "clipper linux"
	})
	w.until("its figures are shown", func() bool {
		_, text, _ := w.get(w.admin + "/metrics")
		return strings.Contains(text, `clipper_runners_tasks{owner="acme",set="linux"} 0`)
	})
}

// passes are tasks of ECS that count how often a set looks at its own.
type passes struct {
	runners.Tasks
	n atomic.Int32
}

func (p *passes) List(context.Context, task.Job) ([]string, error) {
	p.n.Add(1)
	return nil, nil
}

func (p *passes) Describe(context.Context, []string) ([]task.Truth, error) { return nil, nil }

// TestNudge: a delivery about a job has its sets looked at, once it is stored,
// and no other has.
func TestNudge(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		github := fakehub.New(t, fakehub.Config{})
		app := github.App(fakehub.AppConfig{})
		repo := github.Repo("acme/app")
		repo.Commit(map[string]string{"main.go": "package main\n"})
		app.Install("acme", repo)
		signer, err := hub.ParseKey([]byte(app.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		h, err := hub.New(hub.Config{App: app.ID, Signer: signer, URL: github.APIURL})
		if err != nil {
			t.Fatal(err)
		}
		db, err := database.Open(t.Context(), s.Database, database.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		fleet, problems := rules.ParseFleet([]byte(runnersYAML + "  mode: jit\n"))
		if problems != nil {
			t.Fatal(problems)
		}
		looked := &passes{}
		r, err := runners.New(runners.Config{
			Fleet: fleet, Apps: []runners.App{{GitHub: h}}, Tasks: looked, Parameters: func(string) task.Parameters { return nil }, Store: db,
			Pace: runners.Pace{Pass: time.Hour, Sweep: time.Hour, Least: time.Millisecond}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := errors.Join(<-done, db.Close()); err != nil {
				t.Error(err)
			}
		})
		until := func(n int32) {
			t.Helper()
			end := time.After(time.Minute)
			for tick := time.Tick(10 * time.Millisecond); looked.n.Load() < n; {
				select {
				case <-end:
					t.Fatalf("there were %d passes, want %d", looked.n.Load(), n)
				case <-tick:
				}
			}
		}
		until(1)

		accept := func(takes inbox, guid, event, fullName string) {
			t.Helper()
			d := webhook.Delivery{App: app.ID, GUID: guid, Event: event, Head: webhook.Head{FullName: fullName}, Body: []byte(`{}`)}
			if _, err := takes.Accept(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		takes := inbox{db, r}
		accept(takes, "job", "workflow_job", "acme/app")
		until(2)
		accept(takes, "job", "workflow_job", "acme/app") // once more
		accept(takes, "push", "push", "acme/app")
		accept(takes, "other", "workflow_job", "elsewhere/app")
		accept(inbox{DB: db}, "none", "workflow_job", "acme/app") // there are no runners
		if err := watch.Sleep(t.Context(), 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if n := looked.n.Load(); n != 2 {
			t.Errorf("there were %d passes", n)
		}
		accept(takes, "another", "workflow_job", "acme/app")
		until(3)
	})
}
