package watch

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pace is how often AWS is asked. The zero value is the one to use.
type Pace struct {
	// First is the wait after the first round of questions, default 5 s; waits
	// grow by a quarter each up to Most, default 15 s.
	First, Most time.Duration
	// Rand is what the waits of many callers are spread with, over [0, 1).
	// Default: rand.Float64.
	Rand func() float64
}

// After is the wait after round n, counted from 0: it differs by up to a fifth
// from one caller to the next.
func (p Pace) After(n int) time.Duration {
	if p.First <= 0 {
		p.First = 5 * time.Second
	}
	if p.Most <= 0 {
		p.Most = max(p.First, 15*time.Second)
	}
	if p.Rand == nil {
		p.Rand = rand.Float64
	}
	wait := p.First
	for range n {
		if wait += wait / 4; wait >= p.Most {
			wait = p.Most
			break
		}
	}
	return time.Duration(float64(wait) * (0.8 + 0.4*p.Rand()))
}

// Wait waits after round n.
func (p Pace) Wait(ctx context.Context, n int) error { return Sleep(ctx, p.After(n)) }

// Sleep waits; the error is the cause of the context's end.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
