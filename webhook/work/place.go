package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// place is where a run's job is done.
type place interface {
	// start starts the job. Without an error, it was started, even if it is not
	// known as what.
	start(ctx context.Context, run *webhook.Run) (thing, error)
	// find looks for a job that may have been started. Where starting again does
	// no harm, it starts it.
	find(ctx context.Context, run *webhook.Run) (thing, error)
	// truth is how it does; in the end, with all that can be found out.
	truth(ctx context.Context, run *webhook.Run, all bool) (ending, error)
	// stop has it end, because it was cancelled or else for the time it took.
	stop(ctx context.Context, run *webhook.Run, cancelled bool, why string) error
	// told says whether deliveries tell that a job has ended.
	told() bool
	// logs says whether the place has the last lines, for tail to read.
	logs() bool
	tail(ctx context.Context, run *webhook.Run, n int) ([]string, error)
}

// thing is what a run became at its place; zero is not known.
type thing struct {
	task, cluster string
	workflowRun   int64
}

func (t thing) known() bool { return t != thing{} }

// ending is the truth about a run: running, how it ended, or "" for what the
// place does not know.
type ending struct {
	state    webhook.State
	reason   string
	exitCode *int
	overdue  bool
	// retry says that the place itself calls it lost with its host. What it only
	// does not know any more may have done all its work.
	retry bool
}

// jobOf is what a run has to do.
func jobOf(run *webhook.Run) (rules.Job, error) {
	var job rules.Job
	if err := json.Unmarshal(run.Job, &job); err != nil {
		return job, fmt.Errorf("the run's job: %w", err)
	}
	return job, nil
}

// place is where a run's job is done. There is none for a job that the service
// cannot run, as it is set up now.
func (w *Work) place(run *webhook.Run) (place, error) {
	job, err := jobOf(run)
	github := w.GitHub[run.App]
	switch {
	case err != nil:
		return nil, err
	case job.ECS != nil && w.Tasks == nil:
		return nil, errors.New("the service has no ECS to run tasks on")
	case job.ECS != nil:
		return onECS{w, job.ECS}, nil
	case job.Workflow == nil && job.Dispatch == nil:
		return nil, errors.New("the operator's policy left nothing to run")
	case github == nil:
		return nil, fmt.Errorf("the service has no key of App %d", run.App)
	}
	return onActions{github, job}, nil
}

// onActions is GitHub Actions. There is no key that keeps a workflow from
// starting twice; a run is found by its ID, which it has in its title.
type onActions struct {
	github GitHub
	job    rules.Job
}

func (a onActions) start(ctx context.Context, run *webhook.Run) (thing, error) {
	if d := a.job.Dispatch; d != nil {
		return thing{}, a.github.RepositoryDispatch(ctx, repo(run), d.Type, d.Payload, run.ID)
	}
	f := a.job.Workflow
	started, err := a.github.Dispatch(ctx, repo(run), hub.Dispatch{File: f.File, Ref: f.Ref, Inputs: f.Inputs, Nonce: run.ID})
	return thing{workflowRun: started.Run}, err
}

func (a onActions) find(ctx context.Context, run *webhook.Run) (thing, error) {
	sought := hub.Find{Nonce: run.ID, Since: run.Created}
	if a.job.Workflow != nil {
		sought.File = a.job.Workflow.File
	}
	found, _, err := a.github.FindRun(ctx, repo(run), sought)
	return thing{workflowRun: found.ID}, err
}

func (a onActions) truth(ctx context.Context, run *webhook.Run, _ bool) (ending, error) {
	found, err := a.github.WorkflowRun(ctx, repo(run), run.WorkflowRun)
	if errors.Is(err, hub.ErrGone) {
		return ending{state: webhook.Lost, reason: "the workflow's run was deleted, or the App is no longer let in"}, nil
	}
	if err != nil {
		return ending{}, err
	}
	if found.Status != "completed" {
		return ending{state: webhook.Running}, nil
	}
	e := ending{state: webhook.Failed, reason: "the workflow's conclusion is " + found.Conclusion}
	switch found.Conclusion {
	case "success", "neutral", "skipped":
		e.state = webhook.Succeeded
	case "cancelled":
		e.state = webhook.Cancelled
	case "timed_out":
		e.state = webhook.TimedOut
	}
	return e, nil
}

func (a onActions) stop(ctx context.Context, run *webhook.Run, _ bool, _ string) error {
	err := a.github.CancelRun(ctx, repo(run), run.WorkflowRun)
	if errors.Is(err, hub.ErrGone) {
		return nil // which the truth will say
	}
	return err
}

func (onActions) told() bool { return true }

func (onActions) logs() bool { return false }

func (onActions) tail(context.Context, *webhook.Run, int) ([]string, error) { return nil, nil }

// onECS is a task on ECS, which an attempt's token starts once.
type onECS struct {
	w    *Work
	task *rules.Task
}

// of is the job of a run's attempt.
func (o onECS) of(run *webhook.Run) task.Job { return task.Of(run, o.task) }

func (o onECS) at(arn string, err error) (thing, error) {
	if err != nil {
		return thing{}, err
	}
	return thing{task: arn, cluster: o.task.Place.Cluster}, nil
}

func (o onECS) start(ctx context.Context, run *webhook.Run) (thing, error) {
	return o.at(o.w.Tasks.Start(ctx, o.of(run)))
}

// forgets is how long after a start ECS can be asked what became of it: it knows
// for an hour what has stopped. How long it knows tokens is nowhere said.
const forgets = 50 * time.Minute

func (o onECS) find(ctx context.Context, run *webhook.Run) (thing, error) {
	found, err := o.at(o.w.Tasks.Find(ctx, o.of(run)))
	switch {
	case !errors.Is(err, task.ErrNone):
		return found, err
	case run.CancelRequested != "", o.w.Now().Sub(run.Asked) > forgets:
		return thing{}, nil
	}
	return o.start(ctx, run)
}

func (o onECS) truth(ctx context.Context, run *webhook.Run, all bool) (ending, error) {
	truths, err := o.w.Tasks.Describe(ctx, []string{run.Task})
	if err != nil || len(truths) == 0 {
		return ending{}, err
	}
	t := truths[0]
	if all && t.Over() {
		if t, err = o.w.Tasks.Explain(ctx, t, o.of(run)); err != nil {
			return ending{}, err
		}
	}
	return ending{t.State, t.Reason, t.ExitCode, t.Overdue(time.Duration(o.task.Timeout), o.w.Now()), t.State == webhook.Lost}, nil
}

func (o onECS) stop(ctx context.Context, run *webhook.Run, cancelled bool, why string) error {
	cause := task.Timeout
	if cancelled {
		cause = task.Cancel
	}
	return o.w.Tasks.Stop(ctx, run.Task, cause, why)
}

func (onECS) told() bool { return false }

func (onECS) logs() bool { return true }

func (o onECS) tail(ctx context.Context, run *webhook.Run, n int) ([]string, error) {
	lines, err := o.w.Tasks.Tail(ctx, run.Task, o.of(run), n)
	var texts []string
	for _, line := range lines {
		if len(o.task.Services) > 0 || o.task.Checkout {
			line.Text = line.Container + " | " + line.Text
		}
		texts = append(texts, line.Text)
	}
	return texts, err
}
