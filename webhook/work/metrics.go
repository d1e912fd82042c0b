package work

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// metrics are what is counted of the work.
type metrics struct {
	decided *prometheus.CounterVec
	moves   *prometheus.CounterVec
	reports *prometheus.CounterVec
	limited *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		decided: counter("clipper_webhook_decided_total", "Decisions about deliveries, by what came of them: matched, ignored, or failed, which is tried again.", "outcome"),
		moves:   counter("clipper_webhook_run_moves_total", "States that runs have come to; those that end them are each run's last.", "state"),
		reports: counter("clipper_webhook_reports_total", "Reports to GitHub, by place and what came of them: sent, limited, refused, or failed, which is tried again.", "channel", "outcome"),
		limited: counter("clipper_github_limited_total", "Turns that a limit of GitHub's ended, by App and kind: primary is an hour's budget, secondary too fast.", "app", "kind"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clipper_webhook_run_seconds", Help: "How long runs took from when they were seen running to their end, by how they ended.",
			Buckets: []float64{5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400},
		}, []string{"state"}),
	}
	for _, outcome := range []string{"matched", "ignored", "failed"} { // zero is a figure, too
		m.decided.WithLabelValues(outcome)
	}
	return m
}

// register has the counters told. Without a registerer they count for nobody.
func (m *metrics) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.decided, m.moves, m.reports, m.limited, m.seconds} {
		if err := to.Register(c); err != nil {
			return fmt.Errorf("count the work: %w", err)
		}
	}
	return nil
}

func (m *metrics) decision(runs int, err error) {
	switch {
	case err != nil:
		m.decided.WithLabelValues("failed").Inc()
	case runs > 0:
		m.decided.WithLabelValues("matched").Inc()
	default:
		m.decided.WithLabelValues("ignored").Inc()
	}
}

// moved counts the state that a run has come to.
func (m *metrics) moved(run *webhook.Run) {
	m.moves.WithLabelValues(string(run.State)).Inc()
	if run.State.Over() && !run.Started.IsZero() {
		m.seconds.WithLabelValues(string(run.State)).Observe(run.Ended.Sub(run.Started).Seconds())
	}
}

func (m *metrics) reported(i database.Item, err error) {
	outcome := "sent"
	_, limit := limited(err)
	switch {
	case limit:
		outcome = "limited"
	case errors.Is(err, hub.ErrGone), errors.Is(err, hub.ErrInvalid), errors.Is(err, hub.ErrRefused):
		outcome = "refused"
	case err != nil:
		outcome = "failed"
	}
	m.reports.WithLabelValues(i.Channel, outcome).Inc()
}

// met counts a limit of GitHub's, if the error is one.
func (m *metrics) met(app int64, err error) {
	var l *hub.Limited
	if !errors.As(err, &l) {
		return
	}
	kind := "primary"
	if l.Secondary {
		kind = "secondary"
	}
	m.limited.WithLabelValues(strconv.FormatInt(app, 10), kind).Inc()
}
