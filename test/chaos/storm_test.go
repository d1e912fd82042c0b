package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

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

// storm has people work, the service die and the world fail until there is
// enough that so many deliveries follow from. In the middle, one replica of
// several dies for good.
func (w *world) storm(ctx context.Context, deliveries int) {
	ctx, calm := context.WithCancel(ctx)
	var winds sync.WaitGroup
	half := make(chan struct{})
	winds.Go(func() { w.killing(ctx, half) })
	winds.Go(func() { w.failing(ctx) })
	w.people(deliveries/followers, half)
	calm()
	winds.Wait()
	w.hub.Heal()
	w.ecs.Heal()
}

// followers are how many deliveries GitHub sends at least for each effect: of
// what caused it, and of the check that shows it.
const followers = 5

// people push, open pull requests and talk, until so many effects are to follow;
// GitHub sends some of it twice, late, and in another order.
func (w *world) people(effects int, half chan<- struct{}) {
	r := w.dice("people")
	var late *disorder
	for n := 0; ; n++ {
		caused := len(w.caused)
		if caused >= effects/2 && half != nil {
			close(half)
			half = nil
		}
		if late.over(n) || caused >= effects {
			late.end(n)
			late = nil
		}
		if caused >= effects {
			return
		}
		repo := w.repos[r.IntN(len(w.repos))]
		switch dice := r.IntN(100); {
		case dice < 40:
			w.push(repo, n)
		case dice < 55:
			w.open(repo, n)
		case dice < 70 && len(w.pulls) > 0:
			w.commit(w.pulls[r.IntN(len(w.pulls))], n)
		case dice < 80:
			repo.Push("mona", fmt.Sprintf("topic-%d", n), map[string]string{"topic": fmt.Sprint(n)})
		case dice < 95:
			w.again(r)
		case late == nil:
			late = w.disorder(repo, n, r.IntN(2) == 0)
		}
		wait(w.t.Context(), between(r, 10*time.Millisecond, 70*time.Millisecond))
	}
}

// disorder is a while of which GitHub sends nothing, and then all of it in
// another order: a pull request's newer commit before the older.
type disorder struct {
	w     *world
	pull  *pull
	until int // turn of people's
	order func(n int, swap func(i, j int))
}

func (w *world) disorder(repo *fakehub.Repo, n int, backwards bool) *disorder {
	w.hub.Hold()
	d := &disorder{w: w, pull: w.open(repo, n), until: n + 20, order: w.dice(fmt.Sprint("disorder", n)).Shuffle}
	if backwards {
		d.order = fakehub.Backwards
	}
	return d
}

func (d *disorder) over(n int) bool { return d != nil && n >= d.until }

func (d *disorder) end(n int) {
	if d != nil {
		d.w.commit(d.pull, n)
		d.w.hub.Release(d.order)
	}
}

func (w *world) push(repo *fakehub.Repo, n int) {
	sha := repo.Push("mona", "main", map[string]string{"main.go": fmt.Sprintf("package main // %d\n", n)})
	w.cause(repo, sha, "deploy", "build")
}

// pull is a pull request and where it is, with its commits, the newest last.
type pull struct {
	*fakehub.PullRequest
	repo    *fakehub.Repo
	commits []string
	changed time.Time
}

func (p *pull) head() string { return p.commits[len(p.commits)-1] }

func (w *world) open(repo *fakehub.Repo, n int) *pull {
	branch := fmt.Sprintf("change-%d", n)
	sha := repo.CommitTo(branch, map[string]string{"change": fmt.Sprint(n)})
	p := &pull{repo.OpenPullRequest(fakehub.Pull{Head: branch, Login: "mona"}), repo, []string{sha}, time.Now()}
	w.pulls = append(w.pulls, p)
	w.cause(repo, sha, "test")
	return p
}

// commit adds a commit to a pull request. GitHub's times have whole seconds: of
// two commits within one nobody could tell which is the newer.
func (w *world) commit(p *pull, n int) {
	wait(w.t.Context(), time.Until(p.changed.Truncate(time.Second).Add(time.Second)))
	sha := p.Push(map[string]string{"change": fmt.Sprintf("more %d", n)})
	p.commits, p.changed = append(p.commits, sha), time.Now()
	w.cause(p.repo, sha, "test")
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
	for blows := true; blows; {
		blows = wait(ctx, between(r, 1500*time.Millisecond, 5*time.Second))
		select {
		case <-half:
			if half = nil; replicas > 1 {
				replicas--
				w.bereave(replicas)
				continue
			}
		default:
		}
		if blows {
			victim := r.IntN(replicas)
			w.down(victim)
			wait(ctx, time.Duration(r.IntN(3))*300*time.Millisecond)
			w.up(victim)
		}
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
