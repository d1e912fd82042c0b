package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

const (
	// quantum is how much of an installation is reported before it is another
	// one's turn, mostDecided how many of its deliveries are decided about: most
	// need nothing of GitHub.
	quantum     = 16
	mostDecided = 64
	// longTurn is how long it may take until the rest waits for the next turn,
	// and longUnstored how long decisions may wait for others to be stored with.
	longTurn     = 30 * time.Second
	longUnstored = time.Second
	// lease is how long a turn may go without a word.
	lease = 2 * time.Minute
	// grace is how long the jobs that are being done have when it stops.
	grace = 20 * time.Second
	// revival is how often this replica says that it lives.
	revival = 5 * time.Second
)

// Run works until ctx is done, and then ends what it is at.
func (w *Work) Run(ctx context.Context) error {
	w.setDefaults()
	if err := w.metrics.register(w.Metrics); err != nil {
		return err
	}
	workers, queues := river.NewWorkers(), map[string]river.QueueConfig{}
	river.AddWorker(workers, &turnWorker{w: w})
	river.AddWorker(workers, &stepWorker{w: w})
	for _, name := range []string{string(database.Decide), string(database.Report), database.Steps} {
		queues[name] = river.QueueConfig{MaxWorkers: w.Workers}
	}
	q, err := w.DB.Queue(ctx, &river.Config{Workers: workers, Queues: queues, Logger: w.Log})
	if ctx.Err() != nil { // it ends before it has begun
		return nil
	}
	if err != nil {
		return err
	}
	if err := q.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	w.keep(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := q.Stop(stop); err != nil {
		// What is cut off here is found by whoever works next.
		return q.StopAndCancel(context.WithoutCancel(ctx))
	}
	return nil
}

// keep does what no job is for: it says that this replica lives, and looks at
// the clock.
func (w *Work) keep(ctx context.Context) {
	revive, tick := time.NewTicker(revival), time.NewTicker(w.Pace.Tick)
	defer revive.Stop()
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-revive.C:
			_, err = w.DB.Revive(ctx)
		case <-tick.C:
			err = w.tick(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "regular work failed", "error", redact(err.Error()))
		}
	}
}

// turnWorker does an installation's work for a while.
type turnWorker struct {
	river.WorkerDefaults[database.Turn]
	w *Work
}

func (t *turnWorker) Work(ctx context.Context, job *river.Job[database.Turn]) error {
	turn := job.Args
	if err := t.w.DB.Take(ctx, turn, lease); err != nil {
		return void(err)
	}
	var err error
	if turn.Work == database.Decide {
		err = t.w.decide(ctx, turn.Lane)
	} else {
		err = t.w.report(ctx, turn.Lane)
	}
	if err != nil { // River gives the turn back, after a while
		return err
	}
	return t.w.DB.Rest(ctx, turn)
}

// stepWorker does what is due about a run.
type stepWorker struct {
	river.WorkerDefaults[database.Step]
	w *Work
}

func (s *stepWorker) Work(ctx context.Context, job *river.Job[database.Step]) error {
	run, err := s.w.DB.Run(ctx, job.Args.Run)
	if err != nil || run.Rev != job.Args.Rev {
		return void(err)
	}
	ctx, end := s.w.Span(ctx, stepName(run.State), run.Delivery, run.ID)
	err = void(s.w.step(ctx, &run))
	end(err)
	until, yes := limited(err)
	if !yes {
		return err
	}
	s.w.metrics.met(run.App, err)
	return void(s.w.change(ctx, run.ID, func(now *webhook.Run) error {
		if now.Rev != job.Args.Rev {
			return nil
		}
		return s.w.again(ctx, now, until.Sub(s.w.Now()))
	}))
}

// stepName says what is done about a run in a state.
func stepName(s webhook.State) string {
	switch s {
	case webhook.Queued:
		return "start"
	case webhook.Starting, webhook.Resolving, webhook.Ambiguous:
		return "resolve"
	case webhook.Finishing:
		return "finish"
	}
	return "watch"
}

// park leaves an installation alone until GitHub's limit has passed.
func (w *Work) park(ctx context.Context, l database.Lane, until time.Time) error {
	w.Log.WarnContext(ctx, "GitHub's limit is reached", "app", l.App, "installation", l.Installation, "until", until)
	other := l
	if other.Work = database.Report; l.Work == database.Report {
		other.Work = database.Decide
	}
	return errors.Join(w.DB.Park(ctx, l, until), w.DB.Park(ctx, other, until))
}
