package work

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

var change = map[string]string{"main.go": "package main // changed\n"}

// TestWorkflow takes a push through a workflow to a green check and a
// deployment. Its deliveries alone have the run looked at.
func TestWorkflow(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.work.Pace.Watch = time.Hour
		w.serve()
		commit := w.repo.Push("mona", "main", change)
		run := w.began()
		w.until("the check is in progress", func() bool { return w.check(commit, "deploy (main)").Status == "in_progress" })
		run.Start()
		run.Complete("success")
		stored := w.comes("deploy", webhook.Succeeded)
		w.rest()
		check := w.check(commit, "deploy (main)")
		if check.Conclusion != "success" || check.ExternalID != stored.ID || check.DetailsURL != "https://clipper.example/runs/"+stored.ID || !slices.Equal(check.Actions, []string{"rerun"}) {
			t.Errorf("the check is %+v", check)
		}
		if page := fmt.Sprintf("(https://github.example/acme/app/actions/runs/%d)", run.ID); !strings.Contains(check.Summary, page) {
			t.Errorf("the check does not say where the log is: %s", check.Summary)
		}
		if all := w.repo.Deployments(); len(all) != 1 || all[0].Environment != "staging" || all[0].Statuses[len(all[0].Statuses)-1] != "success" {
			t.Errorf("the deployments are %+v", all)
		}
		hurried := 0
		for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "workflow_run"}) {
			if err == nil && d.Reason == "run "+stored.ID+" is looked at" {
				hurried++
			}
		}
		if hurried == 0 {
			t.Error("no delivery of the workflow's had the run looked at")
		}
		if run.Title != "Deploy "+stored.ID || stored.WorkflowRun != run.ID {
			t.Errorf("the workflow's run is %q, %d", run.Title, stored.WorkflowRun)
		}
	})
}

// TestTask takes a push through a task on ECS whose host is lost, to a red
// check with the last lines.
func TestTask(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
		w.serve()
		commit := w.repo.Push("mona", "main", change)
		first := w.comes("itest", webhook.Running)
		w.until("lines are shown", func() bool { return strings.Contains(w.check(commit, "itest (main)").Summary, "line 29") })
		if err := w.tasks.end(first.Task, webhook.Lost); err != nil {
			t.Fatal(err)
		}
		w.until("it runs again", func() bool {
			r := w.comes("itest", webhook.Running)
			return r.Attempt == 2 && r.Task != first.Task
		})
		if err := w.tasks.end(w.runs("itest")[0].Task, webhook.Failed); err != nil {
			t.Fatal(err)
		}
		run := w.comes("itest", webhook.Failed)
		w.rest()
		check := w.check(commit, "itest (main)")
		if run.ExitCode == nil || *run.ExitCode != 3 || check.Conclusion != "failure" || check.Title != "Failed with exit code 3" {
			t.Errorf("the run is %+v, the check %q: %s", run, check.Conclusion, check.Title)
		}
		if s := check.Summary; !strings.Contains(s, "line 999") || strings.Contains(s, "ghp_") || strings.ContainsRune(s, 0x1b) || len(s) > 65535 || !strings.Contains(s, "````") {
			t.Errorf("the summary has %d bytes: %.300s", len(s), s)
		}
		if n := len(w.tasks.tokens()); n != 2 {
			t.Errorf("%d tasks were started, want 2", n)
		}
	})
}

// TestLost loses answers of starts: what was started is found, and not started
// again.
func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault fakehub.Fault
		file  string
		state webhook.State
		runs  int
	}{
		{"done", fakehub.LostResponse, "deploy.yml", webhook.Running, 1},
		{"done, and a bad gateway", fakehub.LateBadGateway, "deploy.yml", webhook.Running, 1},
		{"half an answer", fakehub.Truncated, "deploy.yml", webhook.Running, 1},
		{"not done", fakehub.Unreachable, "deploy.yml", webhook.Ambiguous, 0},
		{"done by one that cannot be told", fakehub.LostResponse, "nameless.yml", webhook.Ambiguous, 1},
		{"too fast", fakehub.Fault{Status: 403, Message: "You have exceeded a secondary rate limit.", Header: map[string]string{"Retry-After": "1"}}, "deploy.yml", webhook.Running, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, map[string]string{".github/clipper.yml": strings.ReplaceAll(clipperYAML, "deploy.yml", tt.file)}, func(t *testing.T, w *world) {
				w.Fail("actions/create-workflow-dispatch", tt.fault, 1)
				w.serve()
				commit := w.repo.Push("mona", "main", change)
				w.comes("deploy", tt.state)
				if n := len(w.repo.Runs()); n != tt.runs {
					t.Errorf("%d workflows run, want %d", n, tt.runs)
				}
				if tt.state == webhook.Ambiguous {
					w.until("the check is neutral", func() bool { return w.check(commit, "deploy (main)").Conclusion == "neutral" })
				}
			})
		})
	}
	t.Run("of a task", func(t *testing.T) {
		both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
			w.tasks.lost = 2
			w.serve()
			w.repo.Push("mona", "main", change)
			w.comes("itest", webhook.Running)
			if n := len(w.tasks.tokens()); n != 1 {
				t.Errorf("%d tasks were started: %v", n, w.tasks.tokens())
			}
		})
	})
}

// TestFork runs a fork's commit only once somebody who may write has approved
// that commit, and no other.
func TestFork(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		w.User("eve")
		fork := w.repo.Fork("eve")
		fork.CommitTo("feature", map[string]string{"main.go": "package main // hers\n"})
		pull := w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "feature"})
		first := w.comes("test", webhook.AwaitingApproval)
		w.rest()
		check := w.check(pull.HeadSHA(), "test (main)")
		if check.Conclusion != "action_required" || !slices.Contains(check.Actions, "approve") {
			t.Fatalf("the check is %+v", check)
		}
		press := func(id int64, who string) {
			t.Helper()
			if err := w.repo.RequestAction(id, who, "approve"); err != nil {
				t.Fatal(err)
			}
			w.rest()
		}
		press(check.ID, "reader")
		if got := w.comes("test", webhook.AwaitingApproval); got.ApprovedBy != "" {
			t.Errorf("%s approved it", got.ApprovedBy)
		}
		pull.Push(map[string]string{"main.go": "package main // worse\n"})
		w.rest()
		w.until("the first lapses", func() bool {
			runs := w.runs("test")
			return len(runs) == 2 && runs[0].State == webhook.Cancelled && runs[1].State == webhook.AwaitingApproval
		})
		press(check.ID, "mona") // for what she saw, which is not the head any more
		if n := len(w.repo.Runs()); n != 0 {
			t.Fatalf("%d workflows run", n)
		}
		if check := w.check(pull.HeadSHA(), "clipper / config"); check.ID != 0 {
			t.Errorf("of a configuration that the fork does not touch there is %+v", check)
		}
		press(w.check(pull.HeadSHA(), "test (main)").ID, "mona")
		w.began()
		w.until("the second runs", func() bool { r := w.runs("test")[1]; return r.State == webhook.Running && r.ApprovedBy == "mona" })
		if r := w.runs("test")[0]; r.ID != first.ID || r.State != webhook.Cancelled {
			t.Errorf("the first is %+v", r)
		}
	})
}

// TestCommand obeys those who may write, and keeps one comment.
func TestCommand(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": strings.Replace(clipperYAML, "pull_request: {}, ", "", 1)}, func(t *testing.T, w *world) {
		w.serve()
		w.repo.CommitTo("feature", change)
		pull := w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		pull.Comment("reader", "/test")
		pull.Comment("mona", "I would not /test this")
		w.rest()
		if runs := w.runs("test"); len(runs) != 0 {
			t.Fatalf("a reader's command has %d runs", len(runs))
		}
		refused := ""
		for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "issue_comment"}) {
			if err == nil && d.Sender == "reader" {
				refused = d.Reason
			}
		}
		if !strings.Contains(refused, "reader has the permission read") {
			t.Errorf("it was refused for %q", refused)
		}
		pull.Comment("mona", "/test")
		w.began().Complete("failure")
		w.comes("test", webhook.Failed)
		pull.Comment("mona", "/test")
		w.until("it runs again", func() bool { return len(w.repo.Runs()) == 2 })
		w.repo.Runs()[1].Complete("success")
		w.until("it succeeds", func() bool { runs := w.runs("test"); return len(runs) == 2 && runs[1].State == webhook.Succeeded })
		w.rest()
		var ours []string
		for _, c := range w.repo.Comments(pull.Number) {
			if c.Login == w.app.Bot() {
				ours = append(ours, c.Body)
			}
		}
		if len(ours) != 1 || !strings.Contains(ours[0], "Succeeded") {
			t.Errorf("the comments are %q", ours)
		}
	})
}

// TestDuplicates tells one fact under several GUIDs, and several times under
// each.
func TestDuplicates(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.repo.Push("mona", "main", change)
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, d := range w.app.Deliveries() {
			if d.Event == "push" {
				w.app.Duplicate(d.GUID)
				w.app.Duplicate(d.GUID)
				w.app.Redeliver(d.GUID)
			}
		}
		w.serve()
		w.comes("deploy", webhook.Running)
		w.rest()
		w.comes("deploy", webhook.Running)
		w.began()
	})
}

// TestGroup has runs of a group go one after the other, and a new one cancel
// those before where the rule says so.
func TestGroup(t *testing.T) {
	for _, cancels := range []bool{false, true} {
		t.Run(fmt.Sprint(cancels), func(t *testing.T) {
			group := fmt.Sprintf("    concurrency: { group: g, cancel: %t, max_queue: 5 }\n  - id: test", cancels)
			both(t, map[string]string{".github/clipper.yml": strings.Replace(clipperYAML, "  - id: test", group, 1)}, func(t *testing.T, w *world) {
				w.serve()
				const n = 3
				for i := range n {
					w.repo.Push("mona", "main", map[string]string{"main.go": fmt.Sprintf("package main // %d\n", i)})
					w.until("it is decided", func() bool { return len(w.runs("deploy")) == i+1 })
				}
				done := map[int64]bool{}
				w.until("all are over", func() bool {
					going := 0
					for _, run := range w.repo.Runs() {
						if state, _, _ := run.Status(); state != "completed" {
							going++
						}
					}
					if going > 1 {
						t.Fatalf("%d run at once", going)
					}
					over := 0
					for _, r := range w.runs("deploy") {
						if r.State.Over() {
							over++
						}
						if r.State == webhook.Running && r.CancelRequested == "" && !done[r.WorkflowRun] && (!cancels || r.ID == w.runs("deploy")[n-1].ID) {
							for _, run := range w.repo.Runs() {
								if run.ID == r.WorkflowRun {
									done[run.ID] = true
									run.Complete("success")
								}
							}
						}
					}
					return over == n
				})
				runs := w.runs("deploy")
				for i, r := range runs {
					want := webhook.Succeeded
					if cancels && i < n-1 {
						want = webhook.Cancelled
					}
					if r.State != want {
						t.Errorf("run %d is %s, %s; want %s", i, r.State, r.Reason, want)
					}
				}
			})
		})
	}
}

// TestLimit parks what GitHub does not let through, and goes on after it.
func TestLimit(t *testing.T) {
	limit := fakehub.Fault{Status: 403, Message: "You have exceeded a secondary rate limit.", Header: map[string]string{"Retry-After": "1"}}
	both(t, nil, func(t *testing.T, w *world) {
		w.Fail("repos/get-content", limit, 1)
		w.Fail("checks/create", limit, 1)
		w.Fail("actions/get-workflow-run", limit, 1)
		w.serve()
		commit := w.repo.Push("mona", "main", change)
		w.began().Complete("success")
		w.comes("deploy", webhook.Succeeded)
		w.rest()
		if check := w.check(commit, "deploy (main)"); check.Conclusion != "success" {
			t.Errorf("the check is %+v", check)
		}
	})
}

// TestRequests has people cancel a run and run it again, at its check and on
// the service's pages.
func TestRequests(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		commit := w.repo.Push("mona", "main", change)
		w.comes("deploy", webhook.Running)
		w.until("it is shown", func() bool { return w.check(commit, "deploy (main)").Status == "in_progress" })
		if err := w.repo.RequestAction(w.check(commit, "deploy (main)").ID, "mona", "cancel"); err != nil {
			t.Fatal(err)
		}
		old := w.comes("deploy", webhook.Cancelled)
		w.rest()
		if err := w.repo.Rerequest(w.check(commit, "deploy (main)").ID, "mona"); err != nil {
			t.Fatal(err)
		}
		w.until("it runs again", func() bool { return len(w.repo.Runs()) == 2 })
		again := w.runs("deploy")[1]
		if run := w.repo.Runs()[1]; again.Rerun != old.ID || run.Title != "Deploy "+again.ID {
			t.Errorf("run again, it is %q of %+v", run.Title, again)
		}
		w.repo.Runs()[1].Complete("success")
		w.until("it succeeds", func() bool { return w.runs("deploy")[1].State == webhook.Succeeded })
		for _, who := range []string{"reader", "mona"} {
			id, reason, err := w.work.Request(t.Context(), rules.Request{Wish: rules.WishRerun, Run: old.ID, Commit: commit, Sender: who}, "one")
			if err != nil || (id != "") != (who == "mona") || (reason == "") != (who == "mona") {
				t.Errorf("%s is granted %q, %q, %v", who, id, reason, err)
			}
		}
		id, reason, err := w.work.Manual(t.Context(), ByHand{App: w.app.ID, Repository: repo(&old), Rule: "deploy", Sender: "mona", Nonce: "one"})
		if err != nil || id == "" {
			t.Errorf("by hand: %q, %s, %v", id, reason, err)
		}
		w.until("four run", func() bool { return len(w.repo.Runs()) == 4 })
		w.rest()
	})
}
