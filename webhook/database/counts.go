package database

import (
	"context"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// Counts are figures of what is under way. What is done is not counted again:
// there is much of it.
type Counts struct {
	// Deliveries are those that wait for a decision, by their states; Oldest is
	// since when the first does, zero if none.
	Deliveries map[DeliveryState]int
	Oldest     time.Time
	// Runs are those that have not ended.
	Runs map[webhook.State]int
	// Unsent is how many reports wait to be sent.
	Unsent int
}

// Counts counts, and writes nothing.
func (db *DB) Counts(ctx context.Context) (Counts, error) {
	c := Counts{Deliveries: map[DeliveryState]int{}, Runs: map[webhook.State]int{}}
	err := db.engine.read(ctx, func(ctx context.Context, q querier) error {
		var oldest int64
		if _, err := one(ctx, q, `SELECT coalesce(min(received), 0) FROM deliveries WHERE due > 0`, nil, &oldest); err != nil {
			return err
		}
		c.Oldest = at(oldest)
		if _, err := one(ctx, q, `SELECT count(*) FROM outbox WHERE due > 0`, nil, &c.Unsent); err != nil {
			return err
		}
		if err := count(ctx, q, c.Deliveries, `SELECT state, count(*) FROM deliveries WHERE due > 0 GROUP BY state`); err != nil {
			return err
		}
		return count(ctx, q, c.Runs, `SELECT state, count(*) FROM runs WHERE place < $1 GROUP BY state`, placeOver)
	})
	if err != nil {
		return Counts{}, fmt.Errorf("read the database: %w", err)
	}
	return c, nil
}

// count fills counts with those of a query.
func count[S ~string](ctx context.Context, q querier, counts map[S]int, query string, args ...any) error {
	_, err := all(ctx, q, func(r row) (struct{}, error) {
		var state string
		var n int
		err := r.Scan(&state, &n)
		counts[S(state)] = n
		return struct{}{}, err
	}, query, args...)
	return err
}
