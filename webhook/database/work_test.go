package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/webhook"
)

// quantum is how many deliveries a worker decides about in a turn, so that
// tests see several turns.
const quantum = 4

// turns works as the service does: it gives each delivery one run, and takes
// note of what is to be shown as if it were sent.
type turns struct {
	river.WorkerDefaults[Turn]
	db      *DB
	quantum int
	decided chan<- string // GUIDs, if anybody wants to know
}

func (w *turns) Work(ctx context.Context, job *river.Job[Turn]) error {
	t := job.Args
	if err := w.db.Take(ctx, t, 5*time.Second); err != nil {
		return void(err)
	}
	var err error
	if t.Work == Decide {
		err = w.decide(ctx, t.Lane)
	} else {
		err = w.report(ctx, t.Lane)
	}
	return errors.Join(err, w.db.Rest(ctx, t))
}

func (w *turns) decide(ctx context.Context, l Lane) error {
	list, err := w.db.Undecided(ctx, l, w.quantum)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, d := range list {
		g.Go(func() error { return w.decideOne(ctx, d) })
	}
	return g.Wait()
}

func (w *turns) decideOne(ctx context.Context, d Record) error {
	now := w.db.now()
	run := webhook.Run{
		ID: "run-" + d.GUID, RuleKey: "itest", EventKey: string(d.Body), Rev: 1, App: d.App, Installation: d.Installation, Repository: d.Repository,
		Delivery: d.GUID, Group: d.Sender, MaxQueue: 1000, State: webhook.Queued, Created: now, Due: now,
	}
	_, err := w.db.Decided(ctx, d.App, d.GUID, "", NewRun{run, []Desire{check(`"queued"`)}})
	if w.decided != nil {
		w.decided <- d.GUID
	}
	return void(err)
}

func (w *turns) report(ctx context.Context, l Lane) error {
	items, err := w.db.Unsent(ctx, l, w.quantum)
	for _, i := range items {
		err = errors.Join(err, w.db.Sent(ctx, i, "remote", time.Time{}))
	}
	return err
}

// steps takes a run from one state to the next, each in a job of its own.
type steps struct {
	river.WorkerDefaults[Step]
	db *DB
}

func (w *steps) Work(ctx context.Context, job *river.Job[Step]) error {
	run, err := w.db.Run(ctx, job.Args.Run)
	if err != nil || run.Rev != job.Args.Rev || run.State.Over() {
		return err
	}
	next := map[webhook.State]webhook.State{webhook.Queued: webhook.Starting, webhook.Starting: webhook.Running, webhook.Running: webhook.Succeeded}
	now := w.db.now()
	if err := run.Move(next[run.State], "", now); err != nil {
		return err
	}
	if run.Due = now; run.State.Over() {
		run.Due = time.Time{}
	}
	return void(w.db.Move(ctx, run, check(fmt.Sprintf("%q", run.State))))
}

// void says that what somebody else has done need not be done.
func void(err error) error {
	if errors.Is(err, ErrMoved) || errors.Is(err, ErrBusy) {
		return nil
	}
	return err
}

// work starts the workers.
func work(ctx context.Context, db *DB, workersEach, quantum int, decided chan<- string) (Queue, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &turns{db: db, quantum: quantum, decided: decided})
	river.AddWorker(workers, &steps{db: db})
	queues := map[string]river.QueueConfig{}
	for _, name := range []string{string(Decide), string(Report), Steps} {
		queues[name] = river.QueueConfig{MaxWorkers: workersEach}
	}
	q, err := db.Queue(ctx, &river.Config{Workers: workers, Queues: queues, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	return q, q.Start(ctx)
}

// settled waits until there is nothing more to do.
func (f *fixture) settled() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Minute)
	defer cancel()
	for tick := time.Tick(50 * time.Millisecond); ; {
		h, err := f.Health(ctx)
		if err != nil {
			f.t.Fatal(err)
		}
		if h.Undecided+h.Unended+h.Unsent == 0 {
			return
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("it stands still: %+v", h)
		case <-tick:
		}
	}
}

// TestQueue has River do all that follows from deliveries.
func TestQueue(t *testing.T) {
	const n = 40
	both(t, func(t *testing.T, f *fixture) {
		q, err := work(t.Context(), f.DB, 10, quantum, nil)
		f.must(err)
		for i := range n {
			f.accept(int64(i%3+1), fmt.Sprint(i))
		}
		f.settled()
		f.must(q.Stop(t.Context()))
		f.ended(n)
	})
}

// ended checks that there are so many runs, each begun once and at its end.
func (f *fixture) ended(n int) {
	f.t.Helper()
	seen := map[string]bool{}
	for run, err := range f.Runs(f.t.Context(), RunFilter{}) {
		f.must(err)
		if run.State != webhook.Succeeded || run.Attempt != 1 || seen[run.Delivery] {
			f.t.Errorf("run %s is %s after %d attempts", run.ID, run.State, run.Attempt)
		}
		seen[run.Delivery] = true
		items, err := f.Shown(f.t.Context(), run.ID)
		if err != nil || len(items) != 1 || string(items[0].State) != `"succeeded"` {
			f.t.Errorf("of run %s is shown %+v, %v", run.ID, items, err)
		}
	}
	if len(seen) != n {
		f.t.Errorf("%d runs for %d deliveries", len(seen), n)
	}
}

// TestFlood has one installation flood the service. Another one's delivery,
// which comes last, is decided about in its second turn.
func TestFlood(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		for i := range 5 * quantum {
			f.accept(1, fmt.Sprint(i))
		}
		f.accept(2, "last")
		decided := make(chan string, 5*quantum+1)
		q, err := work(t.Context(), f.DB, 1, quantum, decided)
		f.must(err)
		f.settled()
		f.must(q.Stop(t.Context()))
		close(decided)
		var order []string
		for guid := range decided {
			order = append(order, guid)
		}
		if place := slices.Index(order, "last"); place != quantum {
			t.Errorf("it is number %d of %d, want %d", place, len(order), quantum)
		}
	})
}

// TestAdopt gives back what a dead server was at: on SQLite the next one knows
// it at once, on PostgreSQL when its lease has run out.
func TestAdopt(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		dead := f.replica
		f.must(f.live(t.Context()))
		f.must(f.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
			_, err := tx.exec(ctx, `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP`)
			return err
		}))
		waiting := func(want int) {
			t.Helper()
			var n int
			f.must(f.engine.read(t.Context(), func(ctx context.Context, q querier) error {
				_, err := one(ctx, q, `SELECT count(*) FROM river_job WHERE state = 'available'`, nil, &n)
				return err
			}))
			if n != want {
				t.Errorf("%d jobs wait, want %d", n, want)
			}
		}
		if isPostgres(f.url) {
			f.must(f.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
				_, err := tx.exec(ctx, `UPDATE river_job SET attempted_by = ARRAY['clipper-earlier', $1]`, dead)
				return err
			}))
		}
		if _, err := f.Revive(t.Context()); err != nil { // it lives
			t.Fatal(err)
		}
		waiting(0)
		f.must(f.Close())
		f.open(Options{})
		if isPostgres(f.url) {
			waiting(0)
			f.clock.pass(replicaLease + time.Second)
			for range 2 {
				if _, err := f.Revive(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		waiting(1)
		q, err := work(t.Context(), f.DB, 1, quantum, nil)
		f.must(err)
		f.settled()
		f.must(q.Stop(t.Context()))
		f.ended(1)
	})
}
