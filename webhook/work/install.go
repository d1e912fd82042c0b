package work

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// installed cancels the runs in repositories that the App was taken from, and
// plans the schedules of those that it was let into. Schedules in repositories
// that it was taken from are forgotten when they are due: then it is asked
// whether it was.
func (t *turn) installed(ctx context.Context, e *webhook.Event, rec database.Record) (outcome, error) {
	if e.Name == "installation" && e.Action == "deleted" {
		e.RepositoriesRemoved = e.Repositories
	}
	if err := t.leave(ctx, e); err != nil {
		return outcome{}, err
	}
	repositories, err := t.letInto(ctx, e)
	if err == nil {
		err = t.planAll(ctx, e, rec, repositories)
	}
	if err != nil {
		return outcome{}, err
	}
	return nothing("the schedules of %d repositories were planned", len(repositories))
}

// letInto are the repositories that the App was let into. Which those are where
// it is let in again, GitHub does not deliver.
func (t *turn) letInto(ctx context.Context, e *webhook.Event) ([]webhook.Repository, error) {
	switch {
	case e.Name == "installation" && e.Action == "created":
		return t.served(e.Repositories), nil
	case e.Name == "installation" && e.Action == "unsuspend":
		var all []webhook.Repository
		for r, err := range t.github.Repositories(ctx, e.Installation.ID) {
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		return t.served(all), nil
	}
	return t.served(e.RepositoriesAdded), nil
}

// served are those that the policy serves, by their IDs.
func (t *turn) served(all []webhook.Repository) []webhook.Repository {
	served := slices.DeleteFunc(slices.Clone(all), func(r webhook.Repository) bool { return !t.Policy.Serves(r.FullName) })
	slices.SortFunc(served, func(a, b webhook.Repository) int { return cmp.Compare(a.ID, b.ID) })
	return served
}

// longPlanned is how long a delivery's repositories may be planned until those
// behind it have their turn.
const longPlanned = longTurn / 2

// planAll plans repositories, of which an account can have thousands: how far it
// came is kept with each.
func (t *turn) planAll(ctx context.Context, e *webhook.Event, rec database.Record, repositories []webhook.Repository) error {
	name := fmt.Sprintf("installed/%d/%s", rec.App, rec.GUID)
	p, err := t.planning(ctx, name)
	if err != nil {
		return err
	}
	began, left := t.Now(), p.left(repositories)
	for i, r := range left {
		if t.Now().Sub(began) > longPlanned {
			return fmt.Errorf("%d of %d repositories are planned: %w", len(repositories)-len(left)+i, len(repositories), errUnfinished)
		}
		err := t.planOne(ctx, e, r)
		if _, yes := limited(err); yes || ctx.Err() != nil { // which is not the repository's fault
			return err
		}
		p.did(r.ID, err)
		if err := t.DB.SetCursor(ctx, name, p.String()); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
	return t.DB.SetCursor(ctx, name, "")
}

// planOne plans the schedules of a repository. One that is empty, or gone again,
// has none.
func (t *turn) planOne(ctx context.Context, e *webhook.Event, r webhook.Repository) error {
	found, err := t.repository(ctx, hub.Repo{Installation: e.Installation.ID, ID: r.ID, FullName: r.FullName})
	if err == nil {
		// Another replica may have forgotten what this one remembers to have planned.
		t.configs.setPlanned(configKey{t.app, r.ID, ""})
		_, err = t.configuration(ctx, &webhook.Event{Name: webhook.Schedule, Repository: found, Installation: e.Installation}, nil)
	}
	if errors.Is(err, hub.ErrGone) {
		return nil
	}
	return err
}

// planning is how far the planning of a delivery's repositories came: up to
// which ID, and which of those before failed. These come last, lest one that
// always fails holds up the others.
type planning struct {
	To     int64   `json:"to"`
	Failed []int64 `json:"failed,omitempty"`
}

func (t *turn) planning(ctx context.Context, name string) (p planning, err error) {
	text, err := t.DB.Cursor(ctx, name)
	if err != nil || text == "" {
		return p, err
	}
	return p, json.Unmarshal([]byte(text), &p)
}

func (p *planning) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers
	}
	return string(text)
}

// left are those that are still to be planned, of repositories by their IDs.
func (p *planning) left(all []webhook.Repository) []webhook.Repository {
	var left, again []webhook.Repository
	for _, r := range all {
		switch {
		case r.ID > p.To:
			left = append(left, r)
		case slices.Contains(p.Failed, r.ID):
			again = append(again, r)
		}
	}
	return append(left, again...)
}

func (p *planning) did(id int64, err error) {
	p.To = max(p.To, id)
	p.Failed = slices.DeleteFunc(p.Failed, func(failed int64) bool { return failed == id })
	if err != nil {
		p.Failed = append(p.Failed, id)
	}
}
