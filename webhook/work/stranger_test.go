package work

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestLies: a body of an installation or a repository that the App is not on
// has no effect, and is not asked about for ever.
func TestLies(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		stranger := w.Hub.Repo("acme/other") // which the App does not see
		stranger.Commit(map[string]string{".github/clipper.yml": clipperYAML, ".github/workflows/deploy.yml": deployYAML, "main.go": "package main\n"})
		w.repo.CommitTo("feature", change)
		w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		w.serve()
		w.comes("test", webhook.Running)
		w.rest()
		before := len(w.runs("test"))
		for _, d := range w.app.Deliveries() {
			if d.Event != "pull_request" {
				continue
			}
			for name, lie := range map[string][2]string{
				"installation": {fmt.Sprintf(`"id":%d`, w.install.ID), `"id":999999`},
				"repository":   {fmt.Sprintf(`"id":%d`, w.repo.ID), fmt.Sprintf(`"id":%d`, stranger.ID)},
			} {
				body := bytes.ReplaceAll(d.Payload, []byte(lie[0]), []byte(lie[1]))
				if bytes.Equal(body, d.Payload) {
					t.Fatalf("the body has no %s", lie[0])
				}
				w.app.Deliver(fakehub.Message{Event: d.Event, Payload: body, GUID: "lie-" + name})
			}
		}
		w.rest()
		for _, guid := range []string{"lie-installation", "lie-repository"} {
			if d, err := w.Delivery(t.Context(), w.app.ID, guid); err != nil || d.State != database.Ignored || d.Reason == "" {
				t.Errorf("%s is %s: %s, %v", guid, d.State, d.Reason, err)
			}
		}
		if n := len(w.runs("test")); n != before {
			t.Errorf("%d runs, want %d\n%s", n, before, w.state())
		}
	})
}

// addresses are those of a body, up to their paths.
var addresses = regexp.MustCompile(`https?://[^"/]+`)

// TestURLs: nobody follows the addresses in a body.
func TestURLs(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var asked []string
		trap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.Method+" "+r.URL.Path)
		}))
		t.Cleanup(trap.Close)
		w.app.SetWebhook(trap.URL) // the service gets the body from us alone
		w.repo.CommitTo("feature", change)
		w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := w.app.Deliveries()
		sent := all[len(all)-1]
		body := addresses.ReplaceAll(sent.Payload, []byte(trap.URL))
		if bytes.Equal(body, sent.Payload) {
			t.Fatal("the body has no addresses")
		}
		w.app.SetWebhook("")
		if _, err := w.Accept(t.Context(), webhook.Delivery{
			App: w.app.ID, GUID: "trap", Event: sent.Event, Source: webhook.Pushed, Received: w.now(), Body: body, Head: webhook.ParseHead(body),
		}); err != nil {
			t.Fatal(err)
		}
		w.serve()
		w.comes("test", webhook.Running)
		w.rest()
		mu.Lock()
		defer mu.Unlock()
		if len(asked) != 1 || asked[0] != "POST /" {
			t.Errorf("beside GitHub's own delivery, it was asked for %q", asked)
		}
	})
}

// TestOwnConfiguration: what a pull request makes of the rules, from a branch
// or from a fork, decides about nothing before it is merged.
func TestOwnConfiguration(t *testing.T) {
	theirs := strings.ReplaceAll(clipperYAML, "deploy.yml", "nameless.yml") + "  - { id: extra, on: { pull_request: {} }, run: { workflow: { file: nameless.yml } } }\n"
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		w.repo.CommitTo("feature", map[string]string{".github/clipper.yml": theirs})
		w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		w.User("eve")
		fork := w.repo.Fork("eve")
		fork.CommitTo("hers", map[string]string{".github/clipper.yml": theirs})
		w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "hers"})
		w.until("both are decided about", func() bool { return len(w.runs("test")) == 2 })
		w.rest()
		run := w.began()
		if run.Path != ".github/workflows/deploy.yml" || len(w.runs("extra")) != 0 {
			t.Errorf("%s runs, and %d runs of a rule that is not merged", run.Path, len(w.runs("extra")))
		}
		for _, r := range w.runs("test") {
			if r.Fork && r.State != webhook.AwaitingApproval {
				t.Errorf("the fork's run is %s", r.State)
			}
		}
	})
}

// TestForkCommand: a command on a fork's pull request runs the commit that it
// names, whatever else eve pushes before it is decided about.
func TestForkCommand(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		w.User("eve")
		fork := w.repo.Fork("eve")
		fork.CommitTo("feature", change)
		pull := w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "feature"})
		w.comes("test", webhook.AwaitingApproval)
		w.rest()
		good := pull.HeadSHA()
		if said := w.check(good, "test (main)").Summary; !strings.Contains(said, "comments: /test "+good) {
			t.Errorf("the check says %s", said)
		}
		pull.Comment("mona", "/test")
		pull.Comment("mona", "/test "+good[:12])
		w.rest()
		w.Hub.Hold()
		pull.Comment("mona", "/test "+good)
		pull.Push(map[string]string{"main.go": "package main // worse\n"})
		w.Release(nil)
		w.rest()
		if n := len(w.repo.Runs()); n != 0 {
			t.Fatalf("%d workflows run\n%s", n, w.state())
		}
		pull.Comment("mona", "/test "+pull.HeadSHA())
		w.began()
		w.until("its run is approved", func() bool {
			runs := w.runs("test")
			last := runs[len(runs)-1]
			return last.State == webhook.Running && last.Commit == pull.HeadSHA() && last.ApprovedBy == "mona"
		})
	})
}

// TestLapse: what nobody approves in time never runs.
func TestLapse(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.User("eve")
		fork := w.repo.Fork("eve")
		fork.CommitTo("feature", change)
		w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "feature"})
		stop := w.serve()
		w.comes("test", webhook.AwaitingApproval)
		w.rest()
		stop()
		for _, tt := range []struct {
			later time.Duration
			want  webhook.State
		}{{webhook.ApprovalLapses - time.Minute, webhook.AwaitingApproval}, {2 * time.Minute, webhook.Cancelled}} {
			w.ahead.Add(int64(tt.later))
			run := w.runs("test")[0]
			if err := w.work.step(t.Context(), &run); err != nil {
				t.Fatal(err)
			}
			w.comes("test", tt.want)
		}
	})
}
