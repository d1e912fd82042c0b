package database

import (
	"context"
	"fmt"
	"time"
)

// Health is how the database does.
type Health struct {
	// Undecided is how many deliveries wait for a decision, Oldest since when
	// the first does; zero if none.
	Undecided int
	Oldest    time.Time
	// Unsent is how many reports wait to be sent, Unended how many runs have not
	// ended.
	Unsent, Unended int
}

// Health writes a row, as proof that it can, and counts what waits.
func (db *DB) Health(ctx context.Context) (Health, error) { return db.health(ctx, condition{}) }

// HealthOf is Health that counts what is of some of an App's repositories alone;
// nil is all of them.
func (db *DB) HealthOf(ctx context.Context, app int64, repositories []int64) (Health, error) {
	var of condition
	of.equal("app", app, true)
	of.in("repository", repositories)
	return db.health(ctx, of)
}

// health counts what is of deliveries and runs, which have these columns alike.
func (db *DB) health(ctx context.Context, of condition) (h Health, err error) {
	err = db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		return setCursor(ctx, tx, "health", db.now().UTC().Format(time.RFC3339))
	})
	if err != nil {
		return Health{}, fmt.Errorf("write to the database: %w", err)
	}
	where := func(term string) string {
		return (&condition{terms: append([]string{term}, of.terms...)}).String()
	}
	unsent := `SELECT count(*) FROM outbox WHERE due > 0`
	if len(of.terms) > 0 {
		unsent += ` AND EXISTS (SELECT 1 FROM runs` + where("id = outbox.run") + `)`
	}
	err = db.engine.read(ctx, func(ctx context.Context, q querier) error {
		var oldest int64
		if _, err := one(ctx, q, `SELECT count(*), coalesce(min(received), 0) FROM deliveries`+where("due > 0"), of.args, &h.Undecided, &oldest); err != nil {
			return err
		}
		h.Oldest = at(oldest)
		if _, err := one(ctx, q, unsent, of.args, &h.Unsent); err != nil {
			return err
		}
		_, err := one(ctx, q, `SELECT count(*) FROM runs`+where(fmt.Sprintf("place < %d", placeOver)), of.args, &h.Unended)
		return err
	})
	if err != nil {
		return Health{}, fmt.Errorf("read the database: %w", err)
	}
	return h, nil
}
