package work

import (
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/accept"
)

// TestTwoApps: two Apps see a repository of one ID, as those of two hosts do.
// Each has its runs and its schedules.
func TestTwoApps(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": clipperYAML + nightlyYAML[len("version: 1\nrules:\n"):]}, func(t *testing.T, w *world) {
		second := w.Hub.App(fakehub.AppConfig{})
		second.Install("acme", w.repo)
		door, err := accept.New(accept.Config{Apps: []accept.App{{ID: second.ID, Secrets: []string{second.WebhookSecret}}}, Inbox: w.DB, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		service := httptest.NewServer(door)
		t.Cleanup(service.Close)
		second.SetWebhook(service.URL)
		w.work.GitHub[second.ID] = client(t, second.ID, second.PrivateKey, w.APIURL)
		stop := w.serve()
		w.repo.Push("mona", "main", change)
		w.rest()
		apps := func(rule string) {
			t.Helper()
			var got []int64
			for _, run := range w.runs(rule) {
				got = append(got, run.App)
			}
			if slices.Sort(got); !slices.Equal(got, []int64{w.app.ID, second.ID}) {
				t.Errorf("the runs of %s are of Apps %v\n%s", rule, got, w.state())
			}
		}
		apps("deploy")
		stop()
		w.ahead.Add(int64(24 * time.Hour))
		if due, err := w.DueSchedules(t.Context(), 10); err != nil || len(due) != 2 || due[0].App == due[1].App {
			t.Fatalf("due are %+v, %v", due, err)
		}
		if err := w.work.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		apps("nightly")
	})
}
