package database

import (
	"context"
	"fmt"
)

// Cursor is a value kept under a name, "" if there is none.
func (db *DB) Cursor(ctx context.Context, name string) (value string, err error) {
	err = db.engine.read(ctx, func(ctx context.Context, q querier) error {
		_, err := one(ctx, q, `SELECT value FROM cursors WHERE name = $1`, []any{name}, &value)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cursor %s: %w", name, err)
	}
	return value, nil
}

// SetCursor keeps a value under a name; "" forgets the one that is there.
func (db *DB) SetCursor(ctx context.Context, name, value string) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error { return setCursor(ctx, tx, name, value) })
	if err != nil {
		return fmt.Errorf("set cursor %s: %w", name, err)
	}
	return nil
}

func setCursor(ctx context.Context, tx tx, name, value string) error {
	if value == "" {
		_, err := tx.exec(ctx, `DELETE FROM cursors WHERE name = $1`, name)
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO cursors (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}
