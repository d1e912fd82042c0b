package database

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/riverqueue/river"
)

// tables are what is copied: all columns but seq, which the other database
// gives anew, in the same order. Leases are of replicas that are gone.
var tables = []struct{ name, columns, order string }{
	{"deliveries", "app, guid, event, action, hook, installation, repository, full_name, sender, source, received, state, reason, attempt, due, size, body", "seq"},
	{"runs", "id, rule_key, event_key, rev, app, installation, repository, guid, state, group_name, place, due, created, ended, data", "seq"},
	{"run_groups", "app, repository, name, used", "name"},
	{"outbox", "run, channel, app, installation, desired, rev, sent, remote, due, hold, urgent, attempt, failure, asked", "run"},
	{"lanes", "work, app, installation, turn, due, taken, parked", "work"},
	{"schedules", "rule_key, app, installation, repository, due, data", "rule_key"},
	{"cursors", "name, value", "name"},
}

// copyBatch is how many rows are sent at a time.
const copyBatch = 100

// ErrNotEmpty is returned for a database that is to take a copy and has
// deliveries or runs.
var ErrNotEmpty = errors.New("it is not empty")

// Copied is how much was copied.
type Copied struct{ Deliveries, Runs int }

// Copy copies all rows into a database without deliveries and runs, all or
// none, and makes the jobs that belong to them there. Nobody else should write
// to either: open both as a server does. It fails with ErrInUse if replicas
// work on one of them that is PostgreSQL.
func Copy(ctx context.Context, from, to *DB) (Copied, error) {
	for _, db := range []*DB{from, to} {
		if err := db.idle(ctx); err != nil {
			return Copied{}, err
		}
	}
	copied := map[string]int{}
	err := to.engine.write(ctx, func(ctx context.Context, tx tx) error {
		var have int
		if _, err := one(ctx, tx, `SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM runs)`, nil, &have); err != nil {
			return err
		}
		if have > 0 {
			return fmt.Errorf("copy to %s: %w", to.name, ErrNotEmpty)
		}
		for _, t := range tables {
			if _, err := tx.exec(ctx, `DELETE FROM `+t.name); err != nil {
				return err
			}
			err := from.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
				copied[t.name], err = copyTable(ctx, q, tx, t.name, t.columns, t.order)
				return err
			})
			if err != nil {
				return fmt.Errorf("copy %s: %w", t.name, err)
			}
		}
		return to.rouse(ctx, tx)
	})
	if err != nil {
		return Copied{}, err
	}
	return Copied{copied["deliveries"], copied["runs"]}, nil
}

// idle says whether replicas work on a database that lets in several.
func (db *DB) idle(ctx context.Context) error {
	if _, shared := db.engine.(*postgres); !shared {
		return nil
	}
	var replicas int
	err := db.engine.read(ctx, func(ctx context.Context, q querier) error {
		_, err := one(ctx, q, `SELECT count(*) FROM leases WHERE name LIKE $1 AND until > $2`, []any{replicaPrefix + "%", ms(db.now())}, &replicas)
		return err
	})
	if err == nil && replicas > 0 {
		err = fmt.Errorf("%w: %d replicas work on %s, or did %s ago", ErrInUse, replicas, db.name, replicaLease)
	}
	return err
}

// copyTable returns how many rows there were.
func copyTable(ctx context.Context, from querier, to tx, table, columns, order string) (n int, err error) {
	width := strings.Count(columns, ",") + 1
	marks := make([]string, width)
	for i := range marks {
		marks[i] = "$" + strconv.Itoa(i+1)
	}
	insert := `INSERT INTO ` + table + ` (` + columns + `) VALUES (` + strings.Join(marks, ", ") + `)`
	var rows [][]any
	flush := func() error {
		_, err := to.execEach(ctx, insert, rows)
		rows = rows[:0]
		return err
	}
	bytes := 0
	err = from.each(ctx, func(r row) error {
		n++
		values, into := make([]any, width), make([]any, width)
		for i := range values {
			into[i] = &values[i]
		}
		if err := r.Scan(into...); err != nil {
			return err
		}
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				bytes += len(b)
			}
		}
		if rows = append(rows, values); len(rows) < copyBatch && bytes < maxBatchBytes {
			return nil
		}
		bytes = 0
		return flush()
	}, `SELECT `+columns+` FROM `+table+` ORDER BY `+order)
	if err != nil || len(rows) == 0 {
		return n, err
	}
	return n, flush()
}

// rouse makes a job for everything that has something to be done about it.
func (db *DB) rouse(ctx context.Context, tx tx) error {
	now := db.now()
	jobs, err := all(ctx, tx, func(r row) (river.InsertManyParams, error) {
		var t Turn
		var due int64
		err := r.Scan(&t.Work, &t.App, &t.Installation, &t.Number, &due)
		return turnJob(t, at(due), now), err
	}, `UPDATE lanes SET turn = turn + 1, taken = 0 WHERE due > 0 RETURNING work, app, installation, turn, due`)
	if err != nil {
		return err
	}
	steps, err := all(ctx, tx, func(r row) (river.InsertManyParams, error) {
		var s Step
		var due int64
		err := r.Scan(&s.Run, &s.Rev, &due)
		return stepJob(s, at(due), now), err
	}, `SELECT id, rev, due FROM runs WHERE due > 0`)
	if err != nil || len(jobs)+len(steps) == 0 {
		return err
	}
	return tx.enqueue(ctx, append(jobs, steps...))
}

// Backup writes a copy of a SQLite database to a new file, whole as of one
// moment, while a server uses the database. Of PostgreSQL it fails with
// ErrBackup.
func (db *DB) Backup(ctx context.Context, file string) error {
	if err := db.engine.backup(ctx, file); err != nil {
		return fmt.Errorf("back up to %s: %w", file, err)
	}
	return nil
}
