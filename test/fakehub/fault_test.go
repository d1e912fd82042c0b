package fakehub_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

// TestFaults lets the creation of a check run go wrong in every way: what the
// caller sees, and whether it was done.
func TestFaults(t *testing.T) {
	refused := func(want int) func(error) bool { return func(err error) bool { return status(err) == want } }
	for _, tt := range []struct {
		name  string
		fault fakehub.Fault
		is    func(error) bool
		done  int
	}{
		{"lost response", fakehub.LostResponse, lost, 1},
		{"unreachable", fakehub.Unreachable, lost, 0},
		{"bad gateway", fakehub.BadGateway, refused(502), 0},
		{"late bad gateway", fakehub.LateBadGateway, refused(502), 1},
		{"server error", fakehub.ServerError, refused(500), 0},
		{"late server error", fakehub.LateServerError, refused(500), 1},
		{"hang", fakehub.Hang, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, 0},
		{"late hang", fakehub.LateHang, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, 1},
		{"truncated", fakehub.Truncated, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }, 1},
		{"secondary limit", fakehub.SecondaryLimit, func(err error) bool {
			var limited *github.AbuseRateLimitError
			return errors.As(err, &limited) && limited.GetRetryAfter() == time.Minute
		}, 0},
		{"primary limit", fakehub.PrimaryLimit, func(err error) bool {
			var limited *github.RateLimitError
			return errors.As(err, &limited) && limited.Rate.Reset.After(time.Now())
		}, 0},
		{"revoked", fakehub.Revoked, refused(401), 0},
		{"uninstalled", fakehub.Uninstalled, refused(404), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, fakehub.Config{})
			create := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				if !tt.fault.Hang {
					ctx = t.Context()
				}
				// A new client each time: v60 remembers limits.
				_, _, err := w.clientOf(t, w.client.Client().Transport).Checks.CreateCheckRun(ctx, owner, name, github.CreateCheckRunOptions{Name: "c", HeadSHA: w.sha})
				return err
			}
			w.Fail("checks/*", tt.fault, 1)
			if err := create(); !tt.is(err) {
				t.Errorf("the caller sees %v", err)
			}
			if done := len(w.repo.Checks("")); done != tt.done {
				t.Errorf("%d were made, want %d", done, tt.done)
			}
			if err := create(); err != nil {
				t.Errorf("the next: %v", err)
			}
			if n := w.Count("checks/create"); n != 2 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

func lost(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) }

// TestHeal ends faults that would last.
func TestHeal(t *testing.T) {
	w := start(t, fakehub.Config{})
	get := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, _, err := w.client.Repositories.Get(ctx, owner, name)
		return err
	}
	w.Fail("*/*", fakehub.Fault{Delay: time.Hour}, -1)
	if err := get(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("delayed: %v", err)
	}
	w.Heal()
	if _, _, err := w.client.Repositories.Get(t.Context(), owner, name); err != nil {
		t.Errorf("healed: %v", err)
	}
}

// TestLimits uses limits up.
func TestLimits(t *testing.T) {
	w := start(t, fakehub.Config{Limits: fakehub.Limits{ContentPerMinute: 2, PointsPerMinute: 20}})
	ctx := t.Context()
	p := w.repo.OpenPullRequest(fakehub.Pull{Head: "main"})
	comment := func() error {
		client := w.clientOf(t, w.client.Client().Transport)
		_, _, err := client.Issues.CreateComment(ctx, owner, name, int(p.Number), &github.IssueComment{Body: github.String("b")})
		return err
	}
	var abuse *github.AbuseRateLimitError
	for i := range 3 {
		if err := comment(); errors.As(err, &abuse) != (i == 2) {
			t.Errorf("comment %d: %v", i, err)
		}
	}
	if wait := abuse.GetRetryAfter(); wait <= 0 || wait > time.Minute {
		t.Errorf("come back in %v", wait)
	}
	w.Advance(time.Minute)
	if err := comment(); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	for i := range 21 {
		client := w.clientOf(t, w.client.Client().Transport)
		if _, _, err := client.Repositories.Get(ctx, owner, name); errors.As(err, &abuse) != (i == 20) {
			t.Errorf("read %d: %v", i, err)
		}
	}
	w.install.SetBudget(1)
	w.Advance(time.Minute)
	_, resp, err := w.client.Repositories.Get(ctx, owner, name)
	if err != nil || resp.Rate.Remaining != 0 || resp.Rate.Limit != 5000 {
		t.Errorf("the last: %v, %v", resp.Rate, err)
	}
	var limited *github.RateLimitError
	if _, _, err = w.clientOf(t, w.client.Client().Transport).Repositories.Get(ctx, owner, name); !errors.As(err, &limited) {
		t.Errorf("one more: %v", err)
	}
}

// TestConcurrent has more calls under way than there may be.
func TestConcurrent(t *testing.T) {
	w := start(t, fakehub.Config{Limits: fakehub.Limits{Concurrent: 1}})
	if _, _, err := w.client.Repositories.Get(t.Context(), owner, name); err != nil { // so that there is a token
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.Fail("repos/get", fakehub.Hang, 1)
	hung := make(chan error, 1)
	go func() {
		_, _, err := w.client.Repositories.Get(ctx, owner, name)
		hung <- err
	}()
	for w.Count("repos/get") < 2 {
		time.Sleep(time.Millisecond)
	}
	var abuse *github.AbuseRateLimitError
	if _, _, err := w.clientOf(t, w.client.Client().Transport).Repositories.Get(t.Context(), owner, name); !errors.As(err, &abuse) {
		t.Errorf("the second: %v", err)
	}
	cancel()
	<-hung
}

// TestEnterprise is a GitHub Enterprise Server: below /api/v3, without limits,
// without the details of a run.
func TestEnterprise(t *testing.T) {
	w := start(t, fakehub.Config{Enterprise: true})
	in := map[string]any{"ref": "main", "inputs": map[string]string{"image": "a"}, "return_run_details": true}
	resp, err := call(t.Context(), w.client, http.MethodPost, "repos/acme/app/actions/workflows/deploy.yml/dispatches", in, new(json.RawMessage))
	if err != nil || resp.StatusCode != http.StatusNoContent || resp.Rate.Limit != 0 {
		t.Errorf("a dispatch: %v, %v", resp, err)
	}
	if _, _, err := w.client.RateLimit.Get(t.Context()); status(err) != http.StatusNotFound {
		t.Errorf("limits: %v", err)
	}
}
