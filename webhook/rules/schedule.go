package rules

import (
	"errors"
	"time"
	_ "time/tzdata" // a container may have no list of zones
)

// Schedule is an event that the service makes itself.
type Schedule struct {
	Cron    Cron     `yaml:"cron" need:"yes" longest:"100" doc:"Minute, hour, day of the month, month and day of the week, at most every 5 minutes; or @hourly, @daily, @weekly, @monthly, @yearly."`
	TZ      Location `yaml:"tz" longest:"64" default:"UTC" doc:"Time zone, as in Europe/Berlin."`
	CatchUp string   `yaml:"catch_up" enum:"once,all,none" default:"once" doc:"What becomes of times that were missed while the service was down: one run for all of them, one for each of the last 24, or none."`
}

// Location is a time zone of the IANA's by its name; zero is UTC.
type Location struct{ *time.Location }

func (l *Location) parse(text string) error {
	at, err := time.LoadLocation(text)
	if err != nil || text == "" || text == "Local" {
		return errors.New("there is no such time zone; name one as in Europe/Berlin")
	}
	l.Location = at
	return nil
}

func (Location) form() schema { return schema{"type": "string"} }

// In is the time in the zone.
func (l Location) In(t time.Time) time.Time {
	if l.Location == nil {
		return t.UTC()
	}
	return t.In(l.Location)
}

// Bounds of catching up.
const (
	// late is how long after its time an event is not missed.
	late = 10 * time.Minute
	// mostCaughtUp is how many are caught up with.
	mostCaughtUp = 24
)

// Next is when the schedule is due first after a time.
func (s *Schedule) Next(after time.Time) time.Time { return s.Cron.Next(s.TZ.In(after)) }

// Due lists the times for which a run is to be made now, of those from the one
// that was to be next, the oldest first; and the one that is next.
func (s *Schedule) Due(next, now time.Time) (due []time.Time, then time.Time) {
	for then = next; !then.IsZero() && !then.After(now); then = s.Next(then) {
		if due = append(due, then); len(due) > mostCaughtUp {
			due = due[1:]
		}
	}
	switch n := len(due); {
	case n == 0 || s.CatchUp == "all":
		return due, then
	case s.CatchUp == "none" && now.Sub(due[n-1]) > late:
		return nil, then
	default:
		return due[n-1:], then
	}
}
