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

// Result is what a pass did.
type Result struct {
	Since    time.Time // where it began, by GitHub's clock
	Listed   int       // times that GitHub has sent something
	Accepted int       // deliveries that were not in the inbox
	Gone     int       // that were not, and that GitHub cannot tell any more
	Failed   int       // that could not be fetched or stored, and are tried again
}

const (
	// batch is how many deliveries are asked for at once in the inbox, and after
	// how many the cursor is kept.
	batch = 100
	// maxMissing is how many deliveries a pass fetches: the oldest. It goes on
	// with the others in the next one.
	maxMissing = 10000
	// giveUp is after how many failures one after the other nothing is expected
	// of a pass any more.
	giveUp = 5
)

// Pass compares once, fetches what is missing from the oldest to the latest,
// and keeps how far it came. The error is that of the last failure; what could
// be fetched is in the inbox all the same.
func (r *Reconciler) Pass(ctx context.Context) (Result, error) {
	result, err := r.pass(ctx)
	now := time.Now()
	if err == nil {
		err = r.inbox.SetCursor(ctx, r.passed(), now.UTC().Format(time.RFC3339))
	}
	r.metrics.pulled.Add(float64(result.Accepted))
	if err != nil {
		r.metrics.failed.Inc()
		return result, fmt.Errorf("reconcile deliveries: %w", err)
	}
	r.last.Store(&now)
	r.metrics.at.Set(float64(now.Unix()))
	return result, nil
}

func (r *Reconciler) pass(ctx context.Context) (Result, error) {
	var result Result
	cursor, err := r.cursor(ctx)
	if err != nil {
		return result, err
	}
	result.Since = cursor.Add(-Overlap)
	// A cursor of times to come would hide all that is before them. Before the
	// first answer, GitHub's time is this machine's.
	if now := r.github.Now(); result.Since.Before(now.Add(-MaxAge)) || cursor.After(now.Add(24*time.Hour)) {
		result.Since = now.Add(-MaxAge)
	}
	list, err := r.compare(ctx, result.Since)
	result.Listed = list.n
	if err != nil {
		return result, err
	}
	return result, r.fetch(ctx, list, cursor, &result)
}

// cursor is until when the inbox is complete, by GitHub's clock. One that
// cannot be read is none.
func (r *Reconciler) cursor(ctx context.Context) (time.Time, error) {
	text, err := r.inbox.Cursor(ctx, r.name)
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, nil
	}
	return at, nil
}

// list is what GitHub's list comes to.
type list struct {
	n       int
	missing []missing // the latest first, each GUID once
	upTo    time.Time // until when nothing else is missing
}

type missing struct {
	id   int64
	guid string
	at   time.Time
}

// compare reads the list and asks the inbox for what is on it.
func (r *Reconciler) compare(ctx context.Context, since time.Time) (list, error) {
	var (
		l       list
		open    []missing // not yet asked for
		seen    = map[string]bool{}
		reading time.Time
	)
	settle := func() error {
		guids := make([]string, len(open))
		for i, m := range open {
			guids[i] = m.guid
		}
		known, err := r.inbox.Known(ctx, r.github.AppID(), guids)
		if err != nil {
			return err
		}
		for _, m := range open {
			if !known[m.guid] && !seen[m.guid] {
				seen[m.guid] = true
				l.missing = append(l.missing, m)
			}
		}
		open = open[:0]
		if len(l.missing) >= 2*maxMissing {
			l.oldest(seen)
		}
		return nil
	}
	for sent, err := range r.github.Deliveries(ctx, since) {
		if err != nil {
			return l, err
		}
		l.n++
		if at := sent.At.Time(); !at.IsZero() {
			reading = at
		}
		if l.upTo.IsZero() {
			l.upTo = reading
		}
		if open = append(open, missing{sent.ID, sent.GUID, reading}); len(open) == batch {
			if err := settle(); err != nil {
				return l, err
			}
		}
	}
	if err := settle(); err != nil {
		return l, err
	}
	if len(l.missing) > maxMissing {
		l.oldest(seen)
	}
	return l, nil
}

// oldest leaves the latest for the next pass.
func (l *list) oldest(seen map[string]bool) {
	later := l.missing[:len(l.missing)-maxMissing]
	for _, m := range later {
		delete(seen, m.guid)
	}
	l.missing = slices.Clone(l.missing[len(later):])
	l.upTo = l.missing[0].at
}

// fetch takes in what is missing, the oldest first, and moves the cursor.
func (r *Reconciler) fetch(ctx context.Context, l list, cursor time.Time, result *Result) error {
	var last error
	inRow := 0
	// done is until when nothing is missing; it stands still from the first
	// failure on.
	keep := func(done time.Time) error {
		if last != nil || !done.After(cursor) {
			return nil
		}
		cursor = done
		return r.inbox.SetCursor(ctx, r.name, done.UTC().Format(time.RFC3339Nano))
	}
	var next []fetched // the oldest last
	some := 1          // lest a limit that is reached is told of by all of them
	for i, m := range slices.Backward(l.missing) {
		if len(next) == 0 {
			next = r.fetchSome(ctx, l.missing[max(0, i+1-some):i+1])
			some = atOnce
		}
		f := next[len(next)-1]
		next = next[:len(next)-1]
		err := r.take(ctx, m, f, result)
		switch {
		case err == nil:
			inRow = 0
		case stops(ctx, err):
			return err
		default:
			last = err
			result.Failed++
			if inRow++; inRow == giveUp {
				return err
			}
		}
		if i%batch == 0 {
			if err := keep(m.at); err != nil {
				return err
			}
			if _, err := r.hold(ctx); err != nil {
				return err
			}
		}
	}
	if err := keep(l.upTo); err != nil {
		return err
	}
	return last
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
