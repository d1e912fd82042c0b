package work

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// report sends some of what an installation is to be shown. What was sent is
// left alone for a while, however often it changes; only that a run has ended,
// or waits for somebody, is sent at once.
func (w *Work) report(ctx context.Context, l database.Lane) error {
	items, err := w.DB.Unsent(ctx, l, quantum)
	if err != nil {
		return err
	}
	for _, i := range items {
		switch on, err := w.onItsWay(ctx, i); {
		case err != nil:
			return err
		case on:
			continue
		}
		remote, err := w.send(ctx, i)
		w.metrics.reported(i, err)
		if err == nil {
			w.did("shown")
			err = w.DB.Sent(ctx, i, remote, w.Now().Add(w.Pace.Report))
			if err == nil {
				w.did("sent")
			}
			if err != nil {
				return err
			}
			continue
		}
		if until, yes := limited(err); yes {
			w.metrics.met(l.App, err)
			return w.park(ctx, l, until)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.DB.Refused(ctx, i, redact(err.Error()), w.resend(i, err)); err != nil {
			return err
		}
	}
	return nil
}

// onItsWay says whether GitHub may still make what shows a run, because it was
// asked for that a moment ago by somebody who has not heard of it: who was
// killed meanwhile, or lost the answer. What it has made can be found, what it is
// about to make cannot, and would be there twice.
func (w *Work) onItsWay(ctx context.Context, i database.Item) (bool, error) {
	if i.Remote != "" {
		return false, nil
	}
	if until := i.Asked.Add(w.Pace.Answer); !i.Asked.IsZero() && w.Now().Before(until) {
		return true, w.DB.PutOff(ctx, i, until)
	}
	return false, w.DB.Ask(ctx, i)
}

// resend is when something is sent again that could not be: never what GitHub
// will never take.
func (w *Work) resend(i database.Item, err error) time.Time {
	switch {
	case errors.Is(err, hub.ErrGone), errors.Is(err, hub.ErrInvalid):
		return time.Time{}
	case errors.Is(err, hub.ErrRefused):
		return w.Now().Add(time.Hour) // until somebody grants the permission
	}
	return w.Now().Add(min(time.Second<<min(i.Attempt, 10), 5*time.Minute))
}

// send has GitHub show something, and returns GitHub's name for it.
func (w *Work) send(ctx context.Context, i database.Item) (remote string, err error) {
	github := w.GitHub[i.App]
	if github == nil {
		return "", fmt.Errorf("the service has no key of App %d", i.App)
	}
	run, err := w.DB.Run(ctx, i.Run)
	if err != nil {
		return "", err
	}
	ctx, end := w.Span(ctx, "report", run.Delivery, run.ID)
	defer func() { end(err) }()
	known, _ := strconv.ParseInt(i.Remote, 10, 64) // 0 is none yet
	var id int64
	switch i.Channel {
	case checkChannel:
		var c hub.Check
		if err := json.Unmarshal(i.State, &c); err != nil {
			return "", err
		}
		c.ID = known
		id, err = github.PutCheck(ctx, repo(&run), c)
	case deploymentChannel:
		var d hub.Deployment
		if err := json.Unmarshal(i.State, &d); err != nil {
			return "", err
		}
		if known != 0 {
			d.ID = known
		}
		id, err = github.PutDeployment(ctx, repo(&run), d)
	case commentChannel:
		var c hub.Comment
		if err := json.Unmarshal(i.State, &c); err != nil {
			return "", err
		}
		if newer, err := w.newer(ctx, &run); newer || err != nil {
			return i.Remote, err
		}
		c.ID = known
		id, err = github.PutComment(ctx, repo(&run), c)
	default:
		return "", fmt.Errorf("%w: there is no place %q", hub.ErrInvalid, i.Channel)
	}
	return strconv.FormatInt(id, 10), err
}

// newer says whether the comment of a run's rule is another run's by now: one
// whose event is later, whichever was stored first.
func (w *Work) newer(ctx context.Context, run *webhook.Run) (bool, error) {
	all := database.RunFilter{App: run.App, RuleKey: run.RuleKey, Since: run.Since()}
	for other, err := range w.DB.Runs(ctx, all) {
		if err != nil {
			return false, err
		}
		if other.PullRequest == run.PullRequest && cmp.Or(other.Since().Compare(run.Since()), other.Created.Compare(run.Created)) > 0 {
			return true, nil
		}
	}
	return false, nil
}
