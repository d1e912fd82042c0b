package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/clipperregistry/runner/test/browser"
	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestBrowser is a day of mona's, who has no mouse.
func TestBrowser(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		history(w)
		w.SignIn("mona")
		b := browser.Open(t, "../..")
		b.Go(w.url + "/")
		b.Shows("h1", "Clipper")
		b.Check("sign-in")
		b.Press("a.button")
		b.Shows("h1", "Deliveries")

		// A delivery arrives while she looks.
		b.Do("wait for the stream", chromedp.WaitVisible("[data-connection]"))
		b.Shows("tbody", "opened")
		rec := w.push(w.repo, map[string]string{"main.go": "package main // live"})
		b.Shows("tbody", "push")
		b.Do("wait for the row", chromedp.WaitVisible(fmt.Sprintf(`a[href="/deliveries/%s"]`, rec.GUID)))
		b.Shows("#say", " of acme/app")
		run := w.run(rec, "liverun", webhook.Running, func(r *webhook.Run) { r.Started = r.Created.Add(4 * time.Second) })
		b.Check("deliveries")

		b.Press(fmt.Sprintf(`a[href="/deliveries/%s"]`, rec.GUID))
		b.Shows("h2", "What the rules say")
		b.Shows(".decision", "itest")
		b.Check("delivery")
		b.Press(`form[action$="/replay"] button`)
		b.Shows(".said", "decided again")

		// She follows a run's log to its end.
		w.logs.say(run.ID, "\x1b[2m$ go test ./...\x1b[0m", "\x1b[32mok\x1b[0m  \tgithub.com/acme/app/api\t1.204s", "\x1b[32mok\x1b[0m  \tgithub.com/acme/app/store\t3.871s")
		b.Press(`a[href="/runs"]`)
		b.Shows("h1", "Runs")
		b.Check("runs")
		b.Press(`a[href="/runs/liverun"]`)
		b.Shows(".log", "acme/app/store")
		w.logs.say(run.ID, "\x1b[33mwarning:\x1b[0m slow test TestMigrate (2.9s)", "\x1b[1;31m--- FAIL: TestQuota\x1b[0m (0.02s)", "    quota_test.go:41: got 3 slots, want 4", "\x1b[32mok\x1b[0m  \tgithub.com/acme/app/web\t0.402s")
		b.Shows(".log", "acme/app/web")
		b.Check("run")
		w.logs.say(run.ID, "<script>document.title='hacked'</script>")
		b.Shows(".log", "hacked")
		w.move(run.ID, webhook.Failed, "exit code 1")
		w.logs.end(run.ID)
		b.Shows("#run-state .state", "failed")
		b.Shows("#say", "The run is now: failed")

		// And approves code from a fork.
		b.Press(`a[href="/runs"]`)
		b.Shows("h1", "Runs")
		w.move("release2", webhook.Starting, "")
		b.Shows("#r-release2 .state", "starting")
		b.Press(`a[href="/runs/forkrun"]`)
		b.Shows("#run-state .state", "awaiting approval")
		b.Check("approval")
		b.Press(`form[action$="/approve"] button`)
		b.Shows(".said", "approved")
		b.Shows(".time", "approved by mona")

		b.Press(`a[href="/repositories"]`)
		b.Shows("h1", "Repositories")
		b.Check("repositories")
		b.Press(fmt.Sprintf(`a[href="/repositories/%d"]`, w.repo.ID))
		b.Shows("h1", "acme/app")
		b.Check("repository")
		b.Press(`form[action*="/rules/release/start/"] button`)
		b.Shows(".said", "started by hand")
		b.Press(`a[href="/health"]`)
		b.Shows("h1", "Health")
		b.Check("health")

		if asked := w.orders.asked(); asked != "replay by mona, approve by mona, start release by mona" {
			t.Errorf("asked was %q", asked)
		}
		var title string
		b.Do("read the title", chromedp.Title(&title))
		if complaints := b.Complaints(); strings.Contains(title, "hacked") || len(complaints) > 0 {
			t.Errorf("the browser complains under %q: %q", title, complaints)
		}
	})
}

// history is what happened before.
func history(w *world) {
	w.t.Helper()
	sha := w.repo.Push("mona", "main", map[string]string{"README.md": "# App\n"})
	w.repo.PushTag("mona", "v1.4.0", sha)
	w.repo.PublishRelease("mona", "v1.4.0")
	w.User("contributor")
	fork := w.repo.Fork("contributor")
	fork.CommitTo("quota", map[string]string{"quota.go": "package app\n"})
	w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "quota", Login: "contributor", Title: "Count slots right"})
	w.settle()
	for rec, err := range w.db.Deliveries(w.t.Context(), database.DeliveryFilter{Repositories: []int64{w.repo.ID}}) {
		w.must(err)
		switch {
		case rec.Event == "pull_request":
			w.run(rec, "forkrun", webhook.AwaitingApproval, func(r *webhook.Run) {
				r.Fork, r.PullRequest, r.Ref, r.Reason = true, 1, "refs/pull/1/head", "code from a fork runs once someone who may write approves this commit"
			})
			w.decided(rec, "")
		case rec.Event == "release" && rec.Action == "published":
			w.run(rec, "release", webhook.Succeeded, func(r *webhook.Run) {
				r.Rule, r.RuleKey, r.Started, r.Ended = "release", webhook.RuleKey(rec.App, rec.Repository, "release"), r.Created.Add(3*time.Second), r.Created.Add(94*time.Second)
			})
			w.run(rec, "release2", webhook.Queued)
			w.decided(rec, "")
		case rec.Event == "push":
			w.run(rec, "run"+rec.GUID[:6], webhook.Failed, func(r *webhook.Run) {
				r.Started, r.Ended, r.Reason = r.Created.Add(5*time.Second), r.Created.Add(71*time.Second), "exit code 1"
			})
			w.decided(rec, "")
		default:
			w.decided(rec, "no rule is for this event")
		}
	}
}

// decided stores that a delivery was decided about. With no reason, it has a
// run.
func (w *world) decided(rec database.Record, reason string) {
	w.t.Helper()
	var runs []database.NewRun
	if reason == "" {
		for run, err := range w.db.Runs(w.t.Context(), database.RunFilter{Delivery: rec.GUID}) {
			w.must(err)
			runs = append(runs, database.NewRun{Run: run})
		}
	}
	_, err := w.db.Decided(w.t.Context(), rec.App, rec.GUID, reason, runs...)
	w.must(err)
}
