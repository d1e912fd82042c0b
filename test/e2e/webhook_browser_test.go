package e2e

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/clipperregistry/runner/test/browser"
	"github.com/clipperregistry/runner/test/fakehub"
)

var screenshots = flag.String("screenshots", "", "directory to write pictures of the service's pages to")

// TestWebhookBrowser is a day of mona's, who has a keyboard and no mouse, in
// front of the service's pages: what she sees and asks for happens on a GitHub
// and in containers.
func TestWebhookBrowser(t *testing.T) {
	t.Parallel()
	w := newWebhookWorld(t)
	w.SignIn("mona")
	b := browser.Open(t, "../..")
	picture := func(name string, height int64) {
		t.Helper()
		b.Check(name)
		if *screenshots != "" {
			b.Picture(filepath.Join(*screenshots, name+".png"), height)
		}
	}
	b.Go(w.url + "/")
	b.Press("a.button")
	b.Shows("h1", "Deliveries")

	// Deliveries arrive while she looks.
	b.Do("wait for the stream", chromedp.WaitVisible("[data-connection]"))
	w.repo.Push("mona", "main", map[string]string{"README.md": "# Slots\n"})
	b.Shows("tbody", "push")
	own := w.pull("bookings-by-day", map[string]string{"README.md": "# Slots, by day\n"})
	b.Shows("tbody", "opened")
	b.Shows("tbody", "matched")
	b.Check("the inbox while deliveries arrive")

	// One of them has a run. Replayed, it has no second one.
	b.Press(fmt.Sprintf("a[href='/deliveries/%s']", w.delivery(t, "pull_request")))
	b.Shows(".decision", "itest")
	picture("delivery", 720)
	b.Press("form[action$='/replay'] button")
	b.Shows(".said", "decided again")

	// She follows its log to its end.
	b.Press("a[href='/runs']")
	b.Shows("h1", "Runs")
	b.Press("tbody a[href^='/runs/']")
	b.Shows(".log", "monday: 5 places are free")
	picture("run", 1080)
	b.Shows(".log", "sunday: 10 places are free")
	b.Shows("#run-state .state", "succeeded")
	first := w.concluded(t, own.HeadSHA())

	// It is done again.
	b.Press("form[action$='/rerun'] button")
	b.Shows("dl", first.ExternalID)
	b.Shows("#run-state .state", "succeeded")
	w.until(t, "the check shows the second run", func() bool {
		c := w.repo.Checks(own.HeadSHA())
		last := c[len(c)-1]
		return last.ExternalID != first.ExternalID && last.Conclusion == "success"
	})

	// A stranger's code waits for her, commit by commit.
	w.User("contributor")
	fork := w.repo.Fork("contributor")
	fork.CommitTo("quota", map[string]string{"schema.sql": "DROP DATABASE postgres;"})
	strange := w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "quota", Title: "Count slots right"})
	seen := w.awaited(t, strange.HeadSHA())
	b.Go(seen.DetailsURL)
	b.Shows("#run-state .state", "awaiting approval")
	b.Check("approval")
	sha := strange.Push(map[string]string{"schema.sql": sample(t, "", "")["schema.sql"], "README.md": "# Quota\n"})
	b.Shows("#run-state .state", "cancelled")
	b.Go(w.awaited(t, sha).DetailsURL)
	b.Shows("form[action$='/approve'] button", sha[:7])
	b.Press("form[action$='/approve'] button")
	b.Shows(".said", "approved")
	b.Shows(".time", "approved by mona")
	b.Shows(".log", "sunday: 10 places are free")
	b.Shows("#run-state .state", "succeeded")
	if c := w.concluded(t, sha); c.Conclusion != "success" {
		t.Errorf("what was approved: %+v", c)
	}
	if c := w.concluded(t, seen.HeadSHA); c.Conclusion != "cancelled" {
		t.Errorf("what nobody approved: %+v", c)
	}
	if n := w.aws.Calls("ecs:RunTask"); n != 3 {
		t.Errorf("%d tasks were started for two runs and one that was done again", n)
	}
	b.Go(w.url + "/deliveries")
	b.Shows("tbody", "synchronize")
	b.Do("wait for the stream", chromedp.WaitVisible("[data-connection]"))
	picture("inbox", 720)
	if complaints := b.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}

	// All of it can be read without scripts.
	b.Scripts(false)
	for page, want := range map[string]string{
		"/deliveries": "pull_request opened", "/deliveries/" + w.delivery(t, "pull_request"): "What the rules say",
		"/runs": "cancelled", strings.TrimPrefix(first.DetailsURL, w.url): "monday: 5 places are free", "/health": "runs are under way",
		fmt.Sprintf("/repositories/%d", w.repo.ID): "itest",
	} {
		b.Go(w.url + page)
		checkText(t, b.Text("main"), want)
	}
}

// awaited waits for a check run that asks for approval.
func (w *webhookWorld) awaited(t *testing.T, sha string) fakehub.Check {
	t.Helper()
	return w.check(t, sha, "waits for approval", func(c fakehub.Check) bool { return c.Conclusion == "action_required" })
}

// delivery is the GUID of the first delivery of an event.
func (w *webhookWorld) delivery(t *testing.T, event string) string {
	t.Helper()
	for _, d := range w.app.Deliveries() {
		if d.Event == event {
			return d.GUID
		}
	}
	t.Fatalf("nothing was delivered of %s", event)
	return ""
}
