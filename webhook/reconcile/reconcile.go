// Package reconcile makes the inbox complete. In comes GitHub's own list of the
// deliveries that it has sent or tried to, out go those that the inbox lacks,
// into the inbox: through [Inbox].Accept, as those that GitHub called with, so
// that from there on they are one. GitHub itself delivers nothing twice.
//
// What it promises:
//
//   - A delivery that GitHub remembers is in the inbox after a pass that
//     returned no error, whatever became of it before: whether GitHub believes
//     that it arrived is not asked.
//   - What is there stays as it is: it is known by its GUID.
//   - How far it came is kept with the inbox. A pass begins some time before
//     that, and never more than three days ago; one that was broken off has
//     lost nothing but its time.
//   - One delivery that cannot be fetched holds up no other.
//
// With a short period it is how deliveries come to a service that GitHub cannot
// call. GitHub remembers deliveries of a webhook that is active, whatever its
// URL: one at which nobody answers will do.
package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
)

// GitHub is asked for deliveries of an App. hub.Hub is one.
type GitHub interface {
	AppID() int64
	Now() time.Time // GitHub's
	Deliveries(ctx context.Context, since time.Time) iter.Seq2[hub.Sent, error]
	Delivery(ctx context.Context, id int64) (webhook.Delivery, error)
}

// Inbox keeps deliveries. database.DB is one.
type Inbox interface {
	Accept(ctx context.Context, d webhook.Delivery) (fresh bool, err error)
	Known(ctx context.Context, app int64, guids []string) (map[string]bool, error)
	Cursor(ctx context.Context, name string) (string, error)
	SetCursor(ctx context.Context, name, value string) error
	// Hold and Yield let one of several replicas do the work.
	Hold(ctx context.Context, name, who string, lease time.Duration) (bool, error)
	Yield(ctx context.Context, name, who string) error
}

// The times of a reconciler.
const (
	// Period is how long it waits after a pass, and PullPeriod where GitHub does
	// not call.
	Period     = time.Minute
	PullPeriod = 10 * time.Second
	// watch is how soon a replica asks again for the work that another one has.
	watch = 10 * time.Second
	// MaxAge is how old a delivery may be.
	MaxAge = 3 * 24 * time.Hour
	// Overlap is how much of what was seen is looked at again: the list has a
	// delivery only when its answer came, or did not.
	Overlap = 15 * time.Minute
)

// Config is what a Reconciler is made of.
type Config struct {
	GitHub GitHub
	Inbox  Inbox
	// Period is that of Run. The default is Period.
	Period time.Duration
	// Replica names this one among those that have the inbox.
	Replica string

	// Metrics takes the reconciler's counters; nil takes none.
	Metrics prometheus.Registerer
	// Log is told of passes that found something or failed. The default is
	// slog.Default.
	Log *slog.Logger
}

// Reconciler compares one App's deliveries. Passes may be made by several at
// once: they do each other's work, and nothing twice.
type Reconciler struct {
	github  GitHub
	inbox   Inbox
	name    string // of the cursor and the lease
	period  time.Duration
	replica string
	metrics *metrics
	log     *slog.Logger
	last    atomic.Pointer[time.Time]
}

// New makes a reconciler.
func New(c Config) (*Reconciler, error) {
	if c.GitHub == nil || c.Inbox == nil {
		return nil, errors.New("reconcile deliveries: without GitHub or an inbox")
	}
	metrics, err := newMetrics(c.GitHub.AppID(), c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("reconcile deliveries: %w", err)
	}
	r := &Reconciler{
		github: c.GitHub, inbox: c.Inbox, name: "deliveries/" + strconv.FormatInt(c.GitHub.AppID(), 10),
		period: cmp.Or(c.Period, Period), replica: cmp.Or(c.Replica, "one"), metrics: metrics, log: c.Log,
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	return r, nil
}

// Last is when a pass last ended without an error, zero before the first.
func (r *Reconciler) Last() time.Time {
	if at := r.last.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Latest is when a pass of any replica last ended without an error, zero before
// the first.
func (r *Reconciler) Latest(ctx context.Context) (time.Time, error) {
	text, err := r.inbox.Cursor(ctx, r.passed())
	if err != nil || text == "" {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, text)
}

// passed is the name under which that is kept.
func (r *Reconciler) passed() string { return "reconciled/" + strconv.FormatInt(r.github.AppID(), 10) }

// Run makes a pass every period, until ctx is done. A pass that failed is made
// again after the period, or when GitHub's limit lets it.
func (r *Reconciler) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(r.turn(ctx))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := r.inbox.Yield(ctx, r.name, r.replica); err != nil {
				r.log.WarnContext(ctx, "deliveries not left to others", "error", err)
			}
			return
		}
	}
}

// turn makes a pass if no other replica does, and says how long to wait then.
func (r *Reconciler) turn(ctx context.Context) time.Duration {
	held, err := r.hold(ctx)
	if err == nil && held {
		var result Result
		if result, err = r.Pass(ctx); result.Accepted+result.Gone > 0 || err != nil && ctx.Err() == nil {
			log := r.log.With("accepted", result.Accepted, "gone", result.Gone, "listed", result.Listed)
			if err != nil {
				log.WarnContext(ctx, "deliveries not reconciled", "error", err)
			} else {
				log.InfoContext(ctx, "deliveries reconciled")
			}
		}
	}
	var limited *hub.Limited
	if errors.As(err, &limited) {
		return max(r.period, time.Until(limited.Until))
	}
	if err == nil && !held {
		return min(r.period, watch)
	}
	return r.period
}

// hold has the others leave the work to this replica for a while.
func (r *Reconciler) hold(ctx context.Context) (bool, error) {
	return r.inbox.Hold(ctx, r.name, r.replica, 2*r.period+time.Minute)
}

// metrics are what is counted of passes.
type metrics struct {
	pulled, failed prometheus.Counter
	at             prometheus.Gauge
}

func newMetrics(app int64, to prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"app": strconv.FormatInt(app, 10)}
	m := &metrics{
		pulled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clipper_webhook_pulled_total", Help: "Deliveries that did not arrive and were fetched.", ConstLabels: labels,
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clipper_webhook_reconcile_failures_total", Help: "Comparisons with GitHub's list of deliveries that failed.", ConstLabels: labels,
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "clipper_webhook_reconciled_timestamp_seconds", Help: "When the inbox was last known to be complete.", ConstLabels: labels,
		}),
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.pulled, m.failed, m.at} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
