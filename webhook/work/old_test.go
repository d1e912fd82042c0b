package work

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestOldBodies: a body that somebody has kept, of any event that rules decide
// about, has no effect when it comes years later.
func TestOldBodies(t *testing.T) {
	// These do not tell when they happened, and what is asked of GitHub says
	// whether anything follows.
	silent := map[string]int{"release": 10, "package": 1}
	w := &Work{Policy: policy(t)}
	w.setDefaults()
	seen := map[string]bool{"registry_package": true} // of which none is published
	for _, example := range fakehub.Examples(t) {
		if !decides[example.Event] {
			continue
		}
		seen[example.Event] = true
		if e, err := webhook.ParseEvent(example.Event, example.Body); err != nil || e.At().IsZero() {
			silent[example.Event]--
			continue
		}
		rec := database.Record{Delivery: webhook.Delivery{Event: example.Event, Body: example.Body, Source: webhook.Pushed}}
		o, err := (&turn{Work: w}).follows(t.Context(), rec)
		if err != nil || len(o.runs) > 0 || !strings.Contains(o.reason, "has no effect unless a person replays it") {
			t.Errorf("%s: %q, %v", example.Event, o.reason, err)
		}
	}
	for name := range decides {
		if !seen[name] || silent[name] != 0 {
			t.Errorf("%s: %d more bodies should not tell when they happened", name, silent[name])
		}
	}
}
