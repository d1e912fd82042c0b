package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
)

// wake sees to it that each lane has a job that comes not later than due. A
// lane that somebody works in has one, whatever its time: who waits here for the
// row comes with a time before the turn that began meanwhile, and must not have
// another one begin beside it. One that is parked gets it when that is over.
func (db *DB) wake(ctx context.Context, tx tx, due time.Time, lanes ...Lane) error {
	now := db.now()
	if due.Before(now) {
		due = now
	}
	// All transactions take the rows in one order, and so none waits for
	// another that waits for it.
	slices.SortFunc(lanes, func(a, b Lane) int {
		return cmp.Or(cmp.Compare(a.Work, b.Work), cmp.Compare(a.App, b.App), cmp.Compare(a.Installation, b.Installation))
	})
	lanes = slices.Compact(lanes)
	rows := make([][]any, len(lanes))
	for i, lane := range lanes {
		rows[i] = []any{lane.Work, lane.App, lane.Installation, ms(due)}
	}
	var jobs []river.InsertManyParams
	err := tx.eachOf(ctx, func(i int, r row) error {
		var turn, at64 int64
		err := r.Scan(&turn, &at64)
		jobs = append(jobs, turnJob(Turn{lanes[i], turn}, at(at64), now))
		return err
	}, `
		INSERT INTO lanes (work, app, installation, turn, due, taken, parked) VALUES ($1, $2, $3, 1, $4, 0, 0)
		ON CONFLICT (work, app, installation) DO UPDATE SET
			turn = lanes.turn + 1,
			due = CASE WHEN lanes.parked > excluded.due THEN lanes.parked ELSE excluded.due END
		WHERE lanes.due = 0 OR (lanes.taken = 0 AND lanes.due > excluded.due AND lanes.due > lanes.parked)
		RETURNING turn, due`, rows)
	if err != nil {
		return fmt.Errorf("wake lanes: %w", err)
	}
	if len(jobs) == 0 {
		return nil
	}
	return tx.enqueue(ctx, jobs)
}

// Take begins a turn, or goes on with it. If nothing is heard of whoever took
// it for that long, Revive gives the lane to somebody else. It fails with
// ErrMoved for a turn that is void.
func (db *DB) Take(ctx context.Context, t Turn, lease time.Duration) error {
	return db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := tx.exec(ctx, `UPDATE lanes SET taken = $5 WHERE work = $1 AND app = $2 AND installation = $3 AND turn = $4 AND due > 0`,
			t.Work, t.App, t.Installation, t.Number, ms(db.now().Add(lease)))
		if err == nil && n == 0 {
			return ErrMoved
		}
		return err
	})
}

// Rest ends a turn. If there is more to do, the lane has its next turn when it
// is due, after all others that are. What is still due comes back at once: what
// failed is to be put off, or the lane parked, before.
func (db *DB) Rest(ctx context.Context, t Turn) error {
	return db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		// The row is changed first: whoever adds work after this sees a lane at
		// rest, and what was added before is seen here.
		n, err := tx.exec(ctx, `UPDATE lanes SET turn = turn + 1, due = 0, taken = 0 WHERE work = $1 AND app = $2 AND installation = $3 AND turn = $4`,
			t.Work, t.App, t.Installation, t.Number)
		if err != nil || n == 0 {
			return err // nobody's turn but the next one's
		}
		next := `SELECT coalesce(min(due), 0) FROM deliveries WHERE app = $1 AND installation = $2 AND due > 0`
		if t.Work == Report {
			next = `SELECT coalesce(min(due), 0) FROM outbox WHERE app = $1 AND installation = $2 AND due > 0`
		}
		var due int64
		if _, err := one(ctx, tx, next, []any{t.App, t.Installation}, &due); err != nil || due == 0 {
			return err
		}
		return db.wake(ctx, tx, at(due), t.Lane)
	})
}

// Park leaves a lane alone until a time, because GitHub has asked for it. The
// turn that is under way should end.
func (db *DB) Park(ctx context.Context, l Lane, until time.Time) error {
	return db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.exec(ctx, `
			INSERT INTO lanes (work, app, installation, turn, due, taken, parked) VALUES ($1, $2, $3, 0, 0, 0, $4)
			ON CONFLICT (work, app, installation) DO UPDATE SET parked = excluded.parked`,
			l.Work, l.App, l.Installation, ms(until))
		return err
	})
}

// A job that is late by so much is made again. That of a run may have been
// lost with its worker, which after a while is certain; a lane says itself that
// it was taken, and one that was not waits in a queue that should not grow by
// it.
const (
	runOverdue  = jobTimeout + 30*time.Second
	laneOverdue = 10 * time.Minute
)

// Revive makes new jobs for what has stood still: lanes whose turn was taken
// by somebody who has not been heard of since, and lanes and runs whose job
// never came. It also says that this replica lives, and takes over the jobs of
// those that have not said so for a while. Call it every few seconds, on every
// replica.
func (db *DB) Revive(ctx context.Context) (revived int, err error) {
	if err := errors.Join(db.live(ctx), db.engine.adopt(ctx, db.now(), false)); err != nil {
		return 0, fmt.Errorf("revive jobs: %w", err)
	}
	err = db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		now := db.now()
		jobs, err := all(ctx, tx, func(r row) (river.InsertManyParams, error) {
			var s Step
			err := r.Scan(&s.Run, &s.Rev)
			return stepJob(s, now, now), err
		}, `UPDATE runs SET due = $1 WHERE due > 0 AND due < $2 RETURNING id, rev`, ms(now), ms(now.Add(-runOverdue)))
		if err != nil {
			return fmt.Errorf("revive runs: %w", err)
		}
		lanes, err := all(ctx, tx, func(r row) (river.InsertManyParams, error) {
			var t Turn
			err := r.Scan(&t.Work, &t.App, &t.Installation, &t.Number)
			return turnJob(t, now, now), err
		}, `UPDATE lanes SET turn = turn + 1, due = $1, taken = 0
			WHERE due > 0 AND (taken > 0 AND taken < $1 OR taken = 0 AND due < $2)
			RETURNING work, app, installation, turn`, ms(now), ms(now.Add(-laneOverdue)))
		if err != nil {
			return fmt.Errorf("revive lanes: %w", err)
		}
		jobs = append(jobs, lanes...)
		if revived = len(jobs); revived == 0 {
			return nil
		}
		return tx.enqueue(ctx, jobs)
	})
	return revived, err
}
