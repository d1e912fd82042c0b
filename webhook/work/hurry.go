package work

import (
	"context"
	"strings"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// hurry has the run that a workflow's delivery is about looked at now. What the
// delivery says is not believed: it may be late, out of order, or nobody's.
func (t *turn) hurry(ctx context.Context, e *webhook.Event) (outcome, error) {
	about := database.RunFilter{App: t.app, Repositories: []int64{e.Repository.ID}, Unended: true}
	for run, err := range t.DB.Runs(ctx, about) {
		if err != nil {
			return outcome{}, err
		}
		sought := run.State == webhook.Resolving || run.State == webhook.Ambiguous
		if run.WorkflowRun != e.WorkflowRun.ID && !(sought && strings.Contains(e.WorkflowRun.DisplayTitle, run.ID)) {
			continue
		}
		// Whoever moves it now has looked at it just now, and will again.
		if err := void(t.again(ctx, &run, 0)); err != nil {
			return outcome{}, err
		}
		return nothing("run %s is looked at", run.ID)
	}
	return nothing("it is no run of the service's")
}
