package runners

import "github.com/prometheus/client_golang/prometheus"

// metrics are the sets' figures, of the replica that keeps them.
type metrics struct {
	wanted, tasks, working *prometheus.GaugeVec
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "clipper_runners_" + name, Help: help}, []string{"owner", "set"})
	}
	m := &metrics{
		wanted:  gauge("wanted_jobs", "Jobs that want a runner of the set, or have one."),
		tasks:   gauge("tasks", "Tasks of the set."),
		working: gauge("working", "Runners of the set that have a job."),
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.wanted, m.tasks, m.working} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) show(s *set, wanted, tasks, working int) {
	m.wanted.WithLabelValues(s.Owner, s.Name).Set(float64(wanted))
	m.tasks.WithLabelValues(s.Owner, s.Name).Set(float64(tasks))
	m.working.WithLabelValues(s.Owner, s.Name).Set(float64(working))
}
