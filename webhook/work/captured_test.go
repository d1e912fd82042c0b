package work

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// anything has a run follow from whatever can have one.
const anything = `version: 1
rules:
  - id: any
    on:
      { push: {}, pull_request: {}, merge_group: {}, release: {}, registry_package: {}, deployment: {}, comment: { command: /test } }
    run: { ecs: { image: "ghcr.io/acme/ci:1" } }
`

// names are those that a captured body is sent under.
var names = []string{
	"push", "pull_request", "merge_group", "release", "package", "registry_package", "deployment", "issue_comment", "check_run", "check_suite",
	"workflow_run", "installation", "installation_repositories", "schedule", "manual", "pull_request_target", "made_up",
}

// TestCaptured: who has got hold of one body and its signature, which is of
// nothing else, gets no second run of it, under no GUID and no event's name,
// not even after the first has ended.
func TestCaptured(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": anything}, func(t *testing.T, w *world) {
		w.tasks.ends = webhook.Succeeded
		w.serve()
		w.repo.CommitTo("feature", change)
		var pull, fork *fakehub.PullRequest
		var commit string
		check := func(run int) int64 { return w.checkOf(w.runs("any")[run].ID) }
		effects := []struct {
			name string // of the event, and its action
			is   func() error
		}{
			{"push", func() error {
				commit = w.repo.Push("mona", "main", map[string]string{"main.go": "package main // pushed\n"})
				return nil
			}},
			{"pull_request opened", func() error { pull = w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"}); return nil }},
			{"issue_comment created", func() error { pull.Comment("mona", "/test"); return nil }},
			{"merge_group checks_requested", func() error { pull.QueueMerge("mona"); return nil }},
			{"release published", func() error { w.repo.PublishRelease("mona", "v1"); return nil }},
			{"registry_package published", func() error {
				w.repo.PublishPackage("mona", "app", "v1", "sha256:"+strings.Repeat("a", 64))
				return nil
			}},
			{"deployment created", func() error { w.deploys(commit, "production"); return nil }},
			{"check_run rerequested", func() error { return w.repo.Rerequest(check(0), "mona") }},
			{"check_run requested_action", func() error { return w.repo.RequestAction(check(0), "mona", "rerun") }},
			{"check_suite rerequested", func() error { return w.repo.RerequestSuite(commit, "mona") }},
			{"pull_request opened", func() error { fork = w.forked(); return nil }}, // which waits
			{"check_run requested_action", func() error { return w.repo.RequestAction(w.repo.Checks(fork.HeadSHA())[0].ID, "mona", "approve") }},
		}
		bodies := map[string]fakehub.Attempt{} // by how many runs there were
		runs, started := 0, 0
		for i, effect := range effects {
			before := len(w.app.Deliveries())
			if err := effect.is(); err != nil {
				t.Fatal(err)
			}
			w.rest()
			w.over()
			if runs, started = len(w.runs("any")), len(w.tasks.tokens()); started == 0 {
				t.Fatalf("%s has no effect\n%s", effect.name, w.state())
			}
			for _, d := range w.app.Deliveries()[before:] {
				if strings.TrimSpace(d.Event+" "+d.Action) == effect.name {
					bodies[fmt.Sprintf("%d-%s", i, d.Event)] = d
				}
			}
		}
		if len(bodies) != len(effects) || started != len(effects)-1 || runs != started { // the fork's run was approved
			t.Fatalf("of %d effects there are %d bodies, %d runs and %d tasks\n%s", len(effects), len(bodies), runs, started, w.state())
		}
		for from, d := range bodies {
			for _, event := range names {
				w.app.Deliver(fakehub.Message{Event: event, Payload: d.Payload, GUID: from + "-as-" + strings.ReplaceAll(event, "_", "-")})
			}
		}
		w.rest()
		w.over()
		if again := len(w.runs("any")); again != runs || len(w.tasks.tokens()) != started {
			t.Errorf("there are %d runs and %d tasks, want %d and %d\n%s", again, len(w.tasks.tokens()), runs, started, w.state())
		}
	})
}

// checkOf is the check of a run.
func (w *world) checkOf(run string) int64 {
	for _, c := range w.repo.Checks("") {
		if c.ExternalID == run {
			return c.ID
		}
	}
	w.t.Fatalf("run %s has no check\n%s", run, w.state())
	return 0
}

// over waits until all runs have ended, but for those that wait for approval,
// and are shown so.
func (w *world) over() {
	w.t.Helper()
	w.until("all runs are over", func() bool {
		h, err := w.Health(w.t.Context())
		waiting := 0
		for _, err := range w.Runs(w.t.Context(), database.RunFilter{State: webhook.AwaitingApproval}) {
			if err == nil {
				waiting++
			}
		}
		return err == nil && h.Unended == waiting && h.Undecided+h.Unsent == 0
	})
}
