package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// perPage is how many rows a list has.
const perPage = 50

// search is what a list is narrowed to.
type search struct {
	Repository, Event, State, GUID string
	Before                         string // the page before begins there
	Repositories                   []string
	States                         []string
}

func (v *visit) search() search {
	q := search{Before: v.r.FormValue("before")}
	for name, into := range map[string]*string{"repository": &q.Repository, "event": &q.Event, "state": &q.State, "guid": &q.GUID} {
		*into = strings.TrimSpace(v.r.FormValue(name))
	}
	for _, r := range v.view {
		q.Repositories = append(q.Repositories, r.FullName)
	}
	slices.Sort(q.Repositories)
	return q
}

// query is the search as an address has it.
func (q search) query(before string) string {
	set := url.Values{}
	for name, value := range map[string]string{"repository": q.Repository, "event": q.Event, "state": q.State, "guid": q.GUID, "before": before} {
		if value != "" {
			set.Set(name, value)
		}
	}
	return "?" + set.Encode()
}

// Any says whether something is searched for.
func (q search) Any() bool { return q.Repository+q.Event+q.State+q.GUID != "" }

// among are the repositories that a search is in, of those that the person can
// read.
func (v *visit) among(q search) []int64 {
	if q.Repository == "" {
		return v.view.ids()
	}
	ids := []int64{}
	for _, r := range v.view {
		if strings.EqualFold(r.FullName, q.Repository) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// inboxPage is a list of deliveries, the newest first.
type inboxPage struct {
	search
	Rows  []database.Record
	Older string // address of the next page, "" is none
	Live  string // address of news, "" on older pages
}

var deliveryStates = []string{string(database.Received), string(database.Matched), string(database.Ignored), string(database.Failed), string(database.Dead)}

func (s *Server) inbox(v *visit) error {
	q := v.search()
	q.States = deliveryStates
	rows, more, err := v.deliveries(v.ctx(), q)
	if err != nil {
		return err
	}
	p := inboxPage{search: q, Rows: rows}
	if more {
		p.Older = "/deliveries" + q.query(strconv.FormatInt(rows[len(rows)-1].Seq, 10))
	}
	if q.Before == "" {
		p.Live = "/deliveries/live" + q.query("")
	}
	return v.show("deliveries", "Deliveries", p)
}

// deliveries is a page of those that fit, and whether there are older ones.
func (v *visit) deliveries(ctx context.Context, q search) (rows []database.Record, more bool, err error) {
	f := database.DeliveryFilter{App: v.App, Repositories: v.among(q), Event: q.Event, State: database.DeliveryState(q.State), GUID: q.GUID, Newest: true}
	if q.Before != "" {
		if f.Before, err = strconv.ParseInt(q.Before, 10, 64); err != nil || f.Before <= 0 {
			return nil, false, errNoPage
		}
	}
	for rec, err := range v.Books.Deliveries(ctx, f) {
		if err != nil {
			return nil, false, err
		}
		if len(rows) == perPage {
			return rows, true, nil
		}
		rows = append(rows, rec)
	}
	return rows, false, nil
}

// liveInbox sends the rows of the first page that have changed; the first time
// all, for what happened since the page was made.
func (s *Server) liveInbox(v *visit) error {
	q := v.search()
	q.Before = ""
	var known map[int64]database.DeliveryState
	return v.poll(func(ctx context.Context, out *stream) (bool, error) {
		rows, _, err := v.deliveries(ctx, q)
		if err != nil {
			return false, err
		}
		now := map[int64]database.DeliveryState{}
		fresh, latest := 0, ""
		for _, rec := range slices.Backward(rows) {
			now[rec.Seq] = rec.State
			state, there := known[rec.Seq]
			if there && state == rec.State {
				continue
			}
			if err := out.put("put", "", "delivery-row", rec); err != nil {
				return true, nil
			}
			if known != nil && !there {
				fresh++
				latest = fmt.Sprintf("%s of %s", text(rec.Event), text(rec.FullName))
			}
		}
		if fresh > 0 {
			if err := out.send("say", "", fmt.Sprintf("%d new: %s", fresh, latest)); err != nil {
				return true, nil
			}
		}
		known = now
		return false, nil
	})
}

// deliveryPage is one delivery, and what the rules said.
type deliveryPage struct {
	database.Record
	Repo  repo
	Runs  []webhook.Run
	Why   Explanation
	Mute  bool // the rules could not be asked
	Text  string
	Cut   bool
	Token string // of replay
}

// find is a delivery that the person can read. Of others nobody is told even
// that they are there.
func (v *visit) find() (database.Record, repo, error) {
	rec, err := v.Books.Delivery(v.ctx(), v.App, v.r.PathValue("guid"))
	if err != nil {
		return rec, repo{}, err
	}
	at, ok := v.view[rec.Repository]
	if !ok {
		return rec, repo{}, errNoPage
	}
	return rec, at, nil
}

func (s *Server) delivery(v *visit) error {
	rec, at, err := v.find()
	if err != nil {
		return err
	}
	p := deliveryPage{Record: rec, Repo: at}
	p.Text, p.Cut = pretty(rec.Body, mostOfBody)
	for run, err := range s.Books.Runs(v.ctx(), database.RunFilter{App: s.App, Repositories: []int64{rec.Repository}, Delivery: rec.GUID}) {
		if err != nil {
			return err
		}
		p.Runs = append(p.Runs, run)
	}
	if p.Why, err = s.Rulebook.Explain(v.ctx(), rec); err != nil {
		s.Log.Warn("explain a delivery", "guid", rec.GUID, "error", err)
		p.Mute = true
	}
	if at.Write {
		p.Token = s.seal.token(v.session.ID, "/deliveries/"+rec.GUID+"/replay")
	}
	return v.show("delivery", "Delivery "+text(rec.GUID), p)
}

// body is what was signed, byte by byte, to be saved and not to be shown.
func (s *Server) body(v *visit) error {
	rec, _, err := v.find()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Content-Disposition", "attachment; filename=delivery.json")
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(rec.Body)
	return nil
}

func (s *Server) replay(v *visit) error {
	rec, at, err := v.find()
	if err != nil {
		return err
	}
	if err := v.mayAsk(at); err != nil {
		return err
	}
	if err := s.Orders.Replay(v.ctx(), rec.App, rec.GUID, v.session.Login); err != nil {
		return err
	}
	s.Log.Info("replayed", "guid", rec.GUID, "by", v.session.Login)
	return v.redirect("/deliveries/" + url.PathEscape(rec.GUID) + "?said=replayed")
}

// mayAsk says what is against an order of the person's for a repository: the
// form is not theirs, or they may not write.
func (v *visit) mayAsk(at repo) error {
	switch {
	case !v.seal.posted(v.session.ID, v.r):
		return errToken
	case !at.Write:
		return errReadOnly
	}
	return nil
}
