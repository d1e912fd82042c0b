package work

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

const nightlyYAML = "version: 1\nrules:\n  - id: nightly\n    on: { schedule: { cron: '0 3 * * *' } }\n    run: { workflow: { file: deploy.yml } }\n"

// slow is a GitHub that takes a second for each repository, or fails.
type slow struct {
	GitHub
	w     *world
	asked map[string]int
	fail  func(name string) error
}

func (s *slow) Repository(ctx context.Context, r hub.Repo) (webhook.Repository, error) {
	if strings.HasSuffix(r.FullName, "/"+defaults) {
		return s.GitHub.Repository(ctx, r)
	}
	s.asked[r.FullName]++
	s.w.ahead.Add(int64(time.Second))
	if err := s.fail(r.FullName); err != nil {
		return webhook.Repository{}, err
	}
	return s.GitHub.Repository(ctx, r)
}

// TestInstalled lets the App into many repositories: whatever interrupts that,
// each is planned, none twice, and what comes behind has its turn.
func TestInstalled(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		const n = 40
		var all []*fakehub.Repo
		for i := range n {
			r := w.Hub.Repo(fmt.Sprintf("acme/r%02d", i))
			r.Commit(map[string]string{".github/clipper.yml": nightlyYAML})
			all = append(all, r)
		}
		w.work.setDefaults()
		github := &slow{GitHub: w.work.GitHub[w.app.ID], w: w, asked: map[string]int{}}
		limited, broken := false, 3
		github.fail = func(name string) error {
			switch {
			case name == "acme/r20" && !limited:
				limited = true
				return &hub.Limited{Until: w.now().Add(time.Minute)}
			case name == "acme/r30" && broken > 0:
				broken--
				return errors.New("GitHub answers 500")
			}
			return nil
		}
		w.work.GitHub[w.app.ID] = github
		w.install.Add(all...)
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.repo.Push("mona", "main", change)
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		lane := database.Lane{Work: database.Decide, App: w.app.ID, Installation: w.install.ID}
		decide := func() {
			t.Helper()
			if err := w.work.decide(t.Context(), lane); err != nil {
				t.Fatal(err)
			}
		}
		decide()
		if runs, asked := len(w.runs("deploy")), len(github.asked); runs != 1 || asked == 0 || asked == n {
			t.Fatalf("%d runs, %d repositories are planned\n%s", runs, asked, w.state())
		}
		for range 20 {
			w.ahead.Add(int64(2 * time.Minute))
			decide()
		}
		for name, times := range github.asked {
			want := map[string]int{"acme/r20": 2, "acme/r30": 4}[name]
			if times != max(want, 1) {
				t.Errorf("%s was asked for %d times", name, times)
			}
		}
		w.ahead.Add(int64(24 * time.Hour))
		if due, err := w.DueSchedules(t.Context(), 2*n); err != nil || len(due) != n {
			t.Errorf("%d schedules are planned, %v", len(due), err)
		}
		for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "installation_repositories"}) {
			if err != nil || d.State != database.Ignored || d.Reason != "the schedules of 40 repositories were planned" {
				t.Errorf("the delivery is %s: %s, %v", d.State, d.Reason, err)
			}
			if kept, err := w.Cursor(t.Context(), fmt.Sprintf("installed/%d/%s", w.app.ID, d.GUID)); kept != "" || err != nil {
				t.Errorf("of it is left %q, %v", kept, err)
			}
		}
	})
}

// TestTurnUsedUp: a delivery that takes all the time of a turn is not the first
// of the next one.
func TestTurnUsedUp(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		other := w.Hub.Repo("acme/other")
		other.Commit(map[string]string{".github/clipper.yml": nightlyYAML})
		w.work.setDefaults()
		turn, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		w.work.GitHub[w.app.ID] = &slow{GitHub: w.work.GitHub[w.app.ID], w: w, asked: map[string]int{}, fail: func(string) error {
			<-turn.Done()
			return context.Cause(turn)
		}}
		w.install.Add(other)
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.repo.Push("mona", "main", change)
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		lane := database.Lane{Work: database.Decide, App: w.app.ID, Installation: w.install.ID}
		late, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		context.AfterFunc(late, func() { cancel(late.Err()) })
		if err := w.work.decide(late, lane); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the turn ended with %v", err)
		}
		for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "installation_repositories"}) {
			if err != nil || d.State != database.Failed || d.Attempt != 1 {
				t.Errorf("it is %s after %d attempts, %v", d.State, d.Attempt, err)
			}
		}
		if err := w.work.decide(t.Context(), lane); err != nil || len(w.runs("deploy")) != 1 {
			t.Errorf("behind it: %v\n%s", err, w.state())
		}
	})
}

// TestLetInAgain: what was planned while the App was kept out, or forgotten, is
// planned when it is let in again.
func TestLetInAgain(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": nightlyYAML}, func(t *testing.T, w *world) {
		w.serve()
		w.install.Suspend(true)
		w.install.Suspend(false)
		w.rest()
		w.ahead.Add(int64(24 * time.Hour))
		w.until("it is due", func() bool { return len(w.runs("nightly")) == 1 })
	})
}

// TestTaken: the schedules of a repository that the App was taken from are
// forgotten.
func TestTaken(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": nightlyYAML}, func(t *testing.T, w *world) {
		stop := w.serve()
		w.repo.Push("mona", "main", change)
		w.rest()
		w.install.Remove(w.repo)
		w.rest()
		stop()
		w.ahead.Add(int64(24 * time.Hour))
		for _, want := range []int{1, 0} {
			if due, err := w.DueSchedules(t.Context(), 10); err != nil || len(due) != want {
				t.Errorf("%d are due, want %d, %v", len(due), want, err)
			}
			if err := w.work.tick(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if runs := w.runs("nightly"); len(runs) != 0 {
			t.Errorf("%d runs", len(runs))
		}
	})
}
