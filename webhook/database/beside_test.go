package database

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/clipperregistry/runner/webhook"
)

// besides opens a test's database once more, as commands of the operator's do.
func (f *fixture) besides(o Options) *DB {
	f.t.Helper()
	o.Now, o.Log = f.clock.now, quiet
	db, err := Open(f.t.Context(), f.url, o)
	f.must(err)
	f.t.Cleanup(func() { db.Close() })
	return db
}

// worker tells the turns that River hands out.
type worker struct {
	river.WorkerDefaults[Turn]
	turns chan Turn
}

func (w *worker) Work(_ context.Context, job *river.Job[Turn]) error {
	w.turns <- job.Args
	return nil
}

// TestBeside replays, cancels and accepts beside a server, which is told of it.
func TestBeside(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "old")
		turn := f.turn(Decide, 1)
		_, err := f.Decided(t.Context(), 1, "old", "no rule")
		f.must(err)
		f.must(f.Rest(t.Context(), turn))
		f.create(f.run("1"))
		w := &worker{turns: make(chan Turn, 10)}
		workers := river.NewWorkers()
		river.AddWorker(workers, w)
		q, err := f.Queue(t.Context(), &river.Config{Workers: workers, Queues: map[string]river.QueueConfig{string(Decide): {MaxWorkers: 1}}, Logger: quiet})
		f.must(err)
		f.must(q.Start(t.Context()))
		defer func() { f.must(q.Stop(context.WithoutCancel(t.Context()))) }()

		beside := f.besides(Options{Beside: true})
		f.must(beside.Replay(t.Context(), 1, "old"))
		for got := range w.turns { // the first one is of when it was accepted
			if got.Number > turn.Number {
				break
			}
		}
		f.must(beside.Cancel(t.Context(), "1", "by the operator"))
		if run := f.get("1"); run.CancelRequested != "by the operator" {
			t.Errorf("%+v", run)
		}
		if got := f.steps("1"); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("the run's steps are %v", got)
		}
		if fresh, err := beside.Accept(t.Context(), delivery(2, "found")); err != nil || !fresh {
			t.Errorf("accept: %v, %v", fresh, err)
		}
		if got := <-w.turns; got.Installation != 2 {
			t.Errorf("%+v", got)
		}
		if _, err := beside.Queue(t.Context(), &river.Config{}); !errors.Is(err, errBeside) {
			t.Errorf("a queue: %v", err)
		}
		reader := f.besides(Options{ReadOnly: true})
		if err := reader.Replay(t.Context(), 1, "old"); err == nil {
			t.Error("a reader has replayed")
		}
	})
}

// TestBesideAtOnce writes from both sides as fast as it goes: nothing fails,
// and nothing is lost.
func TestBesideAtOnce(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		const n = 100
		done := make(chan error, 2)
		for side, db := range []*DB{f.DB, f.besides(Options{Beside: true})} {
			go func() {
				var errs []error
				for i := range n {
					_, err := db.Accept(t.Context(), delivery(1, strconv.Itoa(i*2+side)))
					errs = append(errs, err, db.Replay(t.Context(), 1, strconv.Itoa(i*2+side)))
				}
				done <- errors.Join(errs...)
			}()
		}
		f.must(errors.Join(<-done, <-done))
		seen := 0
		for rec, err := range f.Deliveries(t.Context(), DeliveryFilter{Newest: true}) {
			f.must(err)
			if seen++; rec.Source != webhook.Replayed {
				t.Errorf("%+v", rec)
			}
		}
		if seen != 2*n {
			t.Errorf("there are %d", seen)
		}
	})
}

// TestBesideWithoutServer opens what a server has left.
func TestBesideWithoutServer(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		f.must(f.Close())
		for _, o := range []Options{{ReadOnly: true}, {Beside: true}} {
			db := f.besides(o)
			if _, err := db.Delivery(t.Context(), 1, "a"); err != nil {
				t.Error(err)
			}
			f.must(db.Close())
		}
		f.open(Options{})
		f.turn(Decide, 1)
	})
}

// TestBesideOthersTables neither makes tables nor changes them.
func TestBesideOthersTables(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.must(f.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
			_, err := tx.exec(ctx, `UPDATE clipper_version SET version = version + 1`)
			return err
		}))
		for _, o := range []Options{{ReadOnly: true}, {Beside: true}} {
			_, err := Open(t.Context(), f.url, o)
			wants(t, "newer tables", err, ErrTables)
		}
		for name, url := range urls(t) {
			if name == "SQLite" {
				if _, err := Open(t.Context(), url, Options{Beside: true}); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("no file: %v", err)
				}
				f.must(os.WriteFile(url, nil, 0o600))
			}
			for _, o := range []Options{{ReadOnly: true}, {Beside: true}} {
				_, err := Open(t.Context(), url, o)
				wants(t, "no tables", err, ErrTables)
			}
		}
	})
}

// TestCopyInUse does not copy what replicas work on.
func TestCopyInUse(t *testing.T) {
	f := &fixture{t: t, url: server.Database(t), clock: &clock{t: time.Now()}}
	f.open(Options{})
	f.must(f.live(t.Context()))
	to := &fixture{t: t, url: filepath.Join(t.TempDir(), "to.db"), clock: f.clock}
	to.open(Options{})
	_, err := Copy(t.Context(), f.DB, to.DB)
	wants(t, "copy", err, ErrInUse)
	f.clock.pass(replicaLease + time.Second)
	_, err = Copy(t.Context(), f.DB, to.DB)
	f.must(err)
}
