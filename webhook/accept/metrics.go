package accept

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what is counted of deliveries that come in.
type metrics struct {
	answers *prometheus.CounterVec
	seconds prometheus.Histogram
	bytes   prometheus.Counter
	fresh   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clipper_webhook_answers_total", Help: "Requests for the webhook that were answered, by status.",
		}, []string{"status"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "clipper_webhook_accept_seconds", Help: "How long deliveries waited for an answer of success.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clipper_webhook_body_bytes_total", Help: "Bytes of bodies that were signed.",
		}),
		fresh: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clipper_webhook_deliveries_total", Help: "Deliveries that GitHub called with and that were not there before.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.answers, m.seconds, m.bytes, m.fresh} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) answered(status int, took time.Duration) {
	m.answers.WithLabelValues(strconv.Itoa(status)).Inc()
	if status < 300 {
		m.seconds.Observe(took.Seconds())
	}
}
