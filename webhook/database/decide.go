package database

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// Undecided are the installation's deliveries that are due, the first stored
// first, with their bodies: at most so many, and beyond the first at most 32 MB
// of bodies. One whose body is damaged has none, and the reason says so.
func (db *DB) Undecided(ctx context.Context, l Lane, limit int) ([]Record, error) {
	var list []Record
	err := db.engine.read(ctx, func(ctx context.Context, q querier) error {
		var bodies [][]byte
		var err error
		list, err = all(ctx, q, func(r row) (rec Record, err error) {
			var received, due int64
			var packed []byte
			err = r.Scan(append(rec.fields(&received, &due), &packed)...)
			rec.Received, rec.Due = at(received), at(due)
			bodies = append(bodies, packed)
			return rec, err
		}, `
			SELECT `+recordColumns+`, CASE WHEN size > `+strconv.Itoa(largeBody)+` THEN NULL ELSE body END FROM deliveries
			WHERE app = $1 AND installation = $2 AND due > 0 AND due <= $3 ORDER BY seq LIMIT $4`,
			l.App, l.Installation, ms(db.now()), limit)
		if err != nil {
			return err
		}
		total := int64(0)
		for i, rec := range list {
			if total += rec.Size; total > 32<<20 && i > 0 {
				list = list[:i]
				break
			}
			if rec.Size > largeBody {
				if _, err := one(ctx, q, `SELECT body FROM deliveries WHERE seq = $1`, []any{rec.Seq}, &bodies[i]); err != nil {
					return err
				}
			}
			if list[i].Body, err = unpack(bodies[i], rec.Size); err != nil {
				list[i].Reason = err.Error()
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("undecided deliveries: %w", err)
	}
	return list, nil
}

// largeBody is the size of a body that is read alone, lest there be many of them
// in memory.
const largeBody = 256 << 10

// NewRun is a run to be stored, and what is to be shown of it.
type NewRun struct {
	webhook.Run
	Desires []Desire
}

// Decided stores what was decided about a delivery, all of it or nothing: its
// runs, or none for the reason. Of a rule and event that have a run already,
// nothing is stored. It returns the IDs of the runs that are new, and fails with
// ErrMoved for a delivery that somebody else has decided about.
func (db *DB) Decided(ctx context.Context, app int64, guid, reason string, runs ...NewRun) (fresh []string, err error) {
	err = db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := tx.exec(ctx, updateDecided, app, guid, string(Decision{Runs: runs}.state()), note(reason))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrMoved
		}
		fresh, err = db.insertRuns(ctx, tx, runs)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("decide about delivery %s: %w", guid, err)
	}
	return fresh, nil
}

// Decision is what was decided about a delivery: its runs, or none for the
// reason.
type Decision struct {
	GUID, Reason string
	Runs         []NewRun
}

// DecidedAll is Decided for several of an App's deliveries in one commit, which
// costs little more than one of them. Those that somebody else has decided
// about are left out.
func (db *DB) DecidedAll(ctx context.Context, app int64, decisions []Decision) error {
	if len(decisions) == 0 {
		return nil
	}
	// Two who decide about the same wait for each other only in one order; runs
	// keep theirs.
	order := slices.SortedFunc(slices.Values(decisions), func(a, b Decision) int { return cmp.Compare(a.GUID, b.GUID) })
	rows := make([][]any, len(order))
	for i, d := range order {
		rows[i] = []any{app, d.GUID, string(d.state()), note(d.Reason)}
	}
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		changed, err := tx.execEach(ctx, updateDecided, rows)
		if err != nil {
			return err
		}
		ours := map[string]bool{}
		for i, d := range order {
			ours[d.GUID] = changed[i] > 0
		}
		var runs []NewRun
		for _, d := range decisions {
			if ours[d.GUID] {
				runs = append(runs, d.Runs...)
			}
		}
		_, err = db.insertRuns(ctx, tx, runs)
		return err
	})
	if err != nil {
		return fmt.Errorf("decide about %d deliveries: %w", len(decisions), err)
	}
	return nil
}

func (d Decision) state() DeliveryState {
	if len(d.Runs) == 0 {
		return Ignored
	}
	return Matched
}

const updateDecided = `UPDATE deliveries SET state = $3, reason = $4, due = 0 WHERE app = $1 AND guid = $2 AND due > 0`

// Undecide stores that a decision failed and when it is tried again; at the
// zero time it is not. It fails with ErrMoved for a delivery that somebody else
// has decided about.
func (db *DB) Undecide(ctx context.Context, app int64, guid, reason string, again time.Time) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		state := Failed
		if again.IsZero() {
			state = Dead
		}
		lane := Lane{Work: Decide, App: app}
		found, err := one(ctx, tx, `
			UPDATE deliveries SET state = $3, reason = $4, due = $5, attempt = attempt + 1
			WHERE app = $1 AND guid = $2 AND due > 0 RETURNING installation`,
			[]any{app, guid, string(state), note(reason), ms(again)}, &lane.Installation)
		if err != nil {
			return err
		}
		if !found {
			return ErrMoved
		}
		if again.IsZero() {
			return nil
		}
		return db.wake(ctx, tx, again, lane)
	})
	if err != nil {
		return fmt.Errorf("put off delivery %s: %w", guid, err)
	}
	return nil
}
