package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// crashVariable has this test's program be the service, as crashing says, until
// nothing is left to do.
const crashVariable = "CLIPPER_WORK_CRASH_TEST"

// crashing is a service that kills itself after an effect.
type crashing struct {
	Database, GitHub, Key, Tasks string
	App                          int64
	After                        string // "" is never
}

func crash(config string) {
	if err := crashingService(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func crashingService(config string) error {
	var c crashing
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	db, err := database.Open(context.Background(), c.Database, database.Options{Log: quiet})
	if err != nil {
		return err
	}
	defer db.Close()
	p, problems := rules.ParsePolicy([]byte(policyYAML))
	if len(problems) > 0 {
		return problems
	}
	w := &Work{
		DB: db, GitHub: map[int64]GitHub{c.App: client(nil, c.App, c.Key, c.GitHub)}, Tasks: &fakeTasks{dir: c.Tasks, ends: webhook.Succeeded},
		Policy: p, Log: quiet, Pace: quick,
		did: func(effect string) {
			if effect == c.After {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing comes after it
			}
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	go func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
			if h, err := db.Health(ctx); err == nil && h.Undecided+h.Unsent == 0 && h.Unended == ambiguous(ctx, db) {
				cancel()
			}
		}
	}()
	return w.Run(ctx)
}

// ambiguous counts the runs that wait for a person.
func ambiguous(ctx context.Context, db *database.DB) (n int) {
	for _, err := range db.Runs(ctx, database.RunFilter{State: webhook.Ambiguous}) {
		if err == nil {
			n++
		}
	}
	return n
}

// TestCrash kills the service after every effect that it has, be it a commit or
// a request, and has another go on: each time the same comes of it, once. Only
// a workflow whose start was intended, and of which nobody knows whether it was
// asked for, is left to a person: so it is if the kill comes then, be it while
// something is shown.
func TestCrash(t *testing.T) {
	for _, job := range []struct {
		name, config, check string
		effects             []string
	}{
		{"workflow", clipperYAML, "deploy (main)", []string{"decided", "starting", "started", "running", "again", "succeeded", "shown", "sent"}},
		{"task", tasksYAML, "itest (main)", []string{"decided", "starting", "started", "running", "finishing", "succeeded", "shown", "sent"}},
	} {
		for _, after := range job.effects {
			t.Run(job.name+" "+after, func(t *testing.T) {
				both(t, map[string]string{".github/clipper.yml": job.config}, func(t *testing.T, w *world) {
					w.crashes(t, after)
					w.open()
					commit, n := w.repo.Checks("")[0].HeadSHA, 0
					want, times := "success", 1
					if ambiguous(t.Context(), w.DB) == 1 && job.name == "workflow" && (after == "starting" || after == "shown" || after == "sent") {
						want, times = "neutral", 0
					}
					for _, c := range w.repo.Checks(commit) {
						if c.Name == job.check {
							n++
						}
					}
					if c := w.check(commit, job.check); n != 1 || c.Conclusion != want {
						t.Errorf("there are %d checks, the last %+v\n%s", n, c, w.state())
					}
					if effects := len(w.repo.Runs()) + len(w.tasks.tokens()); effects != times {
						t.Errorf("it was started %d times", effects)
					}
				})
			})
		}
	}
}

// crashes has a service killed after an effect, and then another one work until
// nothing is left to do. Workflows that run succeed.
func (w *world) crashes(t *testing.T, after string) {
	t.Helper()
	w.repo.Push("mona", "main", change)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.app.SetWebhook("")
	if err := w.DB.Close(); err != nil { // a file is one server's
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if after != "again" { // which they have to run for
		go w.completes(ctx)
	}
	for _, end := range []string{after, ""} {
		config, err := json.Marshal(crashing{Database: w.url, GitHub: w.APIURL, Key: w.app.PrivateKey, Tasks: w.tasks.dir, App: w.app.ID, After: end})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), crashVariable+"="+string(config))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if end != "" && !killed || end == "" && err != nil {
			t.Fatalf("the service ended with %v: %s", err, out)
		}
		if after == "again" && end != "" {
			go w.completes(ctx)
		}
	}
}

// completes has all workflows succeed, until ctx is done.
func (w *world) completes(ctx context.Context) {
	for tick := time.Tick(50 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		for _, run := range w.repo.Runs() {
			if state, _, _ := run.Status(); state != "completed" {
				run.Complete("success")
			}
		}
	}
}
