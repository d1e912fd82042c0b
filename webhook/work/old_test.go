package work

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestOldBodies: a body that somebody has kept, of any event that rules decide
// about, has no effect when it comes years later.
func TestOldBodies(t *testing.T) {
	f, err := os.Open("../testdata/octokit-webhooks-examples-7.6.1.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.NewDecoder(z).Decode(&events); err != nil {
		t.Fatal(err)
	}
	// These do not tell when they happened, and what is asked of GitHub says
	// whether anything follows.
	silent := map[string]int{"release": 10, "package": 1}
	w := &Work{Policy: policy(t)}
	w.setDefaults()
	seen := map[string]bool{"registry_package": true} // of which none is published
	for _, event := range events {
		for _, body := range event.Examples {
			if !decides[event.Name] {
				continue
			}
			seen[event.Name] = true
			if e, err := webhook.ParseEvent(event.Name, body); err != nil || e.At().IsZero() {
				silent[event.Name]--
				continue
			}
			rec := database.Record{Delivery: webhook.Delivery{Event: event.Name, Body: body, Source: webhook.Pushed}}
			o, err := (&turn{Work: w}).follows(t.Context(), rec)
			if err != nil || len(o.runs) > 0 || !strings.Contains(o.reason, "has no effect unless a person replays it") {
				t.Errorf("%s: %q, %v", event.Name, o.reason, err)
			}
		}
	}
	for name := range decides {
		if !seen[name] || silent[name] != 0 {
			t.Errorf("%s: %d more bodies should not tell when they happened", name, silent[name])
		}
	}
}
