package webhook_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestHistory tells what a run has come through.
func TestHistory(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &webhook.Run{Event: "push", Sender: "ada", State: webhook.Queued, Created: now}
	for _, tt := range []struct {
		move webhook.State
		want string
	}{
		{"", "created for push by ada 03:04:05, queued now"},
		{webhook.Starting, "created for push by ada 03:04:05, starting now"},
		{webhook.Running, "created for push by ada 03:04:05, seen running 03:04:07, running now"},
		{webhook.TimedOut, "created for push by ada 03:04:05, seen running 03:04:07, timed out after 1s 03:04:08"},
	} {
		if tt.move != "" {
			now = now.Add(time.Second)
			if err := r.Move(tt.move, "", now); err != nil {
				t.Fatal(err)
			}
		}
		var told []string
		for _, m := range r.History() {
			if !m.At.IsZero() {
				m.What += m.At.Format(" 15:04:05")
			}
			told = append(told, m.What)
		}
		if got := strings.Join(told, ", "); got != tt.want {
			t.Errorf("history is %q, want %q", got, tt.want)
		}
	}
	asked := &webhook.Run{State: webhook.Queued, Attempt: 2, ApprovedBy: "bob", CancelRequested: "cancelled by eve"}
	var told []string
	for _, m := range asked.History() {
		told = append(told, m.What)
	}
	if got := strings.Join(told, ", "); got != "created for , approved by bob, started again, attempt 2, to be cancelled: cancelled by eve, queued now" {
		t.Errorf("history is %q", got)
	}
}
