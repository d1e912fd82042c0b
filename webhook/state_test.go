package webhook_test

import (
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestStates draws the machine once more, row by row.
func TestStates(t *testing.T) {
	const (
		awaiting, queued, starting, resolving, ambiguous, running, finishing = webhook.AwaitingApproval, webhook.Queued, webhook.Starting, webhook.Resolving, webhook.Ambiguous, webhook.Running, webhook.Finishing
		succeeded, failed, timedOut, cancelled, lost                         = webhook.Succeeded, webhook.Failed, webhook.TimedOut, webhook.Cancelled, webhook.Lost
	)
	for _, tt := range []struct {
		state      webhook.State
		to         []webhook.State
		status     string
		conclusion webhook.Conclusion
		deployment string
		busy       bool
	}{
		{awaiting, []webhook.State{queued, cancelled}, "completed", "action_required", "queued", false},
		{queued, []webhook.State{starting, failed, timedOut, cancelled}, "queued", "", "queued", false},
		{starting, []webhook.State{queued, resolving, running, failed, timedOut, cancelled}, "queued", "", "queued", true},
		{resolving, []webhook.State{queued, ambiguous, running, failed, timedOut, cancelled}, "queued", "", "queued", true},
		{ambiguous, []webhook.State{queued, running, failed, cancelled}, "completed", "neutral", "error", true},
		{running, []webhook.State{queued, finishing, succeeded, failed, timedOut, cancelled, lost}, "in_progress", "", "in_progress", true},
		{finishing, []webhook.State{queued, succeeded, failed, timedOut, cancelled, lost}, "in_progress", "", "in_progress", true},
		{succeeded, nil, "completed", "success", "success", false},
		{failed, nil, "completed", "failure", "failure", false},
		{timedOut, nil, "completed", "timed_out", "failure", false},
		{cancelled, nil, "completed", "cancelled", "error", false},
		{lost, nil, "completed", "failure", "error", false},
	} {
		for _, to := range webhook.States {
			if got := tt.state.May(to); got != slices.Contains(tt.to, to) {
				t.Errorf("%s may become %s: %t", tt.state, to, got)
			}
		}
		if got := tt.state.Over(); got != (tt.to == nil) {
			t.Errorf("%s is over: %t", tt.state, got)
		}
		if status, conclusion := tt.state.Check(); status != tt.status || conclusion != tt.conclusion {
			t.Errorf("the check of %s is %s %s", tt.state, status, conclusion)
		}
		if got := tt.state.Deployment(); got != tt.deployment {
			t.Errorf("the deployment of %s is %s", tt.state, got)
		}
		if got := tt.state.Busy(); got != tt.busy {
			t.Errorf("%s is busy: %t", tt.state, got)
		}
		if !tt.state.Over() && !tt.state.May(cancelled) {
			t.Errorf("%s cannot be cancelled", tt.state)
		}
	}
	if unknown := webhook.State("?"); unknown.Valid() || unknown.Over() || unknown.May(queued) {
		t.Error("there is a state of the name ?")
	}
}

func TestMove(t *testing.T) {
	now := time.Unix(1700000000, 0)
	r := &webhook.Run{ID: "a", State: webhook.Queued}
	for i, to := range []webhook.State{webhook.Starting, webhook.Queued, webhook.Starting, webhook.Running, webhook.Finishing, webhook.Succeeded} {
		now = now.Add(time.Minute)
		if err := r.Move(to, string(to), now); err != nil {
			t.Fatal(err)
		}
		if r.State != to || r.Reason != string(to) || r.Rev != int64(i+1) || !r.Seen.Equal(now) {
			t.Errorf("after the move to %s: %+v", to, r)
		}
	}
	if r.Attempt != 2 || r.ClientToken() != "run-a-2" || r.Ended.Sub(r.Started) != 2*time.Minute {
		t.Errorf("at its end: %+v", r)
	}
	end := *r
	if err := r.Move(webhook.Cancelled, "", now); !errors.Is(err, webhook.ErrMove) {
		t.Errorf("an end was left: %v", err)
	}
	if r.State != end.State || r.Rev != end.Rev || r.Ended != end.Ended {
		t.Errorf("a move that was refused changed the run: %+v", r)
	}
}

func TestRunID(t *testing.T) {
	id := webhook.RunID(webhook.RuleKey(1, 7, "itest"), "push:refs/heads/main:a..b")
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(id) {
		t.Errorf("ID %s", id)
	}
	if again := webhook.RunID(webhook.RuleKey(1, 7, "itest"), "push:refs/heads/main:a..b"); again != id {
		t.Errorf("of the same keys, ID %s and %s", id, again)
	}
	if webhook.RunID("a", "bc") == webhook.RunID("ab", "c") {
		t.Error("other keys, the same ID")
	}
}
