package serve

import (
	"errors"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/web"
)

// TestOrders: what people ask for on the pages is done for those whom GitHub
// lets write now, and the others are told why not.
func TestOrders(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		github := fakehub.New(t, fakehub.Config{})
		app, repo := github.App(fakehub.AppConfig{}), github.Repo("acme/app")
		commit := repo.Commit(map[string]string{"main.go": "package main\n"})
		for person, permission := range map[string]string{"mona": "write", "ada": "read"} {
			github.User(person)
			repo.Permit(person, permission)
		}
		installed := app.Install("acme", repo)
		s.Apps = []App{{ID: app.ID, Secrets: []string{webhookSecret}, Key: Key{PEM: app.PrivateKey}, APIURL: github.APIURL}}
		service, err := open(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := service.db.Close(); err != nil {
				t.Error(err)
			}
		})
		for id, state := range map[string]webhook.State{"queued": webhook.Queued, "over": webhook.Failed, "waits": webhook.AwaitingApproval} {
			run := webhook.Run{
				ID: id, Rev: 1, RuleKey: "5/test", EventKey: id, App: app.ID, Installation: installed.ID, Repository: repo.ID, FullName: "acme/app",
				Rule: "test", Commit: commit, State: state, Created: time.Now(), Job: []byte(`{"workflow":{"file":"ci.yml","ref":"main"},"check":"test"}`),
			}
			if _, err := service.db.CreateRun(t.Context(), database.NewRun{Run: run}); err != nil {
				t.Fatal(err)
			}
		}
		run := func(id string) webhook.Run {
			t.Helper()
			run, err := service.db.Run(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return run
		}
		o := orders{service.db, service.work}
		rerun := func(id, by string) error {
			_, err := o.Rerun(t.Context(), id, by)
			return err
		}
		for what, err := range map[string]error{
			"a reader cancels":               o.Cancel(t.Context(), "queued", "ada"),
			"a reader approves":              o.Approve(t.Context(), "waits", commit, "ada"),
			"a reader runs again":            rerun("over", "ada"),
			"what is over is cancelled":      o.Cancel(t.Context(), "over", "mona"),
			"what is queued is run again":    rerun("queued", "mona"),
			"another commit is approved":     o.Approve(t.Context(), "waits", "c0ffee", "mona"),
			"what is not there is cancelled": o.Cancel(t.Context(), "none", "mona"),
			"what is not there is replayed":  o.Replay(t.Context(), app.ID, "none", "mona"),
		} {
			if !errors.Is(err, web.ErrRefused) {
				t.Errorf("%s: %v, want it refused", what, err)
			}
		}
		if run("queued").CancelRequested != "" || run("waits").ApprovedBy != "" {
			t.Errorf("what was refused is done: %+v, %+v", run("queued"), run("waits"))
		}

		if err := o.Cancel(t.Context(), "queued", "mona"); err != nil || run("queued").CancelRequested != "cancelled by mona" {
			t.Errorf("it is to be cancelled: %q, %v", run("queued").CancelRequested, err)
		}
		if err := o.Approve(t.Context(), "waits", commit, "mona"); err != nil || run("waits").ApprovedBy != "mona" || run("waits").State != webhook.Queued {
			t.Errorf("it is approved: %+v, %v", run("waits"), err)
		}
		if next, err := o.Rerun(t.Context(), "over", "mona"); err != nil || run(next).Rerun != "over" {
			t.Errorf("it is run again as %q, %v", next, err)
		}
	})
}
