package work

import (
	"context"
	"errors"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/task"
)

// giveUp is how long it is tried to start a run.
const giveUp = 24 * time.Hour

// start starts a run that is queued. First the intent is stored: whoever finds
// a run that is starting once its lease is over knows that it may have been.
func (w *Work) start(ctx context.Context, run *webhook.Run) error {
	p, err := w.place(run)
	if err != nil {
		return w.move(ctx, run, webhook.Failed, err.Error(), 0)
	}
	if err := w.move(ctx, run, webhook.Starting, "", w.Pace.Lease); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, w.Pace.Lease*3/4)
	defer cancel()
	found, err := p.start(asking, run)
	w.did("started")
	if asking.Err() != nil && err != nil {
		err = errors.Join(errLost, err)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // the answer is not to be lost
	defer cancel()
	return w.began(ctx, *run, p, found, err)
}

// began stores what became of a start, even if somebody wants it cancelled by
// now.
func (w *Work) began(ctx context.Context, started webhook.Run, p place, found thing, err error) error {
	become := func(run *webhook.Run) error {
		if run.Attempt != started.Attempt || run.State != webhook.Starting && run.State != webhook.Resolving {
			return nil // somebody has found it, or given it up
		}
		until, yes := limited(err)
		switch {
		case err == nil && found.known():
			return w.runs(ctx, run, p, found)
		case err == nil || lost(err):
			if run.State == webhook.Resolving {
				return nil
			}
			reason := "GitHub does not say which run it is"
			if err != nil {
				reason = redact(err.Error())
			}
			return w.move(ctx, run, webhook.Resolving, reason, 0)
		case never(err), w.Now().Sub(run.Created) > giveUp:
			return w.move(ctx, run, webhook.Failed, redact(err.Error()), 0)
		}
		// Nothing was started. It is no attempt.
		wait := patience(w.Now().Sub(run.Created), 2*time.Second, 5*time.Minute)
		if yes {
			wait = until.Sub(w.Now())
		}
		run.Attempt--
		return w.move(ctx, run, webhook.Queued, redact(err.Error()), wait)
	}
	run := started
	if err := become(&run); !errors.Is(err, database.ErrMoved) {
		return err
	}
	return w.change(ctx, started.ID, become)
}

// runs stores that a run is at its place.
func (w *Work) runs(ctx context.Context, run *webhook.Run, p place, found thing) error {
	run.Task, run.Cluster, run.WorkflowRun = found.task, found.cluster, found.workflowRun
	return w.move(ctx, run, webhook.Running, "", w.pause(p, run))
}

// doubt takes a run whose starter has not been heard of for one that may have
// been started.
func (w *Work) doubt(ctx context.Context, run *webhook.Run) error {
	if left := run.Seen.Add(w.Pace.Lease).Sub(w.Now()); left > 0 {
		return w.again(ctx, run, left)
	}
	return w.move(ctx, run, webhook.Resolving, "whoever started it has not said how that ended", 0)
}

// errLost is what became of an answer that nobody waited for.
var errLost = errors.New("the answer was not waited for")

// lost says whether something may have been started.
func lost(err error) bool {
	return errors.Is(err, hub.ErrLost) || errors.Is(err, task.ErrLost) || errors.Is(err, errLost)
}

// never says whether trying again is of no use.
func never(err error) bool {
	return errors.Is(err, hub.ErrInvalid) || errors.Is(err, hub.ErrGone) || errors.Is(err, hub.ErrRefused) || errors.Is(err, task.ErrRefused)
}
