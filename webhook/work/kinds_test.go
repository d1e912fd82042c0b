package work

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// kindsYAML is a configuration whose one rule tells where it was read.
func kindsYAML(rule string) map[string]string {
	return map[string]string{".github/clipper.yml": fmt.Sprintf(`version: 1
rules:
  - id: %s
    on: { release: {}, merge_group: {}, registry_package: { name: app }, deployment: { environments: [staging] } }
    run: { workflow: { file: deploy.yml } }
`, rule)}
}

// TestKinds takes each event that is neither a push nor a pull request to a
// green check on the commit that it is about, by the rules of the branch that
// counts for it. Between the event and the decision, the branches move on.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		name string
		// happens returns what the event is about; the commit that it is given
		// is on the default branch, behind its head, and has other rules.
		happens func(w *world, behind string) (commit string)
		branch  string // whose rules count
		check   func(commit string) string
		after   func(w *world)
	}{
		{
			name: "release", branch: "main", check: named("main (tag v1)"),
			happens: func(w *world, behind string) string {
				w.repo.PushTag("mona", "v1", behind)
				w.repo.PublishRelease("mona", "v1")
				return behind
			},
		},
		{
			name: "merge group", branch: "stable", check: named("stable (stable)"),
			happens: func(w *world, _ string) string {
				w.repo.CommitTo("feature", kindsYAML("feature"))
				return w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Base: "stable", Login: "mona"}).QueueMerge("mona")
			},
		},
		{
			name: "package", branch: "main", check: named("main (main)"),
			happens: func(w *world, _ string) string {
				commit := w.repo.Commit(change)
				w.repo.PublishPackage("mona", "app", "v1", "sha256:"+strings.Repeat("a", 64))
				w.underBothNames()
				return commit
			},
			after: func(w *world) { // each would have had the run alone
				for _, event := range []string{"registry_package", "package"} {
					told := 0
					for d, err := range w.Deliveries(w.t.Context(), database.DeliveryFilter{Event: event}) {
						if told++; err != nil || d.State != database.Matched {
							w.t.Errorf("%s is %s: %s, %v", event, d.State, d.Reason, err)
						}
					}
					if told != 1 {
						w.t.Errorf("%d deliveries tell of a %s", told, event)
					}
				}
			},
		},
		{
			name: "deployment", branch: "main", check: func(commit string) string { return "main (" + commit + ")" },
			happens: func(w *world, behind string) string {
				w.deploys(behind, "production")
				w.deploys(behind, "staging")
				return behind
			},
			after: func(w *world) {
				all := w.repo.Deployments()
				if len(all) != 2 || len(all[0].Statuses) != 1 || all[1].Environment != "staging" || all[1].Statuses[len(all[1].Statuses)-1] != "success" {
					w.t.Errorf("the deployments are %+v", all)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, kindsYAML("behind"), func(t *testing.T, w *world) {
				behind := w.repo.Commit(change)
				w.repo.Commit(kindsYAML("main"))
				heads := map[string]string{"stable": w.repo.CommitTo("stable", kindsYAML("stable"))}
				commit := tt.happens(w, behind)
				if err := w.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				heads["main"] = w.repo.Commit(map[string]string{"main.go": "package main // and on\n"})
				w.serve()
				run := w.comes(tt.branch, webhook.Running)
				if run.Commit != commit || run.ConfigCommit != heads[tt.branch] {
					t.Errorf("it runs for %s by the rules of %s, want %s and %s", run.Commit, run.ConfigCommit, commit, heads[tt.branch])
				}
				w.began().Complete("success")
				w.comes(tt.branch, webhook.Succeeded)
				w.rest()
				if check := w.check(commit, tt.check(commit)); check.Conclusion != "success" || check.ExternalID != run.ID {
					t.Errorf("of %+v, the check is %+v", w.repo.Checks(""), check)
				}
				w.began() // no other
				for other, err := range w.Runs(t.Context(), database.RunFilter{}) {
					if err != nil || other.ID != run.ID && other.Rule != "" { // "" shows how a configuration is
						t.Errorf("%s runs, too: %v", other.Rule, err)
					}
				}
				if tt.after != nil {
					tt.after(w)
				}
			})
		})
	}
}

func named(name string) func(string) string { return func(string) string { return name } }

// underBothNames tells of the package that was published under the event's
// other name, too, as GitHub does.
func (w *world) underBothNames() {
	w.t.Helper()
	if err := w.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	all := w.app.Deliveries()
	told := all[len(all)-1]
	body := bytes.Replace(told.Payload, []byte(`"registry_package":`), []byte(`"package":`), 1)
	if told.Event != "registry_package" || bytes.Equal(body, told.Payload) {
		w.t.Fatalf("of a package, GitHub says %s: %s", told.Event, told.Payload)
	}
	w.app.Deliver(fakehub.Message{Event: "package", Payload: body})
}

// deploys has another App ask for a deployment.
func (w *world) deploys(commit, environment string) {
	w.t.Helper()
	other := w.Hub.App(fakehub.AppConfig{Name: "deployer"})
	on := other.Install("acme", w.repo)
	r := hub.Repo{Installation: on.ID, ID: w.repo.ID, FullName: w.repo.FullName}
	asked := hub.Deployment{Run: environment, Commit: commit, Environment: environment, State: "queued"}
	if _, err := client(w.t, other.ID, other.PrivateKey, w.APIURL).PutDeployment(w.t.Context(), r, asked); err != nil {
		w.t.Fatal(err)
	}
}
