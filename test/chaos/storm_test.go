package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/fakehub"
)

// dice are those of one of the storm's winds, so that each does the same for the
// same seed, however the others blow.
func (w *world) dice(wind string) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, w.draw(wind)))
}

// wait waits, and says whether there is to be more.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// between is a time from one to another.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// storm has people work, the service die and the world fail until GitHub has
// sent most of so many deliveries: the others follow from what the service does
// then. In the middle, one replica of several dies for good.
func (w *world) storm(ctx context.Context, deliveries int) {
	ctx, calm := context.WithCancel(ctx)
	var winds sync.WaitGroup
	half := make(chan struct{})
	winds.Go(func() { w.killing(ctx, half) })
	winds.Go(func() { w.failing(ctx) })
	w.people(deliveries*8/10, half)
	calm()
	winds.Wait()
	w.hub.Heal()
	w.ecs.Heal()
}

// people push, open pull requests and talk; GitHub sends some of it twice, late,
// and in another order.
func (w *world) people(deliveries int, half chan<- struct{}) {
	r := w.dice("people")
	for n := 0; ; n++ {
		sent := w.hub.Count("webhook/deliver")
		if sent >= deliveries/2 && half != nil {
			close(half)
			half = nil
		}
		if sent >= deliveries {
			return
		}
		repo := w.repos[r.IntN(len(w.repos))]
		switch dice := r.IntN(100); {
		case dice < 35:
			w.push(repo, n)
		case dice < 50:
			w.open(repo, n)
		case dice < 65 && len(w.pulls) > 0:
			w.commit(r.IntN(len(w.pulls)), n)
		case dice < 75:
			repo.Push("mona", fmt.Sprintf("topic-%d", n), map[string]string{"topic": fmt.Sprint(n)})
		case dice < 90:
			w.again(r)
		case dice < 95:
			w.hub.Hold()
			for i := range 1 + r.IntN(5) {
				w.push(repo, n*10+i)
			}
			w.hub.Release(r.Shuffle)
		}
		wait(w.t.Context(), between(r, 10*time.Millisecond, 100*time.Millisecond))
	}
}

func (w *world) push(repo *fakehub.Repo, n int) {
	sha := repo.Push("mona", "main", map[string]string{"main.go": fmt.Sprintf("package main // %d\n", n)})
	w.cause(repo, sha, "deploy", "build")
}

// pull is a pull request and where it is.
type pull struct {
	*fakehub.PullRequest
	repo *fakehub.Repo
}

func (w *world) open(repo *fakehub.Repo, n int) {
	branch := fmt.Sprintf("change-%d", n)
	sha := repo.CommitTo(branch, map[string]string{"change": fmt.Sprint(n)})
	w.pulls = append(w.pulls, pull{repo.OpenPullRequest(fakehub.Pull{Head: branch, Login: "mona"}), repo})
	w.cause(repo, sha, "test")
}

func (w *world) commit(i, n int) {
	p := w.pulls[i]
	w.cause(p.repo, p.Push(map[string]string{"change": fmt.Sprintf("more %d", n)}), "test")
}

// again sends what was sent before: with its GUID, as people can, or with
// another one, as GitHub does at times.
func (w *world) again(r *rand.Rand) {
	sent := w.app.Deliveries()
	if len(sent) == 0 {
		return
	}
	guid := sent[r.IntN(len(sent))].GUID
	if r.IntN(2) == 0 {
		w.app.Redeliver(guid)
	} else {
		w.app.Duplicate(guid)
	}
}

// killing kills a replica every few seconds and starts it again, after a while
// or at once.
func (w *world) killing(ctx context.Context, half <-chan struct{}) {
	r := w.dice("killing")
	replicas := len(w.servers)
	for wait(ctx, between(r, 1500*time.Millisecond, 5*time.Second)) {
		select {
		case <-half:
			if half = nil; replicas > 1 {
				replicas--
				w.down(replicas)
				w.front.leave(replicas)
				w.t.Logf("replica %d is dead for good", replicas)
			}
		default:
		}
		victim := r.IntN(replicas)
		w.down(victim)
		wait(ctx, time.Duration(r.IntN(3))*300*time.Millisecond)
		w.up(victim)
	}
}

// githubFaults are what GitHub's calls may meet.
var githubFaults = []fakehub.Fault{
	fakehub.LostResponse, fakehub.Unreachable, fakehub.BadGateway, fakehub.LateBadGateway, fakehub.ServerError, fakehub.LateServerError, fakehub.Truncated,
	fakehub.Revoked,
	{Status: http.StatusForbidden, Message: fakehub.SecondaryLimit.Message, Header: map[string]string{"Retry-After": "1"}},
	{Delay: 500 * time.Millisecond},
}

// failing has GitHub and ECS fail by turns.
func (w *world) failing(ctx context.Context) {
	r := w.dice("failing")
	calls := []string{"*/*", "checks/*", "actions/*", "apps/*", "repos/*", "issues/*"}
	deliveries := []fakehub.Fault{fakehub.LostResponse, fakehub.Unreachable, fakehub.BadGateway, fakehub.LateServerError}
	for n := 0; wait(ctx, between(r, 200*time.Millisecond, time.Second)); n++ {
		switch r.IntN(8) {
		case 0, 1, 2:
			w.hub.Fail(calls[r.IntN(len(calls))], githubFaults[r.IntN(len(githubFaults))], 1+r.IntN(10))
		case 3:
			w.hub.Fail("webhook/deliver", deliveries[r.IntN(len(deliveries))], 1+r.IntN(20))
		case 4: // all of it is away
			w.hub.Fail("*/*", fakehub.BadGateway, -1)
			wait(ctx, between(r, 500*time.Millisecond, 2*time.Second))
			w.hub.Heal()
		default:
			w.failECS(r)
		}
	}
}

func (w *world) failECS(r *rand.Rand) {
	calls := []string{"ecs:RunTask", "ecs:RunTask", "ecs:DescribeTasks", "ecs:ListTasks", "ecs:*", "logs:*"}
	call, times := calls[r.IntN(len(calls))], 1+r.IntN(4)
	switch r.IntN(6) {
	case 0, 1:
		w.ecs.Inject(ecsfake.Fault{Operation: call, Times: times, Lose: true})
	case 2:
		w.ecs.Inject(ecsfake.Fault{Operation: call, Times: times, Code: "ServerException", Message: "The service is away.", Status: http.StatusInternalServerError})
	case 3:
		w.ecs.Inject(ecsfake.Throttle(call, times))
	case 4:
		w.ecs.FailPlacement("RESOURCE:MEMORY", "Capacity is unavailable at this time. Please try again later or in a different availability zone")
	case 5:
		w.ecs.Lag(r.IntN(3))
	}
}

// runners is GitHub Actions: it starts each run of a workflow and ends it after
// a while, not always well.
func (w *world) runners(ctx context.Context) {
	ends := []string{"success", "success", "success", "failure", "failure", "cancelled", "timed_out"}
	begun := map[int64]time.Time{}
	done := map[*fakehub.Repo]int{} // so many of its first runs have ended
	for wait(ctx, 100*time.Millisecond) {
		for _, repo := range w.repos {
			runs := repo.Runs()
			for i, run := range runs[done[repo]:] {
				n := w.draw(run.Inputs["commit"])
				switch at, there := begun[run.ID]; {
				case !there:
					run.Start()
					begun[run.ID] = time.Now()
				case time.Since(at) > time.Duration(n%1500)*time.Millisecond && !completed(run):
					run.Complete(ends[n/1500%uint64(len(ends))])
				case i == 0 && completed(run):
					done[repo]++
				}
			}
		}
	}
}

func completed(run *fakehub.Run) bool {
	state, _, _ := run.Status()
	return state == "completed"
}
