package database

import (
	"context"
	"fmt"
)

// migrations bring the tables from one version to the next, in SQLite's
// words; postgres.go has the few that PostgreSQL calls otherwise. One that was
// released is never changed.
var migrations = [][]string{{
	// What GitHub sent. seq is the order in which it was stored; due is when
	// somebody is to decide about it, 0 for never again.
	`CREATE TABLE deliveries (
		seq INTEGER PRIMARY KEY,
		app INTEGER NOT NULL,
		guid TEXT NOT NULL,
		event TEXT NOT NULL,
		action TEXT NOT NULL,
		hook INTEGER NOT NULL,
		installation INTEGER NOT NULL,
		repository INTEGER NOT NULL,
		full_name TEXT NOT NULL,
		sender TEXT NOT NULL,
		source TEXT NOT NULL,
		received INTEGER NOT NULL,
		state TEXT NOT NULL,
		reason TEXT NOT NULL,
		attempt INTEGER NOT NULL,
		due INTEGER NOT NULL,
		size INTEGER NOT NULL,
		body BLOB NOT NULL,
		UNIQUE (guid, app)
	)`,
	`CREATE INDEX deliveries_due ON deliveries (app, installation, seq, due, received) WHERE due > 0`,
	`CREATE INDEX deliveries_received ON deliveries (received)`,
	`CREATE INDEX deliveries_repository ON deliveries (repository, seq)`,

	// What follows from them. data is the run; the columns are what is searched
	// for, taken from it. place is that in the concurrency group.
	`CREATE TABLE runs (
		seq INTEGER PRIMARY KEY,
		id TEXT NOT NULL UNIQUE,
		rule_key TEXT NOT NULL,
		event_key TEXT NOT NULL,
		rev INTEGER NOT NULL,
		app INTEGER NOT NULL,
		installation INTEGER NOT NULL,
		repository INTEGER NOT NULL,
		guid TEXT NOT NULL,
		state TEXT NOT NULL,
		group_name TEXT NOT NULL,
		place INTEGER NOT NULL,
		due INTEGER NOT NULL,
		created INTEGER NOT NULL,
		ended INTEGER NOT NULL,
		data BLOB NOT NULL,
		UNIQUE (rule_key, event_key)
	)`,
	`CREATE INDEX runs_due ON runs (due) WHERE due > 0`,
	`CREATE INDEX runs_group ON runs (app, repository, group_name, seq) WHERE place < 3 AND group_name <> ''`,
	`CREATE INDEX runs_place ON runs (place, ended)`,
	`CREATE INDEX runs_repository ON runs (repository, seq)`,
	`CREATE INDEX runs_delivery ON runs (guid)`,

	// A row to hold while the runs of a group are looked at.
	`CREATE TABLE run_groups (
		app INTEGER NOT NULL,
		repository INTEGER NOT NULL,
		name TEXT NOT NULL,
		used INTEGER NOT NULL,
		PRIMARY KEY (app, repository, name)
	)`,

	// What other places are to show of a run. rev is that of desired, sent the
	// last one that they have; remote is their name for it. hold is until when
	// what is not urgent waits.
	`CREATE TABLE outbox (
		run TEXT NOT NULL,
		channel TEXT NOT NULL,
		app INTEGER NOT NULL,
		installation INTEGER NOT NULL,
		desired BLOB NOT NULL,
		rev INTEGER NOT NULL,
		sent INTEGER NOT NULL,
		remote TEXT NOT NULL,
		due INTEGER NOT NULL,
		hold INTEGER NOT NULL,
		urgent INTEGER NOT NULL,
		attempt INTEGER NOT NULL,
		failure TEXT NOT NULL,
		PRIMARY KEY (run, channel)
	)`,
	`CREATE INDEX outbox_due ON outbox (app, installation, due) WHERE due > 0`,

	// One installation's work of one kind. turn is the number of the job that
	// may do it, due when; taken is until when the one who has it is believed
	// to live, parked until when nobody is to begin.
	`CREATE TABLE lanes (
		work TEXT NOT NULL,
		app INTEGER NOT NULL,
		installation INTEGER NOT NULL,
		turn INTEGER NOT NULL,
		due INTEGER NOT NULL,
		taken INTEGER NOT NULL,
		parked INTEGER NOT NULL,
		PRIMARY KEY (work, app, installation)
	)`,

	`CREATE TABLE schedules (
		rule_key TEXT PRIMARY KEY,
		app INTEGER NOT NULL,
		installation INTEGER NOT NULL,
		repository INTEGER NOT NULL,
		due INTEGER NOT NULL,
		data BLOB NOT NULL
	)`,
	`CREATE INDEX schedules_due ON schedules (due)`,
	`CREATE INDEX schedules_repository ON schedules (app, repository)`,

	`CREATE TABLE cursors (
		name TEXT PRIMARY KEY,
		value TEXT NOT NULL
	)`,

	`CREATE TABLE leases (
		name TEXT PRIMARY KEY,
		holder TEXT NOT NULL,
		until INTEGER NOT NULL
	)`,
}, {
	// When another place was asked to show a run first, and has not been heard of
	// since; 0 is that nothing is on its way.
	`ALTER TABLE outbox ADD COLUMN asked INTEGER NOT NULL DEFAULT 0`,
}}

// createVersion makes the table that says at which version the others are.
const createVersion = `CREATE TABLE IF NOT EXISTS clipper_version (version INTEGER NOT NULL)`

// checkVersion says whether the tables are those that this program knows, where
// it does not bring them up to date.
func checkVersion(ctx context.Context, q querier) error {
	var have int
	if _, err := one(ctx, q, `SELECT coalesce(max(version), 0) FROM clipper_version`, nil, &have); err != nil {
		return fmt.Errorf("%w: %w", ErrTables, err)
	}
	if have != len(migrations) {
		return fmt.Errorf("%w: they are at version %d, and it knows %d", ErrTables, have, len(migrations))
	}
	return nil
}

// migrateIn does it in one transaction; ddl puts a statement into the
// database's words.
func migrateIn(ctx context.Context, tx tx, ddl func(string) string) error {
	if _, err := tx.exec(ctx, ddl(createVersion)); err != nil {
		return err
	}
	var have int
	if _, err := one(ctx, tx, `SELECT coalesce(max(version), 0) FROM clipper_version`, nil, &have); err != nil {
		return err
	}
	if have > len(migrations) {
		return fmt.Errorf("they are at version %d, and this program knows %d: use a newer one", have, len(migrations))
	}
	for i, steps := range migrations[have:] {
		for _, step := range steps {
			if _, err := tx.exec(ctx, ddl(step)); err != nil {
				return fmt.Errorf("version %d: %w", have+i+1, err)
			}
		}
		if _, err := tx.exec(ctx, `INSERT INTO clipper_version (version) VALUES ($1)`, have+i+1); err != nil {
			return err
		}
	}
	return nil
}
