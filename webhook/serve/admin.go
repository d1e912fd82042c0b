package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// What is told as a warning: work waits that should be done, the clocks differ
// by more than GitHub takes, the inbox was not compared for long.
const (
	oldQueue     = 10 * time.Minute
	mostSkew     = 20 * time.Second
	oldReconcile = 15 * time.Minute
	// databaseTime is how long the database may take to say how it does.
	databaseTime = 5 * time.Second
)

// readiness is what /readyz tells.
type readiness struct {
	// Ready says whether deliveries are taken: the database can be written to,
	// and the service is not ending. That GitHub is out of reach, or work waits,
	// is a warning: deliveries are to come all the same.
	Ready    bool     `json:"ready"`
	Draining bool     `json:"draining"`
	Warnings []string `json:"warnings,omitempty"`
	Database struct {
		OK    bool    `json:"ok"`
		Error string  `json:"error,omitempty"`
		Took  float64 `json:"took_seconds"`
	} `json:"database"`
	Queue struct {
		Undecided int     `json:"undecided"`
		Oldest    float64 `json:"oldest_seconds"`
		Unsent    int     `json:"unsent"`
		Unended   int     `json:"unended"`
	} `json:"queue"`
	Apps []appReadiness `json:"apps"`
}

type appReadiness struct {
	App  int64   `json:"app"`
	Skew float64 `json:"skew_seconds"`
	// Reconciled is when some replica last found the inbox complete, or made it
	// so.
	Reconciled *time.Time `json:"reconciled,omitempty"`
}

func (s *service) readiness(ctx context.Context) readiness {
	var r readiness
	r.Draining = s.draining.Load()
	ctx, cancel := context.WithTimeout(ctx, databaseTime)
	defer cancel()
	began := time.Now()
	h, err := s.db.Health(ctx)
	r.Database.OK, r.Database.Took = err == nil, time.Since(began).Seconds()
	if err != nil {
		r.Database.Error = s.log.redact(err.Error())
	}
	r.Queue.Undecided, r.Queue.Unsent, r.Queue.Unended = h.Undecided, h.Unsent, h.Unended
	if !h.Oldest.IsZero() {
		waits := max(0, time.Since(h.Oldest))
		if r.Queue.Oldest = waits.Seconds(); waits > oldQueue {
			r.Warnings = append(r.Warnings, "a delivery waits for "+waits.Round(time.Second).String()+" to be decided about")
		}
	}
	for _, a := range s.apps {
		name := "App " + strconv.FormatInt(a.ID, 10)
		told := appReadiness{App: a.ID, Skew: a.hub.Skew().Seconds()}
		if skew := a.hub.Skew(); skew.Abs() > mostSkew {
			r.Warnings = append(r.Warnings, name+": GitHub's clock is "+skew.Round(time.Second).String()+" ahead of this machine's")
		}
		last, err := a.reconciler.Latest(ctx)
		if err == nil && !last.IsZero() {
			told.Reconciled = &last
		}
		if age := min(time.Since(last), time.Since(s.began)); age > oldReconcile {
			r.Warnings = append(r.Warnings, name+": GitHub's list of deliveries was not compared for "+age.Round(time.Second).String())
		}
		r.Apps = append(r.Apps, told)
	}
	r.Ready = r.Database.OK && !r.Draining
	return r
}

// admin is for the operator: whether to send requests here, and figures.
func (s *service) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		told := s.readiness(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !told.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(told)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}
