package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestElsewhere asks for what belongs to a repository that the person cannot
// read: it is not there, as what was never there.
func TestElsewhere(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		rec := w.push(w.secret, map[string]string{"a": "1"})
		w.run(rec, "hidden", webhook.AwaitingApproval)
		w.logs.say("hidden", "secret line")
		b := w.signedIn("mona")
		_, nothing := b.get("/runs/never")
		for _, path := range []string{"/deliveries/" + rec.GUID, "/deliveries/" + rec.GUID + "/body", "/runs/hidden", "/runs/hidden/live", "/runs/hidden/log", fmt.Sprintf("/repositories/%d", w.secret.ID), "/repositories/x", "/nothing"} {
			if status, text := b.get(path); status != http.StatusNotFound || strings.Contains(text, "secret line") || path == "/runs/hidden" && len(text) != len(nothing) {
				t.Errorf("GET %s: %d %s", path, status, text)
			}
		}
		for _, path := range []string{"/deliveries/" + rec.GUID + "/replay", "/runs/hidden/approve", "/runs/hidden/rerun", "/runs/hidden/cancel", fmt.Sprintf("/repositories/%d/rules/release/start/once", w.secret.ID)} {
			if status, _ := b.post(path, url.Values{"commit": {strings.Repeat("c0ffee12", 5)}}); status != http.StatusNotFound {
				t.Errorf("POST %s: %d", path, status)
			}
		}
		b.has("/runs", "!/runs/hidden")
		// Whoever lost the right does not see it any more, once it was asked again.
		path := "/repositories/" + fmt.Sprint(w.repo.ID)
		b.has(path, "acme/app")
		w.repo.Permit("mona", "none")
		w.clock.pass(2 * time.Minute)
		if status, _ := b.get(path); status != http.StatusNotFound {
			t.Errorf("without the right: %d", status)
		}
		if asked := w.orders.asked(); asked != "" {
			t.Errorf("asked was %q", asked)
		}
	})
}

// TestOtherApp has another App, of another GitHub, with a repository of the same
// ID: what came through it is not there, and neither what followed.
func TestOtherApp(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		mine := w.push(w.repo, map[string]string{"a": "1"})
		theirs := mine
		theirs.App, theirs.GUID, theirs.Sender = w.app.ID+1, "guid-of-another", "zork"
		_, err := w.db.Accept(t.Context(), theirs.Delivery)
		w.must(err)
		same := theirs // GitHubs do not know of each other's GUIDs
		same.GUID, same.Body = mine.GUID, []byte(`{"of": "another"}`)
		_, err = w.db.Accept(t.Context(), same.Delivery)
		w.must(err)
		w.run(mine, "mine", webhook.Running)
		w.run(theirs, "theirs", webhook.AwaitingApproval)
		w.run(same, "same", webhook.Running)
		w.logs.say("theirs", "secret line")
		b := w.signedIn("mona")
		for _, path := range []string{"/deliveries/" + theirs.GUID, "/deliveries/" + theirs.GUID + "/body", "/runs/theirs", "/runs/theirs/live", "/runs/theirs/log", "/runs?before=theirs"} {
			if status, text := b.get(path); status != http.StatusNotFound || strings.Contains(text, "secret line") {
				t.Errorf("GET %s: %d %s", path, status, text)
			}
		}
		for _, path := range []string{"/deliveries/" + theirs.GUID + "/replay", "/runs/theirs/approve", "/runs/theirs/rerun", "/runs/theirs/cancel"} {
			if status, _ := b.post(path, url.Values{"commit": {strings.Repeat("c0ffee12", 5)}}); status != http.StatusNotFound {
				t.Errorf("POST %s: %d", path, status)
			}
		}
		b.has("/deliveries", mine.GUID, "!"+theirs.GUID, "!zork")
		b.has("/deliveries?guid="+theirs.GUID, "No delivery fits")
		b.has("/runs", "/runs/mine", "!/runs/theirs", "!/runs/same")
		b.has("/runs?guid="+mine.GUID, "/runs/mine", "!/runs/same")
		b.has("/deliveries/"+mine.GUID, "/runs/mine", "!/runs/same", "!another")
		b.has(fmt.Sprintf("/repositories/%d", w.repo.ID), mine.GUID, "!"+theirs.GUID)
	})
}
