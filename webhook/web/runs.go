package web

import (
	"context"
	"slices"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// runsPage is a list of runs, the newest first.
type runsPage struct {
	search
	Rows  []webhook.Run
	Older string // address of the next page, "" is none
	Live  string // address of news, "" on older pages
}

func (s *Server) runs(v *visit) error {
	q := v.search()
	for _, state := range webhook.States {
		q.States = append(q.States, string(state))
	}
	p := runsPage{search: q}
	var err error
	var more bool
	if p.Rows, more, err = v.listRuns(v.ctx(), q); err != nil {
		return err
	}
	if more {
		p.Older = "/runs" + q.query(p.Rows[len(p.Rows)-1].ID)
	}
	if q.Before == "" {
		p.Live = "/runs/live" + q.query("")
	}
	return v.show("runs", "Runs", p)
}

// liveRuns sends the rows of the first page that have changed; the first time
// all, for what happened since the page was made.
func (s *Server) liveRuns(v *visit) error {
	q := v.search()
	q.Before = ""
	var known map[string]int64 // revisions
	return v.poll(func(ctx context.Context, out *stream) (bool, error) {
		rows, _, err := v.listRuns(ctx, q)
		if err != nil {
			return false, err
		}
		now := map[string]int64{}
		for _, run := range slices.Backward(rows) {
			now[run.ID] = run.Rev
			if rev, there := known[run.ID]; there && rev == run.Rev {
				continue
			}
			if err := out.put("put", "", "run-row", run); err != nil {
				return true, nil
			}
		}
		known = now
		return false, nil
	})
}

// listRuns is a page of those that fit: those that were created before the run
// that the search names.
func (v *visit) listRuns(ctx context.Context, q search) (rows []webhook.Run, more bool, err error) {
	if q.Before != "" {
		if _, _, err := v.readable(ctx, q.Before); err != nil {
			return nil, false, err
		}
	}
	f := database.RunFilter{
		App: v.App, Repositories: v.among(q), State: webhook.State(q.State), Delivery: q.GUID, Newest: true, Before: q.Before,
	}
	for run, err := range v.Books.Runs(ctx, f) {
		if err != nil {
			return nil, false, err
		}
		if len(rows) == perPage {
			return rows, true, nil
		}
		rows = append(rows, run)
	}
	return rows, false, nil
}
