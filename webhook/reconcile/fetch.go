package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
)

// giveUp is after how many failures one after the other it is tried from the
// other end, and then no more.
const giveUp = 5

// fetch takes in what is missing, the oldest first, and moves the cursor. Where
// neighbours cannot be had, it goes on from the other end: they hold up none
// that came later.
func (r *Reconciler) fetch(ctx context.Context, l list, cursor time.Time, result *Result) error {
	f := &fetching{r: r, result: result, cursor: cursor}
	left := l.missing
	for range 2 {
		slices.Reverse(left)
		var err error
		if left, err = f.take(ctx, left); err != nil {
			return err
		}
	}
	if err := f.keep(ctx, l.upTo); err != nil {
		return err
	}
	return f.last
}

// fetching is how far it came.
type fetching struct {
	r      *Reconciler
	result *Result
	taken  int
	cursor time.Time // until when nothing is missing
	last   error     // of those that failed
}

// take takes in deliveries in their order, until several in a row have failed.
// It returns those that it has not come to; the error is one after which nothing
// else needs to be tried.
func (f *fetching) take(ctx context.Context, open []missing) (left []missing, err error) {
	inRow, some := 0, 1 // lest a limit that is reached is told of by all of them
	for ; len(open) > 0; some = atOnce {
		now := open[:min(some, len(open))]
		for i, got := range f.r.fetchSome(ctx, now) {
			err := f.r.take(ctx, now[i], got, f.result)
			switch {
			case err == nil:
				inRow = 0
			case stops(ctx, err):
				return nil, err
			default:
				f.last = err
				f.result.Failed++
				if inRow++; inRow == giveUp {
					return open[i+1:], nil
				}
			}
			if err := f.step(ctx, now[i].at); err != nil {
				return nil, err
			}
		}
		open = open[len(now):]
	}
	return nil, nil
}

// step keeps how far it came, from time to time, and the work.
func (f *fetching) step(ctx context.Context, done time.Time) error {
	if f.taken++; f.taken%batch != 0 {
		return nil
	}
	if err := f.keep(ctx, done); err != nil {
		return err
	}
	_, err := f.r.hold(ctx)
	return err
}

// keep moves the cursor, which stands still from the first failure on.
func (f *fetching) keep(ctx context.Context, done time.Time) error {
	if f.last != nil || !done.After(f.cursor) {
		return nil
	}
	f.cursor = done
	return f.r.inbox.SetCursor(ctx, f.r.name, done.UTC().Format(time.RFC3339Nano))
}

// stops says whether after an error nothing else needs to be tried.
func stops(ctx context.Context, err error) bool {
	var limited *hub.Limited
	return ctx.Err() != nil || errors.As(err, &limited)
}

// atOnce is how many deliveries are fetched at a time: what takes long is that
// GitHub is far. Each can have 25 MB.
const atOnce = 4

// fetched is what became of fetching a delivery.
type fetched struct {
	d   webhook.Delivery
	err error
}

// fetchSome fetches deliveries, all at once.
func (r *Reconciler) fetchSome(ctx context.Context, some []missing) []fetched {
	all := make([]fetched, len(some))
	var wait sync.WaitGroup
	for i, m := range some {
		wait.Go(func() { all[i].d, all[i].err = r.github.Delivery(ctx, m.id) })
	}
	wait.Wait()
	return all
}

// take has the inbox take a delivery that was fetched, as every other.
func (r *Reconciler) take(ctx context.Context, m missing, f fetched, result *Result) error {
	if errors.Is(f.err, hub.ErrGone) {
		result.Gone++
		return nil
	}
	if f.err != nil {
		return f.err
	}
	fresh, err := r.inbox.Accept(ctx, f.d)
	if err != nil {
		return fmt.Errorf("store delivery %s: %w", m.guid, err)
	}
	if fresh {
		result.Accepted++
	}
	return nil
}
