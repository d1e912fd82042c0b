package serve

import (
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
)

// queueYAML is a rule on what has no time in its key, so that two hosts can
// have the very same event.
const queueYAML = `version: 1
rules:
  - id: deploy
    on: { merge_group: {} }
    run: { workflow: { file: deploy.yml } }
`

// twin is one of two hosts that number alike.
type twin struct {
	*fakehub.Hub
	app    *fakehub.App
	repo   *fakehub.Repo
	merged string // the commit of its merge queue
}

// newTwin makes a host on which everything has the numbers that it has on every
// other twin, but the App, of which the service can have no two. The App was
// told of a merge group, and hears of it once the deliveries are released.
func newTwin(t *testing.T, second bool) *twin {
	t.Helper()
	github := fakehub.New(t, fakehub.Config{})
	w := &twin{Hub: github}
	github.User("mona")
	if second {
		github.Repo("acme/other")
	}
	w.app = github.App(fakehub.AppConfig{})
	if !second {
		github.Repo("acme/other")
	}
	w.repo = github.Repo("acme/app")
	w.repo.Permit("mona", "write")
	w.repo.Commit(map[string]string{".github/workflows/deploy.yml": deployYAML, ".github/clipper.yml": queueYAML})
	w.app.Install("acme", w.repo)
	github.Hold()
	w.app.SetWebhook("http://127.0.0.1:1/not-yet")
	w.repo.CommitTo("feature", map[string]string{"main.go": "package main\n"})
	w.merged = w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"}).QueueMerge("mona")
	return w
}

// TestTwo: two Apps on two hosts whose repositories have one number, and whose
// events one key, lead to a run each, at their own hosts and on their own
// pages.
func TestTwo(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		twins := []*twin{newTwin(t, false), newTwin(t, true)}
		a, b := twins[0], twins[1]
		if a.app.ID == b.app.ID || a.repo.ID != b.repo.ID || a.merged != b.merged {
			t.Fatalf("the Apps are %d and %d, the repositories %d and %d, the commits %s and %s", a.app.ID, b.app.ID, a.repo.ID, b.repo.ID, a.merged, b.merged)
		}
		pages := []string{"http://first.example", "http://second.example"}
		s.Apps = nil
		for i, w := range twins {
			s.Apps = append(s.Apps, App{
				ID: w.app.ID, Secrets: []string{w.app.WebhookSecret}, Key: Key{PEM: w.app.PrivateKey}, APIURL: w.APIURL, GitHubURL: w.URL,
				ClientID: w.app.ClientID, ClientSecret: w.app.ClientSecret, URL: pages[i],
			})
		}
		s.CookieKeys = []string{cookieKey}
		s.Watch, s.Report = 200*time.Millisecond, 50*time.Millisecond
		r := start(t, s)
		for _, w := range twins {
			w.app.SetWebhook(r.public + "/webhook")
			w.Release(nil)
		}
		conclusions := []string{"success", "failure"}
		for i, w := range twins {
			r.until("a workflow runs at "+pages[i], func() bool { return len(w.repo.Runs()) > 0 })
			w.repo.Runs()[0].Complete(conclusions[i])
		}
		for i, w := range twins {
			check := func() fakehub.Check {
				for _, c := range w.repo.Checks(w.merged) {
					return c
				}
				return fakehub.Check{}
			}
			r.until("there is a conclusion at "+pages[i], func() bool { return check().Conclusion != "" })
			got := check()
			if got.Conclusion != conclusions[i] || got.DetailsURL != pages[i]+"/runs/"+got.ExternalID || w.repo.Runs()[0].Title != "Deploy "+got.ExternalID {
				t.Errorf("at %s, %q has the check %+v", pages[i], w.repo.Runs()[0].Title, got)
			}
			if n := len(w.repo.Runs()); n != 1 {
				t.Errorf("at %s, there are %d runs", pages[i], n)
			}
		}
	})
}
