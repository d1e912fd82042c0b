package database

import (
	"context"
	"fmt"
	"time"
)

// Hold gives something that only one replica is to do, under a name, to who
// asks first, for a while; who has it may hold it on. It says whether who has
// it now. What a [DB.Replica] holds is free before, once that is taken for dead.
// A holder that is stopped for longer than that may find somebody else at its
// work: what is done under a lease must bear being done twice.
func (db *DB) Hold(ctx context.Context, name, who string, lease time.Duration) (held bool, err error) {
	err = db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		now := db.now()
		n, err := tx.exec(ctx, `
			INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE leases.holder = excluded.holder OR leases.until < $4 OR leases.holder LIKE $5
				AND NOT EXISTS (SELECT 1 FROM leases AS alive WHERE alive.name = leases.holder AND alive.until >= $4)`,
			name, who, ms(now.Add(lease)), ms(now), replicaPrefix+"%")
		held = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("hold %s: %w", name, err)
	}
	return held, nil
}

// A replica that has not called Revive for this long is taken for dead. Its
// name in River begins with the prefix.
const (
	replicaLease  = 20 * time.Second
	replicaPrefix = "clipper-"
)

// Replica names this one among those that share the database. It lives while
// its Queue does.
func (db *DB) Replica() string { return db.replica }

// live says that this replica lives.
func (db *DB) live(ctx context.Context) error {
	_, err := db.Hold(ctx, db.replica, db.replica, replicaLease)
	return err
}

// Yield gives up what who holds, if it does.
func (db *DB) Yield(ctx context.Context, name, who string) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.exec(ctx, `DELETE FROM leases WHERE name = $1 AND holder = $2`, name, who)
		return err
	})
	if err != nil {
		return fmt.Errorf("yield %s: %w", name, err)
	}
	return nil
}
