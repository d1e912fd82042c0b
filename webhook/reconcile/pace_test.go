package reconcile_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/reconcile"
)

// TestMany goes on in the next pass where one is not enough, with the oldest
// first.
func TestMany(t *testing.T) {
	github, inbox := &many{n: 25000, start: time.Now().Add(-time.Hour)}, &memory{known: map[string]bool{}}
	r, err := reconcile.New(reconcile.Config{GitHub: github, Inbox: inbox, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{10000, 10000, 5000} {
		result, err := r.Pass(t.Context())
		if err != nil || result.Accepted != want {
			t.Errorf("%+v, %v: want %d", result, err, want)
		}
	}
	for i, guid := range inbox.came {
		if guid != fmt.Sprint(i) {
			t.Fatalf("delivery %d came in place %d", i, i)
		}
	}
	if at := github.at(24999).UTC().Format(time.RFC3339Nano); inbox.cursor != at {
		t.Errorf("the cursor is %s, want %s", inbox.cursor, at)
	}
}

// TestRunWaits for GitHub's limit, and else for a period.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		github := &limits{many: many{start: time.Now()}}
		r, err := reconcile.New(reconcile.Config{GitHub: github, Inbox: &memory{known: map[string]bool{}}, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		runFor(t, r, 13*time.Minute)
		var passes []time.Duration
		for _, at := range github.asked {
			passes = append(passes, at.Sub(begin))
		}
		if want := []time.Duration{0, 10 * time.Minute, 11 * time.Minute, 12 * time.Minute}; !slices.Equal(passes[:min(4, len(passes))], want) {
			t.Errorf("passes at %v, want %v", passes, want)
		}
	})
}

// runFor has a reconciler run for a while, to its end.
func runFor(t *testing.T, r *reconcile.Reconciler, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r.Run(ctx)
}

// TestRunTakesOver soon what another replica has given up.
func TestRunTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		github := &limits{many: many{start: time.Now()}}
		r, err := reconcile.New(reconcile.Config{GitHub: github, Inbox: &taken{until: time.Now().Add(25 * time.Second)}, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		runFor(t, r, time.Minute)
		if len(github.asked) != 1 || github.asked[0].Sub(begin) != 30*time.Second {
			t.Errorf("passes at %v, begun at %v", github.asked, begin)
		}
	})
}

// taken is an inbox that another replica has for a while.
type taken struct {
	memory
	until time.Time
}

func (k *taken) Hold(context.Context, string, string, time.Duration) (bool, error) {
	return time.Now().After(k.until), nil
}

// limits refuses the first pass for ten minutes.
type limits struct {
	many
	asked []time.Time
}

func (l *limits) Deliveries(ctx context.Context, since time.Time) iter.Seq2[hub.Sent, error] {
	l.asked = append(l.asked, time.Now())
	if len(l.asked) > 1 {
		return l.many.Deliveries(ctx, since)
	}
	return func(yield func(hub.Sent, error) bool) {
		yield(hub.Sent{}, fmt.Errorf("list deliveries: %w", &hub.Limited{Until: time.Now().Add(10 * time.Minute)}))
	}
}

// many is a GitHub that has sent very many deliveries.
type many struct {
	n     int
	start time.Time
}

func (*many) AppID() int64         { return 1 }
func (*many) Now() time.Time       { return time.Now() }
func (m *many) at(i int) time.Time { return m.start.Add(time.Duration(i) * time.Millisecond) }
func (*many) guid(i int) string    { return fmt.Sprint(i) }

func (m *many) Deliveries(_ context.Context, since time.Time) iter.Seq2[hub.Sent, error] {
	return func(yield func(hub.Sent, error) bool) {
		for i := m.n - 1; i >= 0 && !m.at(i).Before(since); i-- {
			if !yield(hub.Sent{ID: int64(i), GUID: m.guid(i), At: webhook.Moment(m.at(i).UTC().Format(time.RFC3339Nano))}, nil) {
				return
			}
		}
	}
}

func (m *many) Delivery(_ context.Context, id int64) (webhook.Delivery, error) {
	return webhook.Delivery{App: 1, GUID: m.guid(int(id))}, nil
}

// memory is an inbox of GUIDs.
type memory struct {
	known  map[string]bool
	came   []string
	cursor string
}

func (m *memory) Accept(_ context.Context, d webhook.Delivery) (bool, error) {
	fresh := !m.known[d.GUID]
	if fresh {
		m.known[d.GUID] = true
		m.came = append(m.came, d.GUID)
	}
	return fresh, nil
}

func (m *memory) Known(_ context.Context, _ int64, guids []string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, guid := range guids {
		known[guid] = m.known[guid]
	}
	return known, nil
}

func (m *memory) Cursor(_ context.Context, name string) (string, error) {
	if !strings.HasPrefix(name, "deliveries/") {
		return "", nil
	}
	return m.cursor, nil
}

func (m *memory) SetCursor(_ context.Context, name, value string) error {
	if !strings.HasPrefix(name, "deliveries/") { // when a pass was made
		return nil
	}
	m.cursor = value
	return nil
}

func (*memory) Hold(context.Context, string, string, time.Duration) (bool, error) { return true, nil }
func (*memory) Yield(context.Context, string, string) error                       { return nil }
