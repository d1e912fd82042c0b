package database

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/clipperregistry/runner/webhook"
)

// Places are where a run stands in its concurrency group.
const (
	placeApproval = iota // not in it yet
	placeQueued
	placeBusy
	placeOver
)

func place(s webhook.State) int {
	switch {
	case s.Over():
		return placeOver
	case s.Busy():
		return placeBusy
	case s == webhook.Queued:
		return placeQueued
	}
	return placeApproval
}

// stored is a run with its row's number.
type stored struct {
	webhook.Run
	seq int64
}

const runColumns = `seq, rev, due, data`

func scanStored(r row) (s stored, err error) {
	var due, rev int64
	var data []byte
	if err := r.Scan(&s.seq, &rev, &due, &data); err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s.Run); err != nil {
		return s, fmt.Errorf("stored run %d: %w", s.seq, err)
	}
	if string(s.Job) == "null" { // which is how JSON has none
		s.Job = nil
	}
	s.Rev, s.Due = rev, at(due) // which may have changed without data
	return s, nil
}

// CreateRun stores a run that no delivery is behind. It says whether it is
// new: of its rule and event there is one at most.
func (db *DB) CreateRun(ctx context.Context, run NewRun) (fresh bool, err error) {
	err = db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		ids, err := db.insertRuns(ctx, tx, []NewRun{run})
		fresh = len(ids) > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("create run %s: %w", run.ID, err)
	}
	return fresh, nil
}

// insertRuns stores those that are not there yet, and returns their IDs.
func (db *DB) insertRuns(ctx context.Context, tx tx, runs []NewRun) (fresh []string, err error) {
	runs = slices.Clone(runs)
	for i := range runs { // what strangers name is in them
		for _, s := range []*string{&runs[i].RuleKey, &runs[i].EventKey, &runs[i].Group, &runs[i].Delivery} {
			*s = note(*s)
		}
	}
	if err := holdGroups(ctx, tx, db.now(), runs); err != nil {
		return nil, err
	}
	var jobs []river.InsertManyParams
	for _, run := range runs {
		data, err := json.Marshal(run.Run)
		if err != nil {
			return nil, err
		}
		var seq int64
		inserted, err := one(ctx, tx, `
			INSERT INTO runs (id, rule_key, event_key, rev, app, installation, repository, guid, state, group_name, place, due, created, ended, data)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT (rule_key, event_key) DO NOTHING RETURNING seq`,
			[]any{
				run.ID, run.RuleKey, run.EventKey, run.Rev, run.App, run.Installation, run.Repository, run.Delivery, string(run.State),
				run.Group, place(run.State), ms(run.Due), ms(run.Created), ms(run.Ended), data,
			}, &seq)
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", run.ID, err)
		}
		if !inserted {
			continue
		}
		fresh = append(fresh, run.ID)
		if !run.Due.IsZero() {
			jobs = append(jobs, stepJob(Step{run.ID, run.Rev}, run.Due, db.now()))
		}
		if err := db.desire(ctx, tx, run.Run, run.Desires); err != nil {
			return nil, err
		}
		if err := db.join(ctx, tx, stored{run.Run, seq}); err != nil {
			return nil, err
		}
	}
	if len(jobs) == 0 {
		return fresh, nil
	}
	return fresh, tx.enqueue(ctx, jobs)
}

// follow stores what follows from a run's row: a job for the time when it is
// due, and what is to be shown of it.
func (db *DB) follow(ctx context.Context, tx tx, run webhook.Run, desires []Desire) error {
	if !run.Due.IsZero() {
		if err := tx.enqueue(ctx, []river.InsertManyParams{stepJob(Step{run.ID, run.Rev}, run.Due, db.now())}); err != nil {
			return err
		}
	}
	return db.desire(ctx, tx, run, desires)
}

// Move stores a run that has changed, with the revision that it has now, and
// what is to be shown of it. If the run is due, a Step comes for it then. It
// fails with ErrMoved unless the run was stored with the revision before, with
// ErrNotFound, and with ErrBusy for a start that has to wait.
func (db *DB) Move(ctx context.Context, run webhook.Run, desires ...Desire) error {
	busy := false
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		busy = false
		if err := holdGroups(ctx, tx, db.now(), []NewRun{{Run: run}}); err != nil {
			return err
		}
		old, err := getRun(ctx, tx, run.ID)
		switch {
		case err != nil:
			return err
		case old.Rev != run.Rev-1:
			return ErrMoved
		case run.State == webhook.Starting && old.State == webhook.Queued && run.Group != "":
			if busy, err = waits(ctx, tx, old); err != nil {
				return err
			}
			if busy {
				_, err := tx.exec(ctx, `UPDATE runs SET due = 0 WHERE id = $1`, run.ID)
				return err
			}
		}
		if err := db.store(ctx, tx, run); err != nil {
			return err
		}
		if err := db.follow(ctx, tx, run, desires); err != nil {
			return err
		}
		return db.shift(ctx, tx, old, stored{run, old.seq})
	})
	if err == nil && busy {
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("move run %s to %s: %w", run.ID, run.State, err)
	}
	return nil
}

// store changes a run's row if it has the revision before.
func (db *DB) store(ctx context.Context, tx tx, run webhook.Run) error {
	data, err := json.Marshal(run)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, `UPDATE runs SET rev = $2, state = $3, place = $4, due = $5, ended = $6, data = $7 WHERE id = $1 AND rev = $8`,
		run.ID, run.Rev, string(run.State), place(run.State), ms(run.Due), ms(run.Ended), data, run.Rev-1)
	if err == nil && n == 0 {
		return ErrMoved
	}
	return err
}

// Cancel wishes that a run ends, for a reason. It gets a Step for it; a run
// that is over stays as it is.
func (db *DB) Cancel(ctx context.Context, id, reason string) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		// On PostgreSQL this holds the row.
		if _, err := tx.exec(ctx, `UPDATE runs SET rev = rev WHERE id = $1`, id); err != nil {
			return err
		}
		run, err := getRun(ctx, tx, id)
		if err != nil {
			return err
		}
		return db.cancel(ctx, tx, run.Run, reason)
	})
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
}

func (db *DB) cancel(ctx context.Context, tx tx, run webhook.Run, reason string) error {
	if run.State.Over() || run.CancelRequested != "" {
		return nil
	}
	run.CancelRequested, run.Due = reason, db.now()
	run.Rev++
	if err := db.store(ctx, tx, run); err != nil {
		return err
	}
	return db.follow(ctx, tx, run, nil)
}

func getRun(ctx context.Context, q querier, id string) (stored, error) {
	found, err := all(ctx, q, scanStored, `SELECT `+runColumns+` FROM runs WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return stored{}, err
	}
	return found[0], nil
}

// Run is one of them. It fails with ErrNotFound.
func (db *DB) Run(ctx context.Context, id string) (webhook.Run, error) {
	var run stored
	err := db.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
		run, err = getRun(ctx, q, id)
		return err
	})
	if err != nil {
		return webhook.Run{}, fmt.Errorf("run %s: %w", id, err)
	}
	return run.Run, nil
}

// RunFilter says which runs are meant: those that all set members fit.
type RunFilter struct {
	App, Installation int64
	// Repositories are those a person may see; nil is all, empty none.
	Repositories      []int64
	State             webhook.State
	Delivery          string // GUID
	RuleKey, EventKey string
	// Group is that of the concurrency, of App and one of Repositories.
	Group string
	// Unended leaves out those that are over.
	Unended bool
	// Since is a time when they were created.
	Since time.Time
	// Newest has the newest first; Before are then those created before a run,
	// by its ID. Before one that is not there is nothing.
	Newest bool
	Before string
}

// Runs are those that fit, in the order in which they were created. They are
// read a page at a time.
func (db *DB) Runs(ctx context.Context, f RunFilter) iter.Seq2[webhook.Run, error] {
	var c condition
	c.equal("app", f.App, f.App != 0)
	c.equal("installation", f.Installation, f.Installation != 0)
	c.in("repository", f.Repositories)
	c.equal("state", string(f.State), f.State != "")
	c.equal("guid", f.Delivery, f.Delivery != "")
	c.equal("rule_key", f.RuleKey, f.RuleKey != "")
	c.equal("event_key", f.EventKey, f.EventKey != "")
	c.equal("group_name", f.Group, f.Group != "")
	c.add("place < ", placeOver, f.Unended)
	c.add("created >= ", ms(f.Since), !f.Since.IsZero())
	if f.Before != "" {
		c.args = append(c.args, f.Before)
		c.terms = append(c.terms, fmt.Sprintf("seq < (SELECT seq FROM runs WHERE id = $%d)", len(c.args)))
	}
	rows := pages(ctx, db, `SELECT `+runColumns+` FROM runs`, &c, f.Newest, scanStored, func(s stored) int64 { return s.seq })
	return func(yield func(webhook.Run, error) bool) {
		for s, err := range rows {
			if !yield(s.Run, err) {
				return
			}
		}
	}
}
