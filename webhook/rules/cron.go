package rules

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Cron is a time table of five fields: minute, hour, day of the month, month
// and day of the week, as crontab(5) has them. Where both days are restricted,
// either will do.
type Cron struct {
	text                         string
	minute, hour, day, mon, week uint64 // a bit for each value
	anyDay, anyWeek, anyHour     bool
}

func (c Cron) String() string { return c.text }

// cronFields are the bounds of the fields, with names for their values.
var cronFields = []struct {
	name     string
	min, max int
	names    []string // of min and what follows
}{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var cronNames = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
}

// closest is how soon after another a schedule can be due, as in GitHub's own.
const closest = 5

// ParseCron reads a time table.
func ParseCron(text string) (Cron, error) {
	c := Cron{text: text}
	if named, ok := cronNames[text]; ok {
		text = named
	}
	parts := strings.Fields(text)
	if len(parts) != len(cronFields) {
		return c, fmt.Errorf("it has %d fields, not minute, hour, day of the month, month and day of the week", len(parts))
	}
	for i, into := range []*uint64{&c.minute, &c.hour, &c.day, &c.mon, &c.week} {
		set, err := parseCronField(parts[i], i)
		if err != nil {
			return c, err
		}
		*into = set
	}
	c.week |= c.week >> 7 & 1 // 7 is Sunday, too
	c.anyHour = strings.HasPrefix(parts[1], "*")
	c.anyDay, c.anyWeek = strings.HasPrefix(parts[2], "*"), strings.HasPrefix(parts[4], "*")
	if least := c.interval(); least < closest {
		return c, fmt.Errorf("it is due every %d minutes, more often than every %d", least, closest)
	}
	if c.never() {
		return c, errors.New("it is never due: no month of those has such a day")
	}
	return c, nil
}

func parseCronField(text string, i int) (uint64, error) {
	f := cronFields[i]
	var set uint64
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		from, to, ranged := strings.Cut(span, "-")
		low, high := f.min, f.max
		if span != "*" {
			var ok bool
			if low, ok = cronValue(from, i); !ok {
				return 0, fmt.Errorf("%q is no %s", from, f.name)
			}
			switch {
			case ranged:
				if high, ok = cronValue(to, i); !ok || high < low {
					return 0, fmt.Errorf("%q is no range of the %s", span, f.name)
				}
			case !stepped:
				high = low
			}
		}
		step := 1
		if stepped {
			n, err := strconv.ParseUint(stepText, 10, 8)
			if err != nil || n == 0 {
				return 0, fmt.Errorf("%q is no step of the %s", stepText, f.name)
			}
			step = int(n)
		}
		for v := low; v <= high; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

func cronValue(text string, i int) (int, bool) {
	f := cronFields[i]
	for n, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.min + n, true
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err == nil && int(n) >= f.min && int(n) <= f.max
}

// interval is the fewest minutes from one time to the next within an hour; 60
// if there is one.
func (c Cron) interval() int {
	least, last := 60, -1
	for m := range 120 { // once around, for 59 and 0
		if c.minute>>(m%60)&1 == 0 {
			continue
		}
		if last >= 0 && (m < 60 || c.hour&(c.hour>>1|c.hour<<23) != 0) {
			least = min(least, m-last)
		}
		last = m
	}
	return least
}

// never says that no day is ever right, as on 30 February.
func (c Cron) never() bool {
	if c.anyDay || !c.anyWeek {
		return false
	}
	for month := 1; month <= 12; month++ {
		days := time.Date(2024, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() // a leap year
		if c.mon>>month&1 != 0 && c.day&(1<<(days+1)-1) != 0 {
			return false
		}
	}
	return true
}

// Next is the first time after another, in the other's location. Where clocks
// are put forward, what was due in the hour that is left out is due behind it;
// where they are put back, only what is due in every hour is due twice.
func (c Cron) Next(after time.Time) time.Time {
	t := after.Truncate(time.Minute).Add(time.Minute)
	for end := after.AddDate(9, 0, 0); t.Before(end); { // 1896–1904 and 2096–2104 have no 29 February in between
		if !c.onDay(t) && !c.onDay(t.Add(-time.Minute)) {
			y, m, d := t.Date()
			next := time.Date(y, m, d+1, 0, 0, 0, 0, t.Location())
			if !next.After(t) {
				next = t.Add(time.Hour)
			}
			t = next
			continue
		}
		if c.due(t) {
			return t
		}
		t = t.Add(time.Minute)
	}
	return time.Time{}
}

// due says whether a minute is one of the table's.
func (c Cron) due(t time.Time) bool {
	_, offset := t.Zone()
	_, before := t.Add(-time.Minute).Zone()
	if left := time.Duration(offset-before) * time.Second; left > 0 && !c.anyHour {
		// Clocks were just put forward, over this much.
		for skipped := -left; skipped < 0; skipped += time.Minute {
			if c.matches(inClockOf(t).Add(skipped)) {
				return true
			}
		}
	}
	if !c.matches(inClockOf(t)) {
		return false
	}
	return c.anyHour || !secondTime(t)
}

// inClockOf is the time on the clock's face, where no clock is ever moved.
func inClockOf(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// secondTime says whether the clock has shown the same before on that day.
func secondTime(t time.Time) bool {
	face := inClockOf(t)
	for _, back := range []time.Duration{time.Hour, 30 * time.Minute, 2 * time.Hour} {
		if inClockOf(t.Add(-back)).Equal(face) {
			return true
		}
	}
	return false
}

func (c Cron) matches(t time.Time) bool {
	return c.minute>>t.Minute()&1 != 0 && c.hour>>t.Hour()&1 != 0 && c.onDay(t)
}

func (c Cron) onDay(t time.Time) bool {
	if c.mon>>t.Month()&1 == 0 {
		return false
	}
	day, week := c.day>>t.Day()&1 != 0, c.week>>t.Weekday()&1 != 0
	if c.anyDay || c.anyWeek {
		return day && week
	}
	return day || week
}

func (c *Cron) parse(text string) (err error) {
	*c, err = ParseCron(text)
	return err
}

func (Cron) form() schema {
	return schema{"type": "string", "pattern": `^(@(hourly|daily|weekly|monthly|yearly)|\S+ +\S+ +\S+ +\S+ +\S+)$`}
}
