package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"
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
