package database

import (
	"context"
	"fmt"
	"time"
)

// Keep is how long deliveries and runs are kept at least: longer than GitHub
// delivers one again, since what is forgotten is new when it comes again.
const Keep = 8 * 24 * time.Hour

// pruneBatch is how many rows are deleted in a transaction that others wait
// for.
const pruneBatch = 500

// Prune deletes what is older than keep, or than Keep if that is longer:
// deliveries that were decided about, and runs that are over with what was
// shown of them.
func (db *DB) Prune(ctx context.Context, keep time.Duration) (deleted int64, err error) {
	before := ms(db.now().Add(-max(keep, Keep)))
	for _, batch := range []func(context.Context, tx, int64) (int64, error){pruneDeliveries, pruneRuns, pruneGroups, pruneLeases} {
		for n := int64(pruneBatch); n == pruneBatch; deleted += n {
			err := db.engine.write(ctx, func(ctx context.Context, tx tx) (err error) {
				n, err = batch(ctx, tx, before)
				return err
			})
			if err != nil {
				return deleted, fmt.Errorf("prune: %w", err)
			}
		}
	}
	return deleted, nil
}

func pruneDeliveries(ctx context.Context, tx tx, before int64) (int64, error) {
	return tx.exec(ctx, `
		DELETE FROM deliveries WHERE seq IN (
			SELECT seq FROM deliveries WHERE received < $1 AND due = 0 ORDER BY received LIMIT $2)`, before, pruneBatch)
}

func pruneRuns(ctx context.Context, tx tx, before int64) (int64, error) {
	ids, err := all(ctx, tx, func(r row) ([]any, error) {
		var id string
		err := r.Scan(&id)
		return []any{id}, err
	}, `DELETE FROM runs WHERE seq IN (
			SELECT seq FROM runs WHERE place = $1 AND ended < $2 ORDER BY ended LIMIT $3) RETURNING id`, placeOver, before, pruneBatch)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	_, err = tx.execEach(ctx, `DELETE FROM outbox WHERE run = $1`, ids)
	return int64(len(ids)), err
}

func pruneGroups(ctx context.Context, tx tx, before int64) (int64, error) {
	return tx.exec(ctx, `
		DELETE FROM run_groups WHERE (app, repository, name) IN (
			SELECT app, repository, name FROM run_groups AS g WHERE used < $1 AND NOT EXISTS (
				SELECT 1 FROM runs WHERE app = g.app AND repository = g.repository AND group_name = g.name AND group_name <> '' AND place < 3)
			LIMIT $2)`, before, pruneBatch)
}

func pruneLeases(ctx context.Context, tx tx, before int64) (int64, error) {
	_, err := tx.exec(ctx, `DELETE FROM leases WHERE until < $1`, before)
	return 0, err
}
