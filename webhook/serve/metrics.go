package serve

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// gauges are figures that are asked for when somebody wants to know them.
type gauges struct {
	s *service

	mu     sync.Mutex // one asks the database at a time
	counts database.Counts
	at     time.Time

	up, deliveries, oldest, runs, unsent, ready *prometheus.Desc
	skew, remaining, limit                      *prometheus.Desc
}

// countsLast is for how long an answer of the database's counts, however many
// ask.
const countsLast = 5 * time.Second

// mostBudgets is of how many installations of an App the budgets are told:
// those that have the least left.
const mostBudgets = 100

func newGauges(s *service) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &gauges{
		s:          s,
		up:         desc("clipper_webhook_database_up", "Whether the database answers."),
		deliveries: desc("clipper_webhook_deliveries_waiting", "Deliveries that nobody has decided about yet, by state: received, or failed, which is tried again.", "state"),
		oldest:     desc("clipper_webhook_queue_age_seconds", "How long the first delivery waits for a decision."),
		runs:       desc("clipper_webhook_runs", "Runs that have not ended, by state.", "state"),
		unsent:     desc("clipper_webhook_outbox", "Reports that wait to be sent to GitHub."),
		ready:      desc("clipper_webhook_draining", "Whether the service is ending."),
		skew:       desc("clipper_github_clock_skew_seconds", "How far GitHub's clock is ahead of this machine's.", "app"),
		remaining:  desc("clipper_github_budget_remaining", "What an installation may still ask GitHub for in this hour, of those that have the least left; 0 is the App itself.", "app", "installation"),
		limit:      desc("clipper_github_budget", "What an installation may ask GitHub for in an hour.", "app", "installation"),
	}
}

// Describe is for prometheus.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.up, g.deliveries, g.oldest, g.runs, g.unsent, g.ready, g.skew, g.remaining, g.limit} {
		to <- d
	}
}

// Collect is for prometheus.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	c, err := g.ask()
	gauge(g.up, truth(err == nil))
	gauge(g.ready, truth(g.s.draining.Load()))
	if err == nil {
		for _, state := range []database.DeliveryState{database.Received, database.Failed} {
			gauge(g.deliveries, float64(c.Deliveries[state]), string(state))
		}
		for _, state := range webhook.States {
			if !state.Over() {
				gauge(g.runs, float64(c.Runs[state]), string(state))
			}
		}
		age := 0.0
		if !c.Oldest.IsZero() {
			age = max(0, time.Since(c.Oldest).Seconds())
		}
		gauge(g.oldest, age)
		gauge(g.unsent, float64(c.Unsent))
	}
	for _, a := range g.s.apps {
		id := strconv.FormatInt(a.ID, 10)
		gauge(g.skew, a.hub.Skew().Seconds(), id)
		budgets := a.hub.Budgets()
		for _, installation := range least(budgets) {
			of := strconv.FormatInt(installation, 10)
			gauge(g.remaining, float64(budgets[installation].Remaining), id, of)
			gauge(g.limit, float64(budgets[installation].Limit), id, of)
		}
	}
}

// least are the installations that have the least left.
func least(budgets map[int64]hub.Budget) []int64 {
	all := slices.SortedFunc(maps.Keys(budgets), func(a, b int64) int {
		return cmp.Or(cmp.Compare(budgets[a].Remaining, budgets[b].Remaining), cmp.Compare(a, b))
	})
	return all[:min(len(all), mostBudgets)]
}

// ask asks the database, unless it was asked just now.
func (g *gauges) ask() (database.Counts, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.at) < countsLast {
		return g.counts, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), databaseTime)
	defer cancel()
	c, err := g.s.db.Counts(ctx)
	if err == nil {
		g.counts, g.at = c, time.Now()
	}
	return c, err
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// count has the service's own figures told.
func (s *service) count() error {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "clipper_build_info", Help: "The program's version, as a label of 1.",
		ConstLabels: prometheus.Labels{"version": s.Version, "go": runtime.Version()},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{build, newGauges(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), s.asked} {
		if err := s.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// asked counts requests to GitHub.
func newAsked() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clipper_github_requests_total", Help: "Requests to GitHub, by App and the answer's status; none is for those without an answer.",
	}, []string{"app", "status"})
}

// asks counts the requests of an App.
type asks struct {
	app  string
	next http.RoundTripper
	to   *prometheus.CounterVec
}

// RoundTrip asks.
func (a asks) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	status := "none"
	if err == nil {
		status = strconv.Itoa(resp.StatusCode)
	}
	a.to.WithLabelValues(a.app, status).Inc()
	return resp, err
}
