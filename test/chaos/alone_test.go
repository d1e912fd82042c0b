package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// bereave kills the last replica for good. The other one, which nobody kills
// for that while, takes all that GitHub sends, and ends what was under way.
func (w *world) bereave(last int) {
	before := w.verdict()
	if err := before.believed(w.t.Context()); err != nil {
		w.t.Error(err) // by its own goroutine, it cannot end the test
		return
	}
	w.down(last)
	w.front.leave(last)
	w.mu.Lock()
	survivor := w.servers[0].Public
	w.mu.Unlock()
	good, bad := w.front.answers(survivor)
	w.t.Logf("replica %d is dead for good", last)
	// Whatever looks after the dead one's work waits for its lease first.
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for left := []string{"all"}; len(left) > 0; {
		if !wait(ctx, time.Second) {
			w.t.Errorf("what was under way when replica %d died has not ended: %v", last, left)
			return
		}
		now := w.verdict()
		if err := now.believed(ctx); err != nil {
			w.t.Error(err)
			return
		}
		left = before.begun(now)
	}
	nowGood, nowBad := w.front.answers(survivor)
	if nowGood == good || nowBad > bad {
		w.t.Errorf("the replica that was left has answered %d deliveries with success, and %d otherwise", nowGood-good, nowBad-bad)
	}
	w.t.Logf("the other has answered %d deliveries and ended what was under way", nowGood-good)
	w.mu.Lock()
	w.alone = true
	w.mu.Unlock()
}

// begun are the runs that were under way then and still are.
func (v *verdict) begun(now *verdict) (left []string) {
	for id, run := range v.runs {
		state := now.runs[id].State
		if run.State.Busy() && run.State != webhook.Ambiguous && !state.Over() && state != webhook.Ambiguous {
			left = append(left, fmt.Sprintf("%s of %s, which is %s", id, run.Rule, state))
		}
	}
	return left
}
