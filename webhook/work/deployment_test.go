package work

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook"
)

// deployed runs a workflow for each deployment that others create.
const deployed = `version: 1
rules:
  - id: deploy
    on: { deployment: { environments: [production] } }
    run: { workflow: { file: deploy.yml } }
`

// TestDeployment has a deployment that was there show the run that it started,
// and what becomes of it when it is run again. None is added.
func TestDeployment(t *testing.T) {
	for name, config := range map[string]string{
		"alone":                 deployed,
		"with its own reported": deployed + "    report: { deployment: { environment: production } }\n",
	} {
		t.Run(name, func(t *testing.T) {
			both(t, map[string]string{".github/clipper.yml": config}, func(t *testing.T, w *world) {
				w.serve()
				commit := w.repo.Push("mona", "main", change)
				w.deploys(commit, "production")
				w.until("it is in progress", func() bool { return w.shows("in_progress") })
				w.began().Complete("failure")
				run := w.comes("deploy", webhook.Failed)
				w.rest()
				if !w.shows("failure") {
					t.Fatalf("the deployments are %+v", w.repo.Deployments())
				}
				if err := w.repo.Rerequest(w.check(run.Commit, "deploy ("+commit+")").ID, "mona"); err != nil {
					t.Fatal(err)
				}
				w.until("it runs again", func() bool { return len(w.repo.Runs()) == 2 })
				w.repo.Runs()[1].Complete("success")
				w.until("the second ends", func() bool { return w.runs("deploy")[1].State == webhook.Succeeded })
				w.rest()
				if all := w.repo.Deployments(); len(all) != 1 || !w.shows("success") {
					t.Errorf("the deployments are %+v", all)
				}
			})
		})
	}
}

// shows says whether the first deployment's latest status is so, and the
// service's.
func (w *world) shows(state string) bool {
	d := w.repo.Deployments()[0]
	return len(d.Statuses) > 0 && d.Statuses[len(d.Statuses)-1] == state && strings.Contains(d.LogURL, "clipper.example/runs/")
}
