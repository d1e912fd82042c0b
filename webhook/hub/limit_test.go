package hub_test

import (
	"errors"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

// TestLimits says until when, by this machine's clock, and asks GitHub no more
// before that.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name      string
		skew      time.Duration // of GitHub's clock
		spent     bool
		fault     *fakehub.Fault
		secondary bool
		least     time.Duration
		most      time.Duration
	}{
		{name: "the hour's", spent: true, least: 30 * time.Minute, most: 61 * time.Minute},
		{name: "the hour's, of a GitHub in the past", skew: -3 * time.Hour, spent: true, least: 30 * time.Minute, most: 61 * time.Minute},
		{name: "the hour's, of a GitHub in the future", skew: 26 * time.Hour, spent: true, least: 30 * time.Minute, most: 61 * time.Minute},
		{name: "secondary", fault: &fakehub.SecondaryLimit, secondary: true, least: 50 * time.Second, most: 61 * time.Second},
		{name: "secondary, without a time", fault: &fakehub.Fault{Status: 403, Message: fakehub.SecondaryLimit.Message}, secondary: true, least: 50 * time.Second, most: 61 * time.Second},
		{name: "secondary, of a GitHub in the future", skew: 26 * time.Hour, fault: &fakehub.Fault{Status: 403, Message: fakehub.SecondaryLimit.Message}, secondary: true, least: 50 * time.Second, most: 61 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, fakehub.Config{})
			w.Advance(tt.skew)
			h := w.hub()
			if _, err := h.Repository(t.Context(), w.at); err != nil {
				t.Fatal(err)
			}
			if tt.spent {
				w.install.SetBudget(0)
			}
			if tt.fault != nil {
				w.Fail("repos/*", *tt.fault, 1)
			}
			for range 2 {
				_, err := h.Head(t.Context(), w.at, "refs/heads/main")
				var limited *hub.Limited
				if !errors.As(err, &limited) {
					t.Fatalf("%v, want Limited", err)
				}
				if wait := time.Until(limited.Until); limited.Secondary != tt.secondary || wait < tt.least || wait > tt.most {
					t.Errorf("%+v is in %s", limited, wait)
				}
			}
			if n := w.Count("repos/get-commit"); n != 1 {
				t.Errorf("%d requests", n)
			}
			other := w.Repo("other/app")
			other.Commit(map[string]string{"a": ""})
			at := hub.Repo{Installation: w.app.Install("other", other).ID, ID: other.ID, FullName: "other/app"}
			if _, err := h.Repository(t.Context(), at); err != nil {
				t.Errorf("another installation: %v", err)
			}
		})
	}
}

// TestLimitEnds: GitHub is asked again once a limit has ended by its own clock,
// be that a day ahead.
func TestLimitEnds(t *testing.T) {
	w := start(t, fakehub.Config{})
	w.Advance(26 * time.Hour)
	h := w.hub()
	if _, err := h.Repository(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	ended := fakehub.Fault{Status: 403, Message: fakehub.PrimaryLimit.Message, Header: map[string]string{
		"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(26*time.Hour-10*time.Second).Unix(), 10),
	}}
	w.Fail("repos/get-commit", ended, 1)
	if _, err := h.Head(t.Context(), w.at, "refs/heads/main"); kind(err) != "limited" {
		t.Fatalf("%v, want Limited", err)
	}
	if _, err := h.Head(t.Context(), w.at, "refs/heads/main"); err != nil {
		t.Errorf("after the limit: %v", err)
	}
}

// TestBudgets are known for each installation, and for the App.
func TestBudgets(t *testing.T) {
	for _, enterprise := range []bool{false, true} {
		w := start(t, fakehub.Config{Enterprise: enterprise})
		h := w.hub()
		for range 3 {
			if _, err := h.Repository(t.Context(), w.at); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.App(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := map[int64]hub.Budget{w.install.ID: {Limit: 5000, Remaining: 4997}, 0: {Limit: 5000, Remaining: 4998}}
		if enterprise {
			want = map[int64]hub.Budget{}
		}
		if got := h.Budgets(); !maps.Equal(got, want) {
			t.Errorf("enterprise %t: %v, want %v", enterprise, got, want)
		}
	}
}
