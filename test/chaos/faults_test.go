package chaos

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/fakehub"
)

// fault is one with a name.
type fault[F any] struct {
	name string
	F    F
}

// githubFaults are what GitHub's calls may meet.
var githubFaults = []fault[fakehub.Fault]{
	{"a lost answer", fakehub.LostResponse}, {"a broken connection", fakehub.Unreachable}, {"502", fakehub.BadGateway}, {"a late 502", fakehub.LateBadGateway},
	{"500", fakehub.ServerError}, {"a late 500", fakehub.LateServerError}, {"half an answer", fakehub.Truncated}, {"a revoked token", fakehub.Revoked},
	{"no answer", fakehub.Hang}, {"no answer to what was done", fakehub.LateHang}, {"delay", fakehub.Fault{Delay: 500 * time.Millisecond}},
	{"the secondary limit", fakehub.SecondaryLimit}, {"the primary limit", fakehub.PrimaryLimit},
}

// deliveryFaults are what deliveries may meet on their way.
var deliveryFaults = []fault[fakehub.Fault]{
	{"a lost answer", fakehub.LostResponse}, {"a broken connection", fakehub.Unreachable}, {"502", fakehub.BadGateway}, {"a late 500", fakehub.LateServerError},
}

// ecsFaults are what the calls of AWS may meet.
var ecsFaults = []fault[ecsfake.Fault]{
	{"a lost answer", ecsfake.Fault{Lose: true}}, {"throttling", ecsfake.Throttle("", 0)},
	{"500", ecsfake.Fault{Code: "ServerException", Message: "The service is away.", Status: http.StatusInternalServerError}},
}

// gusts are what goes wrong for a while, one for each fault, and of some more.
func (w *world) gusts(r *rand.Rand) (all []func(context.Context)) {
	for _, f := range githubFaults {
		all = append(all, func(context.Context) { w.failGitHub(r, f.F) })
	}
	for _, f := range deliveryFaults {
		all = append(all, func(context.Context) { w.hub.Fail("webhook/deliver", f.F, 1+r.IntN(20)) })
	}
	for range 3 {
		for _, f := range ecsFaults {
			all = append(all, func(context.Context) { w.failECS(r, f.F) })
		}
		all = append(all, func(ctx context.Context) { w.outage(ctx, r) })
		// The SDK starts a task three times before it gives up.
		all = append(all, func(context.Context) { w.ecs.Inject(ecsfake.Fault{Operation: "ecs:RunTask", Times: 20, Lose: true}) })
	}
	for range 2 {
		all = append(all, func(context.Context) { w.ecs.Lag(r.IntN(3)) }, func(context.Context) {
			w.ecs.FailPlacement("RESOURCE:MEMORY", "Capacity is unavailable at this time. Please try again later or in a different availability zone")
		})
	}
	return all
}

// failing has GitHub and ECS fail by turns: all that can go wrong, and then all
// of it again in another order.
func (w *world) failing(ctx context.Context) {
	r := w.dice("failing")
	for gusts := w.gusts(r); ; {
		r.Shuffle(len(gusts), func(i, j int) { gusts[i], gusts[j] = gusts[j], gusts[i] })
		for _, gust := range gusts {
			if !wait(ctx, between(r, 200*time.Millisecond, time.Second)) {
				return
			}
			gust(ctx)
		}
	}
}

func (w *world) failGitHub(r *rand.Rand, f fakehub.Fault) {
	calls := []string{"*/*", "checks/*", "actions/*", "apps/*", "repos/*", "issues/*"}
	call, times := calls[r.IntN(len(calls))], 1+r.IntN(10)
	switch f.Message { // the limits end sooner than GitHub's
	case fakehub.SecondaryLimit.Message:
		f.Header = map[string]string{"Retry-After": "1"}
	case fakehub.PrimaryLimit.Message:
		f.Header = map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(3*time.Second).Unix(), 10)}
		call, times = "checks/*", 1
	}
	if f.Hang { // for half a minute, in which an installation's turn would go by
		call, times = "actions/*", 1
	}
	w.hub.Fail(call, f, times)
}

// outage takes all of GitHub away.
func (w *world) outage(ctx context.Context, r *rand.Rand) {
	w.hub.Fail("*/*", fakehub.BadGateway, -1)
	wait(ctx, between(r, 500*time.Millisecond, 2*time.Second))
	w.hub.Heal()
}

func (w *world) failECS(r *rand.Rand, f ecsfake.Fault) {
	calls := []string{"ecs:RunTask", "ecs:RunTask", "ecs:DescribeTasks", "ecs:ListTasks", "ecs:*", "logs:*"}
	f.Operation, f.Times = calls[r.IntN(len(calls))], 1+r.IntN(4)
	w.ecs.Inject(f)
}
