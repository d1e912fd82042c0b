package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/rules"
)

func at(t testing.TB, text, zone string) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.In(location)
}

func TestNext(t *testing.T) {
	const berlin = "Europe/Berlin"
	for _, tt := range []struct{ cron, zone, after, want string }{
		{"0 3 * * *", "UTC", "2026-11-21T02:59:59Z", "2026-11-21T03:00:00Z"},
		{"0 3 * * *", "UTC", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"},
		{"@hourly", "UTC", "2026-11-21T03:59:00Z", "2026-11-21T04:00:00Z"},
		{"@yearly", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"*/15 9-17 * * mon-fri", "UTC", "2026-11-20T17:45:00Z", "2026-11-23T09:00:00Z"},
		{"5,50 */6 * * *", "UTC", "2026-11-20T18:05:00Z", "2026-11-20T18:50:00Z"},
		{"30 4 1,15 * 5", "UTC", "2026-11-16T00:00:00Z", "2026-11-20T04:30:00Z"}, // a Friday
		{"30 4 1,15 * 5", "UTC", "2026-11-28T00:00:00Z", "2026-12-01T04:30:00Z"}, // a first
		{"0 0 29 2 *", "UTC", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 * * 7", "UTC", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"0 0 31 */2 *", "UTC", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"},
		{"0 5/6 * * *", "UTC", "2026-01-31T05:00:00Z", "2026-01-31T11:00:00Z"},
		{"0 3 * * *", berlin, "2026-11-21T03:00:00Z", "2026-11-22T02:00:00Z"},
		// 29 March 2026, 02:00 is 03:00.
		{"30 2 * * *", berlin, "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z"},
		{"30 2 * * *", berlin, "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		{"30 * * * *", berlin, "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		// 25 October 2026, 03:00 is 02:00.
		{"30 2 * * *", berlin, "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"},
		{"30 2 * * *", berlin, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"30 * * * *", berlin, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		// Clocks that are put forward at midnight, and by half an hour.
		{"0 0 * * *", "America/Asuncion", "2023-09-30T12:00:00Z", "2023-10-01T04:00:00Z"},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", "2026-10-03T15:30:00Z"},
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"},
	} {
		c, err := rules.ParseCron(tt.cron)
		if err != nil {
			t.Errorf("%s: %v", tt.cron, err)
			continue
		}
		if got := c.Next(at(t, tt.after, tt.zone)).UTC().Format(time.RFC3339); got != tt.want {
			t.Errorf("%s in %s after %s: %s, want %s", tt.cron, tt.zone, tt.after, got, tt.want)
		}
	}
}

func TestBadCron(t *testing.T) {
	for cron, want := range map[string]string{
		"":               "it has 0 fields",
		"0 0 * *":        "it has 4 fields",
		"@reboot":        "it has 1 fields",
		"60 0 * * *":     `"60" is no minute`,
		"0 24 * * *":     `"24" is no hour`,
		"0 0 0 * *":      `"0" is no day of the month`,
		"0 0 * 13 *":     `"13" is no month`,
		"0 0 * * 8":      `"8" is no day of the week`,
		"0 0 * * mo":     `"mo" is no day of the week`,
		"0 5-3 * * *":    `"5-3" is no range of the hour`,
		"0/0 0 * * *":    `"0" is no step of the minute`,
		"-1 0 * * *":     `"" is no minute`,
		"0 0 30 2 *":     "never due",
		"0 0 31 4,6 *":   "never due",
		"*/4 0 * * *":    "every 4 minutes",
		"0,2 * * * *":    "every 2 minutes",
		"0,59 1-2 * * *": "every 1 minutes",
	} {
		if _, err := rules.ParseCron(cron); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", cron, err, want)
		}
	}
	for _, cron := range []string{"0,59 1 * * *", "*/5 * * * *", "0 0 31 4,5 *", "0 0 30 2 1"} {
		if _, err := rules.ParseCron(cron); err != nil {
			t.Errorf("%q: %v", cron, err)
		}
	}
}

// TestDue: what was missed while the service was down is caught up with as the
// schedule says.
func TestDue(t *testing.T) {
	for _, tt := range []struct{ catchUp, next, now, want, then string }{
		{"once", "2026-11-21T03:00:00Z", "2026-11-21T02:59:59Z", "", "2026-11-21T03:00:00Z"},
		{"once", "2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"},
		{"once", "2026-11-19T03:00:00Z", "2026-11-21T10:00:00Z", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"},
		{"all", "2026-11-19T03:00:00Z", "2026-11-21T10:00:00Z", "2026-11-19T03:00:00Z 2026-11-20T03:00:00Z 2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"},
		{"none", "2026-11-19T03:00:00Z", "2026-11-21T10:00:00Z", "", "2026-11-22T03:00:00Z"},
		{"none", "2026-11-19T03:00:00Z", "2026-11-21T03:09:00Z", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"},
	} {
		c := parse(t, rule("  on: { schedule: { cron: \"0 3 * * *\", catch_up: "+tt.catchUp+" } }\n"+runCI))
		due, then := c.Rules[0].On.Schedule.Due(at(t, tt.next, "UTC"), at(t, tt.now, "UTC"))
		var got []string
		for _, d := range due {
			got = append(got, d.UTC().Format(time.RFC3339))
		}
		if strings.Join(got, " ") != tt.want || then.UTC().Format(time.RFC3339) != tt.then {
			t.Errorf("%s from %s at %s: %v, then %s", tt.catchUp, tt.next, tt.now, got, then)
		}
	}
	c := parse(t, rule("  on: { schedule: { cron: \"@hourly\", catch_up: all, tz: Europe/Berlin } }\n"+runCI))
	due, then := c.Rules[0].On.Schedule.Due(at(t, "2026-11-01T00:00:00Z", "UTC"), at(t, "2026-11-21T00:30:00Z", "UTC"))
	if len(due) != 24 || due[23].UTC().Hour() != 0 || then.UTC().Hour() != 1 {
		t.Errorf("%d are caught up with: %v, then %s", len(due), due, then)
	}
}

func FuzzCron(f *testing.F) {
	for _, seed := range []string{"0 3 * * *", "*/15 9-17 * * mon-fri", "30 2 29 2 *", "@weekly", "5/20 0-23/5 1,31 jan,12 0-7"} {
		f.Add(seed, int64(1774746000))
	}
	berlin := at(f, "2026-01-01T00:00:00Z", "Europe/Berlin").Location()
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		c, err := rules.ParseCron(text)
		if err != nil {
			return
		}
		after := time.Unix(seconds%4e9, 0).In(berlin)
		next := c.Next(after)
		if !next.After(after) || next.Second() != 0 {
			t.Errorf("%q after %s: %s", text, after, next)
		}
		// Nothing is left out in between: asked a minute before, it is the same.
		if before := next.Add(-time.Minute); before.After(after) && !c.Next(before).Equal(next) {
			t.Errorf("%q after %s: %s, after %s: %s", text, after, next, before, c.Next(before))
		}
	})
}
