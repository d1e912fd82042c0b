package chaos

import (
	"context"
	"slices"
	"strings"
	"time"
)

// settle waits until nothing is wrong, and fails if something stays so.
func (w *world) settle(ctx context.Context, within time.Duration) *verdict {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := &verdict{}
	err := w.hub.Settle(ctx)
	for said := time.Now(); err == nil; {
		var v *verdict
		if v, err = w.judge(ctx); err != nil {
			break
		}
		if last = v; len(v.wrong) == 0 {
			return v
		}
		if time.Since(said) > 20*time.Second {
			w.t.Logf("%d things are not right yet, such as: %s", len(v.wrong), v.wrong[0])
			said = time.Now()
		}
		if !wait(ctx, 2*time.Second) {
			break
		}
	}
	w.t.Errorf("after %s, %d things are wrong (%v), such as\n%s", within, len(last.wrong), err, last.some())
	return last
}

// some are the first things that are wrong.
func (v *verdict) some() string {
	slices.Sort(v.wrong)
	return strings.Join(v.wrong[:min(len(v.wrong), 30)], "\n")
}

// stays fails if something is wrong that was right.
func (w *world) stays(ctx context.Context, when string) {
	w.t.Helper()
	v, err := w.judge(ctx)
	if err != nil {
		w.t.Error(err)
	} else if len(v.wrong) > 0 {
		w.t.Errorf("all was right, and %s %d things are wrong, such as\n%s", when, len(v.wrong), v.some())
	}
}
