package webhook

import (
	"fmt"
	"strings"
	"time"
)

// Moved is one thing that a run has come through.
type Moved struct {
	At   time.Time `json:"at,omitzero"` // zero where that is not kept
	What string    `json:"what"`        // for people, with words of strangers
	Now  bool      `json:"now,omitempty"`
}

// History is what is known of a run's way so far, where it stands last.
func (r *Run) History() []Moved {
	by := ""
	if r.Sender != "" {
		by = " by " + r.Sender
	}
	way := []Moved{{At: r.Created, What: "created for " + r.Event + by}}
	if r.ApprovedBy != "" {
		way = append(way, Moved{What: "approved by " + r.ApprovedBy})
	}
	if r.Attempt > 1 {
		way = append(way, Moved{What: fmt.Sprintf("started again, attempt %d", r.Attempt)})
	}
	if !r.Started.IsZero() {
		way = append(way, Moved{At: r.Started, What: "seen running"})
	}
	if r.CancelRequested != "" {
		way = append(way, Moved{What: "to be cancelled: " + r.CancelRequested})
	}
	state := strings.ReplaceAll(string(r.State), "_", " ")
	if !r.State.Over() {
		return append(way, Moved{What: state + " now", Now: true})
	}
	if !r.Started.IsZero() {
		state += " after " + r.Ended.Sub(r.Started).Round(time.Second).String()
	}
	return append(way, Moved{At: r.Ended, What: state, Now: true})
}
