package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// Desire is what another place is to show of a run: all of it, not what has
// changed, so that of many only the last needs to be sent.
type Desire struct {
	// Channel is the place: "check", "deployment", "comment"….
	Channel string
	State   json.RawMessage
	// Urgent is sent at once, even if something was sent a moment ago.
	Urgent bool
}

// Item is a desire that is to be sent.
type Item struct {
	Run          string
	Channel      string
	App          int64
	Installation int64
	State        json.RawMessage
	Rev          int64 // of State
	// Remote is the place's own name for what shows the run, "" if there is
	// none yet.
	Remote string
	// Attempt counts failures since it was last sent, Failure is the last one.
	Attempt int
	Failure string
	// Asked is when the place was asked to make what shows the run, of which it
	// has not said that it did; zero if it was not.
	Asked time.Time
}

const itemColumns = `run, channel, app, installation, desired, rev, remote, attempt, failure, asked`

func scanItem(r row) (i Item, err error) {
	var state []byte
	var asked int64
	err = r.Scan(&i.Run, &i.Channel, &i.App, &i.Installation, &state, &i.Rev, &i.Remote, &i.Attempt, &i.Failure, &asked)
	i.State, i.Asked = state, at(asked)
	return i, err
}

// desire stores what is to be shown, and wakes the lane that sends it. What is
// desired already changes nothing.
func (db *DB) desire(ctx context.Context, tx tx, run webhook.Run, desires []Desire) error {
	now := ms(db.now())
	for _, d := range desires {
		var due int64
		changed, err := one(ctx, tx, `
			INSERT INTO outbox (run, channel, app, installation, desired, rev, sent, remote, due, hold, urgent, attempt, failure)
			VALUES ($1, $2, $3, $4, $5, 1, 0, '', $6, 0, $7, 0, '')
			ON CONFLICT (run, channel) DO UPDATE SET
				desired = excluded.desired, rev = outbox.rev + 1,
				urgent = CASE WHEN excluded.urgent = 1 THEN 1 ELSE outbox.urgent END,
				due = CASE WHEN outbox.hold > excluded.due AND excluded.urgent = 0 AND outbox.urgent = 0 THEN outbox.hold ELSE excluded.due END
			WHERE outbox.desired <> excluded.desired RETURNING due`,
			[]any{run.ID, d.Channel, run.App, run.Installation, blob(d.State), now, truth(d.Urgent)}, &due)
		if err != nil {
			return fmt.Errorf("desire %s of run %s: %w", d.Channel, run.ID, err)
		}
		if !changed {
			continue
		}
		if err := db.wake(ctx, tx, at(due), Lane{Report, run.App, run.Installation}); err != nil {
			return err
		}
	}
	return nil
}

// Unsent are the installation's desires that are due, those first that have
// waited longest, at most so many.
func (db *DB) Unsent(ctx context.Context, l Lane, limit int) ([]Item, error) {
	var items []Item
	err := db.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
		items, err = all(ctx, q, scanItem, `
			SELECT `+itemColumns+` FROM outbox WHERE app = $1 AND installation = $2 AND due > 0 AND due <= $3 ORDER BY due LIMIT $4`,
			l.App, l.Installation, ms(db.now()), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return items, nil
}

// Shown are the desires of a run, sent or not.
func (db *DB) Shown(ctx context.Context, run string) ([]Item, error) {
	var items []Item
	err := db.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
		items, err = all(ctx, q, scanItem, `SELECT `+itemColumns+` FROM outbox WHERE run = $1 ORDER BY channel`, run)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the outbox of run %s: %w", run, err)
	}
	return items, nil
}

// Ask stores that the place is about to be asked to make what shows the run:
// whoever finds nothing there soon after does not know that there will be
// nothing.
func (db *DB) Ask(ctx context.Context, i Item) error {
	return db.settle(ctx, i, `UPDATE outbox SET asked = $3 WHERE run = $1 AND channel = $2`, ms(db.now()))
}

// PutOff leaves an item alone until a time.
func (db *DB) PutOff(ctx context.Context, i Item, until time.Time) error {
	return db.settle(ctx, i, `UPDATE outbox SET due = $3 WHERE run = $1 AND channel = $2 AND due > 0 AND due < $3`, ms(until))
}

// Sent stores that an item was sent, and the name that the place has for it.
// What was desired meanwhile, or is from now on, is sent at the earliest at
// hold, unless it is urgent.
func (db *DB) Sent(ctx context.Context, i Item, remote string, hold time.Time) error {
	now := ms(db.now())
	return db.settle(ctx, i, `
		UPDATE outbox SET sent = $3, remote = $4, hold = $5, attempt = 0, failure = '', asked = 0,
			urgent = CASE WHEN rev = $3 THEN 0 ELSE urgent END,
			due = CASE WHEN rev = $3 THEN 0 WHEN urgent = 1 THEN CAST($6 AS BIGINT) ELSE CAST($7 AS BIGINT) END
		WHERE run = $1 AND channel = $2 AND sent < $3`, i.Rev, remote, ms(hold), now, max(now, ms(hold)))
}

// Refused stores that an item could not be sent, why, and when to try again.
// The zero time is when something else is desired.
func (db *DB) Refused(ctx context.Context, i Item, reason string, again time.Time) error {
	return db.settle(ctx, i, `
		UPDATE outbox SET failure = $4, attempt = attempt + 1, due = CASE WHEN rev = $3 OR due = 0 THEN $5 ELSE due END
		WHERE run = $1 AND channel = $2`, i.Rev, note(reason), ms(again))
}

// settle changes an item's row while its lane has the turn, whose end looks for
// what is due then.
func (db *DB) settle(ctx context.Context, i Item, query string, args ...any) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.exec(ctx, query, append([]any{i.Run, i.Channel}, args...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("settle %s of run %s: %w", i.Channel, i.Run, err)
	}
	return nil
}
