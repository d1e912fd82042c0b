package fakehub

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Limits are how much one caller (an installation, an App, a person) may ask
// (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api).
// -1: as much as it likes.
type Limits struct {
	Hourly           int // requests; default 5,000
	Concurrent       int // requests at once; default 100
	PointsPerMinute  int // a read is 1, a write 5, for each operation; default 900
	ContentPerMinute int // comments and statuses; default 80
	ContentPerHour   int // default 500
}

// Unlimited is for load tests.
var Unlimited = Limits{-1, -1, -1, -1, -1}

func (l Limits) withDefaults() Limits {
	for _, limit := range []struct {
		value *int
		least int
	}{{&l.Hourly, 5000}, {&l.Concurrent, 100}, {&l.PointsPerMinute, 900}, {&l.ContentPerMinute, 80}, {&l.ContentPerHour, 500}} {
		if *limit.value == 0 {
			*limit.value = limit.least
		}
	}
	return l
}

// budgets is what callers have used.
type budgets struct {
	used map[string]*budget // by caller
}

func newBudgets() budgets { return budgets{used: map[string]*budget{}} }

type budget struct {
	caller   string
	requests int
	reset    time.Time
	flying   int
	content  []time.Time
	points   map[string][]point // by operation
}

type point struct {
	at   time.Time
	cost int
}

// SetBudget leaves an installation so many requests until the hour is over.
func (i *Installation) SetBudget(remaining int) {
	h := i.app.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.budget(i.caller())
	b.requests = h.config.Limits.Hourly - remaining
}

func (h *Hub) budget(caller string) *budget {
	b := h.used[caller]
	if b == nil {
		b = &budget{caller: caller, points: map[string][]point{}}
		h.used[caller] = b
	}
	if now := h.now(); !now.Before(b.reset) {
		b.requests, b.reset = 0, now.Add(time.Hour).Truncate(time.Second)
	}
	return b
}

const secondaryMessage = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

// spend books a call, or refuses it. The hub is no Enterprise Server.
func (h *Hub) spend(b *budget, o operation, method string) error {
	now, limits := h.now(), h.config.Limits
	if limits.Hourly >= 0 && b.requests >= limits.Hourly {
		return &refusal{status: http.StatusForbidden, message: fmt.Sprintf("API rate limit exceeded for %s.", b.caller)}
	}
	b.requests++
	cost := 5
	if method == http.MethodGet || method == http.MethodHead {
		cost = 1
	}
	if err := b.score(o.id, point{now, cost}, limits.PointsPerMinute); err != nil {
		return err
	}
	if limits.Concurrent >= 0 && b.flying >= limits.Concurrent {
		return secondary(time.Minute)
	}
	if !o.content {
		return nil
	}
	return b.create(now, limits)
}

// create books the creation of content.
func (b *budget) create(now time.Time, limits Limits) error {
	b.content = slices.DeleteFunc(b.content, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	n := len(b.content)
	if most := limits.ContentPerHour; most >= 0 && n >= most {
		return secondary(time.Hour - now.Sub(b.content[n-most]))
	}
	if most := limits.ContentPerMinute; most >= 0 && n >= most && now.Sub(b.content[n-most]) < time.Minute {
		return secondary(time.Minute - now.Sub(b.content[n-most]))
	}
	b.content = append(b.content, now)
	return nil
}

// score books the points of an operation's minute.
func (b *budget) score(id string, next point, most int) error {
	if most < 0 {
		return nil
	}
	minute := slices.DeleteFunc(b.points[id], func(p point) bool { return next.at.Sub(p.at) >= time.Minute })
	total := next.cost
	for _, p := range minute {
		total += p.cost
	}
	b.points[id] = minute
	if total > most {
		return secondary(time.Minute - next.at.Sub(minute[0].at))
	}
	b.points[id] = append(minute, next)
	return nil
}

func secondary(wait time.Duration) error {
	seconds := max(1, int((wait+time.Second-1)/time.Second))
	return &refusal{status: http.StatusForbidden, message: secondaryMessage, retryAfter: seconds}
}

// headers tells a caller its budget.
func (b *budget) headers(header http.Header, limit int) {
	if limit < 0 {
		return
	}
	for name, value := range map[string]int64{
		"X-RateLimit-Limit": int64(limit), "X-RateLimit-Remaining": int64(max(0, limit-b.requests)),
		"X-RateLimit-Used": int64(min(b.requests, limit)), "X-RateLimit-Reset": b.reset.Unix(),
	} {
		header.Set(name, strconv.FormatInt(value, 10))
	}
	header.Set("X-RateLimit-Resource", "core")
}
