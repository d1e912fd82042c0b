package work

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
)

// unprivileged has a rule that runs the code of forks as it comes.
const unprivileged = `version: 1
rules:
  - id: test
    on: { pull_request: {} }
    run: { ecs: { image: "ghcr.io/acme/ci:1" } }
    forks: unprivileged
`

// TestRerunOfFork: who has a fork's run done again has not approved it,
// whichever way they ask.
func TestRerunOfFork(t *testing.T) {
	for name, again := range map[string]func(*world, webhook.Run) error{
		"the run's button": func(w *world, run webhook.Run) error {
			return w.repo.RequestAction(w.check(run.Commit, "test (main)").ID, "mona", "rerun")
		},
		"re-run of the check": func(w *world, run webhook.Run) error {
			return w.repo.Rerequest(w.check(run.Commit, "test (main)").ID, "mona")
		},
		"re-run of all checks": func(w *world, run webhook.Run) error { return w.repo.RerequestSuite(run.Commit, "mona") },
		"the service's page": func(w *world, run webhook.Run) error {
			_, _, err := w.work.Request(w.t.Context(), rules.Request{Wish: rules.WishRerun, Run: run.ID, Commit: run.Commit, Sender: "mona"}, "one")
			return err
		},
		"the operator": func(w *world, run webhook.Run) error {
			_, err := w.work.Order(w.t.Context(), rules.WishRerun, run.ID, "the operator", "one")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, nil, func(t *testing.T, w *world) {
				w.serve()
				pull := w.forked()
				w.comes("test", webhook.AwaitingApproval)
				pull.Close("mona")
				old := w.comes("test", webhook.Cancelled)
				w.rest()
				if err := again(w, old); err != nil {
					t.Fatal(err)
				}
				w.until("there is a second run", func() bool { return len(w.runs("test")) == 2 })
				w.rest()
				run := w.runs("test")[1]
				if run.State != webhook.AwaitingApproval || run.Rerun != old.ID || len(w.repo.Runs()) != 0 {
					t.Fatalf("the second is %s, of %s, and %d workflows run", run.State, run.Rerun, len(w.repo.Runs()))
				}
				check := w.check(run.Commit, "test (main)")
				if check.ExternalID != run.ID || !slices.Contains(check.Actions, "approve") {
					t.Fatalf("the check is %+v", check)
				}
				if err := w.repo.RequestAction(check.ID, "mona", "approve"); err != nil {
					t.Fatal(err)
				}
				if began := w.began(); began.Title != "Deploy "+run.ID {
					t.Errorf("%s runs", began.Title)
				}
			})
		})
	}
	t.Run("unprivileged", func(t *testing.T) {
		both(t, map[string]string{".github/clipper.yml": unprivileged}, func(t *testing.T, w *world) {
			w.work.Policy = forksPolicy(t)
			w.tasks.ends = webhook.Failed
			w.serve()
			w.forked()
			old := w.comes("test", webhook.Failed)
			w.rest()
			if err := w.repo.Rerequest(w.check(old.Commit, "test (main)").ID, "mona"); err != nil {
				t.Fatal(err)
			}
			w.until("it runs again", func() bool {
				r := w.runs("test")
				return len(r) == 2 && r[1].State == webhook.Failed && r[1].Attempt == 1
			})
			w.rest()
		})
	})
}

// forked is a pull request from a fork of eve's.
func (w *world) forked() *fakehub.PullRequest {
	w.User("eve")
	fork := w.repo.Fork("eve")
	fork.CommitTo("feature", change)
	return w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "feature"})
}

// forksPolicy is the policy with a place for the code of forks.
func forksPolicy(t *testing.T) *rules.Policy {
	t.Helper()
	p, problems := rules.ParsePolicy([]byte(strings.Replace(policyYAML, "clusters:\n", `forks: unprivileged
clusters:
  forks: { cluster: forks, subnets: [subnet-0a1b2c3d], execution_role: "arn:aws:iam::123456789012:role/clipper-forks" }
`, 1)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// two has two rules for a push.
const two = `version: 1
rules:
  - { id: build, on: { push: {} }, run: { ecs: { image: "ghcr.io/acme/ci:1", command: [build] } } }
  - { id: lint, on: { push: {} }, run: { ecs: { image: "ghcr.io/acme/ci:1", command: [lint] } } }
`

// TestRerunAll has all runs of a commit done again by those who may write, once
// for each press, however often and however late it is told.
func TestRerunAll(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": two}, func(t *testing.T, w *world) {
		w.tasks.ends = webhook.Succeeded
		w.serve()
		commit := w.repo.Push("mona", "main", change)
		end := func(n int) {
			t.Helper()
			for _, rule := range []string{"build", "lint"} {
				w.until("all have ended", func() bool {
					runs := w.runs(rule)
					return len(runs) > 0 && !slices.ContainsFunc(runs, func(r webhook.Run) bool { return !r.State.Over() })
				})
			}
			w.rest()
			for _, rule := range []string{"build", "lint"} {
				runs := w.runs(rule)
				if len(runs) != n {
					t.Fatalf("%s has %d runs, want %d\n%s", rule, len(runs), n, w.state())
				}
				if last := runs[n-1]; n > 1 && last.Rerun != runs[n-2].ID {
					t.Errorf("run %d of %s is %s done again, want %s", n, rule, last.Rerun, runs[n-2].ID)
				}
			}
		}
		press := func(who string) {
			t.Helper()
			if err := w.repo.RerequestSuite(commit, who); err != nil {
				t.Fatal(err)
			}
			w.rest()
		}
		again := func() {
			for _, d := range w.app.Deliveries() {
				if d.Event == "check_suite" && d.Action == "rerequested" {
					w.app.Duplicate(d.GUID)
				}
			}
			w.rest()
		}
		end(1)
		press("reader")
		end(1)
		w.Advance(2 * time.Second) // GitHub's times are of seconds
		press("mona")
		end(2)
		again()
		end(2)
		press("mona")
		end(3)
		again()
		end(3)
		if n := len(w.tasks.tokens()); n != 6 {
			t.Errorf("%d tasks were started, want 6", n)
		}
	})
}
