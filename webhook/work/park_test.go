package work

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// turns counts how often deliveries are decided about.
type turns struct {
	mu sync.Mutex
	of map[string]int
}

func (c *turns) span(ctx context.Context, name, guid, _ string) (context.Context, func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "decide" {
		c.of[guid]++
	}
	return ctx, func(error) {}
}

// TestPark leaves an installation alone that has reached GitHub's limit, for as
// long as GitHub says, while another one's goes from its push to a green check.
func TestPark(t *testing.T) {
	limit := fakehub.Fault{Status: 403, Message: "You have exceeded a secondary rate limit.", Header: map[string]string{"Retry-After": "3600"}}
	both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
		p, problems := rules.ParsePolicy([]byte(strings.Replace(policyYAML, `["acme/*"]`, `["acme/*", "globex/*"]`, 1)))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		other := w.Hub.Repo("globex/app")
		other.Commit(map[string]string{".github/clipper.yml": tasksYAML})
		w.app.Install("globex", other)
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		decided := &turns{of: map[string]int{}}
		w.tasks.ends, w.work.Policy, w.work.Span = "succeeded", p, decided.span
		stop := w.serve()
		w.rest() // with its being installed
		w.Fail("repos/get-content", limit, 1)
		asked := w.Count("repos/get-content")
		w.repo.Push("mona", "main", change)
		w.until("the limit is reached", func() bool { return w.Count("repos/get-content") > asked })
		commit := other.Push("mona", "main", change)
		w.until("the other's check is green", func() bool {
			checks := other.Checks(commit)
			return len(checks) == 1 && checks[0].Conclusion == "success"
		})
		stop()
		parked := 0
		for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "push"}) {
			if err != nil {
				t.Fatal(err)
			}
			if d.FullName != w.repo.FullName {
				continue
			}
			if parked++; d.State != database.Received || decided.of[d.GUID] != 1 {
				t.Errorf("the delivery is %s, and was looked at %d times", d.State, decided.of[d.GUID])
			}
		}
		if checks := len(w.repo.Checks("")); parked != 1 || checks != 0 {
			t.Errorf("of %d deliveries there are %d checks", parked, checks)
		}
	})
}
