package work

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

const dispatchYAML = `version: 1
rules:
  - id: notify
    on: { push: { branches: [main] } }
    run: { dispatch: { type: promote, payload: { ref: "${{ event.ref_name }}", commit: "${{ event.head_sha }}", tier: "2" } } }
`

// waitsYAML is a workflow that waits for a type of repository_dispatch, with
// its run-name.
const waitsYAML = `
name: Waits
run-name: %q
on: {repository_dispatch: {types: [%s]}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

// TestDispatch starts the workflows that wait for an event, once, with what the
// rule says, and finds the run by its ID where its name has that.
func TestDispatch(t *testing.T) {
	const named = "${{ github.event.client_payload.ref }} ${{ github.event.client_payload.commit }} ${{ github.event.client_payload.tier }} (${{ github.event.client_payload.clipper_run }})"
	for _, tt := range []struct {
		name    string
		runName string
		lost    bool // GitHub's answer is
		state   webhook.State
		check   string // its conclusion once the workflow has ended
	}{
		{"told", named, false, webhook.Running, "success"},
		{"told, and the answer is lost", named, true, webhook.Running, "success"},
		{"not told", "", false, webhook.Ambiguous, "neutral"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{
				".github/clipper.yml":         dispatchYAML,
				".github/workflows/waits.yml": fmt.Sprintf(waitsYAML, tt.runName, "promote"),
				".github/workflows/other.yml": fmt.Sprintf(waitsYAML, tt.runName, "demote"),
			}
			both(t, files, func(t *testing.T, w *world) {
				if tt.lost {
					w.Fail("repos/create-dispatch-event", fakehub.LostResponse, 1)
				}
				w.serve()
				commit := w.repo.Push("mona", "main", change)
				stored := w.comes("notify", tt.state)
				run := w.began()
				if run.Path != ".github/workflows/waits.yml" || run.Event != "repository_dispatch" {
					t.Errorf("%s runs, by a %s", run.Path, run.Event)
				}
				if want := fmt.Sprintf("main %s 2 (%s)", commit, stored.ID); tt.runName != "" && (run.Title != want || stored.WorkflowRun != run.ID) {
					t.Errorf("run %d is %q, want %q and %d", run.ID, run.Title, want, stored.WorkflowRun)
				}
				run.Complete("success")
				w.until("its check is "+tt.check, func() bool { return w.check(commit, "notify (main)").Conclusion == tt.check })
				w.rest()
				w.began()
				if check := w.check(commit, "notify (main)"); tt.state == webhook.Ambiguous && !strings.Contains(check.Summary, "not started again") {
					t.Errorf("the check says %s", check.Summary)
				}
			})
		})
	}
}
