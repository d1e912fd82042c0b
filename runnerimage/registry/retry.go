package registry

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 250 * time.Millisecond
	longestPause = 10 * time.Second
	// longestAfter bounds how long a registry's Retry-After is obeyed.
	longestAfter = time.Minute
)

// patience counts failures in a row.
type patience struct {
	client *Client
	place  func() place // whose failures they are
	failed int
}

// wait returns nil when another try is due: it has waited for it. It returns
// the error that ends the matter when err is lasting, or was one too many, or
// ctx has ended.
func (p *patience) wait(ctx context.Context, err error) error {
	p.failed++
	if ctx.Err() != nil || p.failed >= p.client.attempts || p.client.isLasting(p.place(), err) {
		return p.client.explain(ctx, p.place(), err)
	}
	timer := time.NewTimer(pause(p.failed, err))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return p.client.explain(ctx, p.place(), err)
	}
}

// progress forgives what failed before.
func (p *patience) progress() { p.failed = 0 }

// pause is how long to wait after the given number of failures in a row:
// doubling, half of it by chance, and what the registry asked for.
func pause(failed int, err error) time.Duration {
	whole := min(firstPause<<min(failed-1, 10), longestPause)
	d := whole/2 + rand.N(whole/2+1)
	if answer, ok := asAnswer(err); ok {
		d = max(d, min(answer.after, longestAfter))
	}
	return d
}
