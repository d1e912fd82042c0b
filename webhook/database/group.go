package database

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/clipperregistry/runner/webhook"
)

// Runs of one repository that name the same concurrency group start one at a
// time, in the order of their events: a delivery that is late must not put an
// older commit in the place of a newer one. A run enters the group when it is
// queued, and has its place until it is over or queued again.

// holdGroups lets one transaction at a time look at a group and change it. The
// rows are taken in one order, lest two transactions wait for each other.
func holdGroups(ctx context.Context, tx tx, now time.Time, runs []NewRun) error {
	type group struct {
		app, repository int64
		name            string
	}
	var groups []group
	for _, run := range runs {
		if run.Group != "" {
			groups = append(groups, group{run.App, run.Repository, run.Group})
		}
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.repository, b.repository), cmp.Compare(a.name, b.name))
	})
	for _, g := range slices.Compact(groups) {
		_, err := tx.exec(ctx, `
			INSERT INTO run_groups (app, repository, name, used) VALUES ($1, $2, $3, $4)
			ON CONFLICT (app, repository, name) DO UPDATE SET used = excluded.used`, g.app, g.repository, g.name, ms(now))
		if err != nil {
			return fmt.Errorf("hold group %s: %w", g.name, err)
		}
	}
	return nil
}

// before orders a group's runs by their events, and those of one moment by when
// they were stored.
func (s stored) before(o stored) bool { return s.compare(o) < 0 }

func (s stored) compare(o stored) int {
	return cmp.Or(s.Since().Compare(o.Since()), cmp.Compare(s.seq, o.seq))
}

// members are the runs of a run's group that are not over, with itself, the
// first first.
func members(ctx context.Context, q querier, run webhook.Run) ([]stored, error) {
	group, err := all(ctx, q, scanStored, `
		SELECT `+runColumns+` FROM runs
		WHERE app = $1 AND repository = $2 AND group_name = $3 AND group_name <> '' AND place < 3`,
		run.App, run.Repository, run.Group)
	slices.SortFunc(group, stored.compare)
	return group, err
}

// ended are the runs of a run's group that were started and ended after its
// event.
func ended(ctx context.Context, q querier, run webhook.Run) ([]stored, error) {
	group, err := all(ctx, q, scanStored, `
		SELECT `+runColumns+` FROM runs
		WHERE place = $4 AND ended >= $5 AND app = $1 AND repository = $2 AND group_name = $3`,
		run.App, run.Repository, run.Group, placeOver, ms(run.Since()))
	return slices.DeleteFunc(group, func(o stored) bool { return o.Attempt == 0 }), err
}

// waits says whether a queued run has to wait for another one of its group:
// one that is busy, or one that came before.
func waits(ctx context.Context, tx tx, run stored) (bool, error) {
	others, err := members(ctx, tx, run.Run)
	return slices.ContainsFunc(others, func(o stored) bool {
		return o.seq != run.seq && (o.State.Busy() || o.before(run) && next(o))
	}), err
}

// next says whether a run can be the next one of its group.
func next(s stored) bool { return s.State == webhook.Queued && s.CancelRequested == "" }

// shift does what follows for a group when one of its runs has changed.
func (db *DB) shift(ctx context.Context, tx tx, old, now stored) error {
	if now.Group == "" {
		return nil
	}
	was, is := place(old.State), place(now.State)
	switch {
	case was == placeApproval && is == placeQueued:
		return db.join(ctx, tx, now)
	case was != is && was != placeApproval && is != placeBusy:
		return db.callNext(ctx, tx, now)
	}
	return nil
}

// join has runs give way when one was queued: itself, if it comes too late, all
// before it, if it says so, else those that have waited longest, if too many
// wait.
func (db *DB) join(ctx context.Context, tx tx, run stored) error {
	if run.Group == "" || run.State != webhook.Queued {
		return nil
	}
	group, err := members(ctx, tx, run.Run)
	if err != nil {
		return err
	}
	over, err := ended(ctx, tx, run.Run)
	if err != nil {
		return err
	}
	later := func(o stored) bool { return o.CancelOthers && run.before(o) && o.State != webhook.AwaitingApproval }
	for _, o := range slices.Concat(group, over) {
		if later(o) {
			return db.cancel(ctx, tx, run.Run, "superseded by run "+o.ID+", whose event is later")
		}
	}
	if !run.CancelOthers {
		return db.limit(ctx, tx, run, group)
	}
	for _, o := range group {
		if o.before(run) {
			if err := db.cancel(ctx, tx, o.Run, "superseded by run "+run.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// limit has those give way that have waited longest, if too many wait since a
// run was queued. In a group where none is busy, the first that was there does
// not wait: it is about to start.
func (db *DB) limit(ctx context.Context, tx tx, run stored, group []stored) error {
	queue := slices.DeleteFunc(slices.Clone(group), func(o stored) bool { return !next(o) })
	if !slices.ContainsFunc(group, func(o stored) bool { return o.State.Busy() }) {
		first := max(slices.IndexFunc(queue, func(o stored) bool { return o.seq != run.seq }), 0)
		queue = slices.Delete(queue, first, min(first+1, len(queue)))
	}
	for _, o := range queue[:max(len(queue)-run.MaxQueue, 0)] {
		if err := db.cancel(ctx, tx, o.Run, fmt.Sprintf("more than %d runs wait in group %s", run.MaxQueue, run.Group)); err != nil {
			return err
		}
	}
	return nil
}

// callNext gives a Step to the run whose turn it is.
func (db *DB) callNext(ctx context.Context, tx tx, run stored) error {
	group, err := members(ctx, tx, run.Run)
	if err != nil || slices.ContainsFunc(group, func(o stored) bool { return o.State.Busy() }) {
		return err
	}
	first := slices.IndexFunc(group, next)
	if first < 0 || group[first].seq == run.seq { // it has its own time
		return nil
	}
	now, called := db.now(), group[first]
	if _, err := tx.exec(ctx, `UPDATE runs SET due = $2 WHERE id = $1`, called.ID, ms(now)); err != nil {
		return err
	}
	return tx.enqueue(ctx, []river.InsertManyParams{stepJob(Step{called.ID, called.Rev}, now, now)})
}
