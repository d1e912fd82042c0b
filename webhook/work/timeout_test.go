package work

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/task"
)

// TestTimeout stops a task that never ends, once, when it has run for as long
// as its rule lets it, and not before.
func TestTimeout(t *testing.T) {
	config := strings.Replace(tasksYAML, "command: [go, test]", "command: [go, test], timeout: 30m", 1)
	both(t, map[string]string{".github/clipper.yml": config}, func(t *testing.T, w *world) {
		stop := w.serve()
		commit := w.repo.Push("mona", "main", change)
		w.comes("itest", webhook.Running)
		stop()
		for _, tt := range []struct {
			later time.Duration
			want  []task.Cause
			state webhook.State
		}{
			{20 * time.Minute, nil, webhook.Running},
			{11 * time.Minute, []task.Cause{task.Timeout}, webhook.Running},
			{0, []task.Cause{task.Timeout}, webhook.Finishing},
			{0, []task.Cause{task.Timeout}, webhook.TimedOut},
		} {
			w.ahead.Add(int64(tt.later))
			if run := w.due("itest"); run.State != tt.state || run.Attempt != 1 || !slices.Equal(w.tasks.stops, tt.want) {
				t.Fatalf("it is %s: %s, and was stopped for %q; want %s, %q", run.State, run.Reason, w.tasks.stops, tt.state, tt.want)
			}
		}
		w.serve()
		w.until("the check has timed out", func() bool { return w.check(commit, "itest (main)").Conclusion == "timed_out" })
	})
}
