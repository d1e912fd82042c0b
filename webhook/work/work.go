// Package work does what follows from deliveries. In come rows of the database
// whose time has come, by jobs of River; out go calls to GitHub and to ECS, and
// the rows as they are then.
//
// A delivery is decided about once (decide.go), with the configuration that
// counts for it (config.go) and what has to be asked for (facts.go). One of an
// installation's has schedules planned (install.go), whose events the service
// makes itself when they are due (schedule.go). Each run that follows goes its
// own way, told by [Work.step]:
//
//	start   the intent is stored, then the job is started      start.go
//	resolve whether it was, if the answer was lost             resolve.go
//	watch   the truth about it, until it has ended             watch.go
//	finish  its last lines and how it ended                    finish.go
//
// and people may approve it, cancel it and have it done again (approve.go,
// cancel.go, rerun.go). Whatever changes, report.go has GitHub show it.
//
// What it promises:
//
//   - Nothing sleeps in a worker. What waits is a row with a time.
//   - Whoever dies between two lines leaves a row from which another goes on. A
//     job is started once for each attempt of a run, as far as the place where
//     it runs can tell two starts apart; where it cannot, a run whose answer was
//     lost is looked for, and never started again unasked.
//   - A limit of GitHub's parks the installation that has reached it, and no
//     other.
//   - That a run has ended is found out by asking. Deliveries that tell of it
//     only have it asked sooner.
package work

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// GitHub is the part of *hub.Hub that the work needs.
type GitHub interface {
	Bot(context.Context) (string, error)
	Installation(ctx context.Context, id int64) (hub.Installation, error)
	Repositories(ctx context.Context, installation int64) iter.Seq2[webhook.Repository, error]
	Repository(context.Context, hub.Repo) (webhook.Repository, error)
	Head(ctx context.Context, r hub.Repo, ref string) (commit string, err error)
	Config(ctx context.Context, r hub.Repo, commit string) ([]byte, error)
	ChangedPaths(context.Context, hub.Repo, hub.Change) (hub.Paths, error)
	Permission(ctx context.Context, r hub.Repo, login string) (string, error)
	PullRequest(ctx context.Context, r hub.Repo, number int) (*webhook.PullRequest, error)

	Dispatch(context.Context, hub.Repo, hub.Dispatch) (hub.Dispatched, error)
	RepositoryDispatch(ctx context.Context, r hub.Repo, event string, payload map[string]string, nonce string) error
	FindRun(context.Context, hub.Repo, hub.Find) (run hub.WorkflowRun, found bool, err error)
	WorkflowRun(ctx context.Context, r hub.Repo, id int64) (hub.WorkflowRun, error)
	CancelRun(ctx context.Context, r hub.Repo, id int64) error

	PutCheck(context.Context, hub.Repo, hub.Check) (id int64, err error)
	PutDeployment(context.Context, hub.Repo, hub.Deployment) (id int64, err error)
	PutComment(context.Context, hub.Repo, hub.Comment) (id int64, err error)
}

// Tasks is the part of *task.Tasks that the work needs.
type Tasks interface {
	Start(context.Context, task.Job) (arn string, err error)
	Find(context.Context, task.Job) (arn string, err error)
	Describe(ctx context.Context, arns []string) ([]task.Truth, error)
	Explain(context.Context, task.Truth, task.Job) (task.Truth, error)
	Tail(ctx context.Context, arn string, j task.Job, n int) ([]watch.Line, error)
	Stop(ctx context.Context, arn string, cause task.Cause, text string) error
}

// Work is the workers and what they work with. Its methods are safe for
// concurrent use once its fields are set.
type Work struct {
	DB *database.DB
	// GitHub is how each App asks, by its ID.
	GitHub map[int64]GitHub
	// Tasks runs what runs on ECS; without, such runs fail.
	Tasks  Tasks
	Policy *rules.Policy
	// Page is where people see a run. Default: nowhere.
	Page func(run *webhook.Run) string
	// Workflow is where GitHub shows the workflow of a run, with its log; "" is
	// not known. Default: nowhere.
	Workflow func(run *webhook.Run) string
	// Window is how old an event may be and still have an effect. Default: 72
	// hours, as long as GitHub keeps deliveries.
	Window time.Duration
	Pace   Pace
	// Workers is how many jobs are done at once, of each kind. Default: 20.
	Workers int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	Log *slog.Logger // default: slog.Default
	// Metrics takes counters; nil takes none.
	Metrics prometheus.Registerer

	// Span begins to tell of a piece of work, which the function ends that it
	// returns: deciding about the delivery with a GUID, or a step or report of a
	// run. Default: nobody is told.
	Span func(ctx context.Context, name, guid, run string) (context.Context, func(error))

	// did is told of every effect, when it is there and nothing else is yet.
	did func(effect string)

	once    sync.Once
	metrics *metrics
	configs configs
}

// Pace is how long things take. The defaults are the service's.
type Pace struct {
	// Lease is how long whoever starts a run may take. Default: 1 min.
	Lease time.Duration
	// Watch is how often the truth about a run is asked for. Default: 15 s.
	Watch time.Duration
	// Resolve is how long a run is looked for whose answer was lost. Default: 5
	// min.
	Resolve time.Duration
	// Report is how long what shows a run is left alone. Default: 10 s.
	Report time.Duration
	// Answer is how long GitHub may work on a request. Default: 10 s, after which
	// it ends one
	// (https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api#timeouts).
	Answer time.Duration
	// Tick is how often schedules are looked at. Default: 5 s.
	Tick time.Duration
}

func (w *Work) setDefaults() {
	w.once.Do(func() {
		for _, d := range []struct {
			to    *time.Duration
			value time.Duration
		}{
			{&w.Window, 72 * time.Hour}, {&w.Pace.Lease, time.Minute}, {&w.Pace.Watch, 15 * time.Second},
			{&w.Pace.Resolve, 5 * time.Minute}, {&w.Pace.Report, 10 * time.Second}, {&w.Pace.Answer, 10 * time.Second}, {&w.Pace.Tick, 5 * time.Second},
		} {
			if *d.to == 0 {
				*d.to = d.value
			}
		}
		if w.Workers == 0 {
			w.Workers = 20
		}
		if w.Page == nil {
			w.Page = func(*webhook.Run) string { return "" }
		}
		if w.Workflow == nil {
			w.Workflow = func(*webhook.Run) string { return "" }
		}
		if w.Now == nil {
			w.Now = time.Now
		}
		if w.Log == nil {
			w.Log = slog.Default()
		}
		if w.Span == nil {
			w.Span = func(ctx context.Context, _, _, _ string) (context.Context, func(error)) { return ctx, func(error) {} }
		}
		w.metrics = newMetrics()
		if w.did == nil {
			w.did = func(string) {}
		}
	})
}

// step does what is due about a run, which is one move.
func (w *Work) step(ctx context.Context, run *webhook.Run) error {
	if run.CancelRequested != "" {
		if done, err := w.cancel(ctx, run); done || err != nil {
			return err
		}
	}
	switch run.State {
	case webhook.AwaitingApproval:
		return w.lapse(ctx, run)
	case webhook.Queued:
		return w.start(ctx, run)
	case webhook.Starting:
		return w.doubt(ctx, run)
	case webhook.Resolving, webhook.Ambiguous:
		return w.resolve(ctx, run)
	case webhook.Running:
		return w.watch(ctx, run)
	case webhook.Finishing:
		return w.finish(ctx, run)
	}
	return nil // it is over
}

// move takes a run to another state, with what is to be shown of it, and has it
// looked at again after a time, unless it is over.
func (w *Work) move(ctx context.Context, run *webhook.Run, to webhook.State, reason string, in time.Duration, lines ...string) error {
	if err := run.Move(to, reason, w.Now()); err != nil {
		return err
	}
	if run.Due = w.Now().Add(in); to.Over() {
		run.Due = time.Time{}
	}
	err := w.store(ctx, run, string(to), lines...)
	if err == nil {
		w.metrics.moved(run)
	}
	return err
}

// again has a run looked at again after a time.
func (w *Work) again(ctx context.Context, run *webhook.Run, in time.Duration, lines ...string) error {
	run.Due = w.Now().Add(in)
	run.Rev++
	return w.store(ctx, run, "again", lines...)
}

func (w *Work) store(ctx context.Context, run *webhook.Run, what string, lines ...string) error {
	err := w.DB.Move(ctx, *run, w.show(run, lines)...)
	if err == nil {
		w.did(what)
	}
	return err
}

// mostChanges is how often a change of a run is tried while others change it.
const mostChanges = 10

// change changes a run whatever others do to it meanwhile. The change is made
// to the run as it is then, and stores it.
func (w *Work) change(ctx context.Context, id string, change func(*webhook.Run) error) error {
	for range mostChanges {
		run, err := w.DB.Run(ctx, id)
		if err != nil {
			return err
		}
		if err := change(&run); !errors.Is(err, database.ErrMoved) {
			return err
		}
	}
	return errors.New("the run changes all the time")
}

// patience is how long to wait for something that has not happened for so
// long: a part of that, within bounds.
func patience(since time.Duration, least, most time.Duration) time.Duration {
	return min(max(since/4, least), most)
}

// limited says until when a limit of GitHub's keeps an installation waiting.
func limited(err error) (until time.Time, yes bool) {
	var l *hub.Limited
	if errors.As(err, &l) {
		return l.Until, true
	}
	return time.Time{}, false
}

// void leaves out what somebody else has done, or is going to do.
func void(err error) error {
	if errors.Is(err, database.ErrMoved) || errors.Is(err, database.ErrBusy) || errors.Is(err, database.ErrNotFound) {
		return nil
	}
	return err
}

// repo is where a run belongs.
func repo(run *webhook.Run) hub.Repo {
	return hub.Repo{Installation: run.Installation, ID: run.Repository, FullName: run.FullName}
}
