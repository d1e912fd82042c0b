package work

import (
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// backwards has what happens in a function told the last first, each a while
// after the one before.
func (w *world) backwards(happens ...func()) {
	w.t.Helper()
	w.Hub.Hold()
	for _, it := range happens {
		it()
		w.Advance(2 * time.Second) // GitHub's times are of seconds
	}
	w.Release(fakehub.Backwards)
	w.rest()
}

// TestLatePush: where the delivery of an older push comes after that of a newer
// one, the newer commit's run goes on, and the older gives way.
func TestLatePush(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": strings.Replace(tasksYAML, "    retries: 1\n", "    concurrency: { group: g, cancel: true }\n", 1)}, func(t *testing.T, w *world) {
		w.serve()
		var older, newer string
		w.backwards(
			func() { older = w.repo.Push("mona", "main", change) },
			func() { newer = w.repo.Push("mona", "main", map[string]string{"main.go": "package main // newer\n"}) },
		)
		w.until("the newer runs and the older does not", func() bool {
			states := map[string]webhook.State{}
			for _, r := range w.runs("itest") {
				states[r.Commit] = r.State
			}
			return states[newer] == webhook.Running && states[older] == webhook.Cancelled
		})
		if tasks := w.tasks.tokens(); len(tasks) != 1 {
			t.Errorf("%v were started", tasks)
		}
	})
}
