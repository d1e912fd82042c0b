// Package database is what the service remembers: deliveries, the runs that
// follow from them, what is to be shown on GitHub, schedules and cursors. It is
// one SQLite file for a single machine, or PostgreSQL for any number of
// replicas; whoever calls it cannot tell which.
//
// In come values of package webhook, out come the same. What it promises:
//
//   - What a method returned without an error for is on the disk.
//   - A delivery is kept once for its App and GUID, a run once for its rule and
//     event, whoever asks and however often.
//   - A row that has something to be done about it has a time, and River has a
//     job for that time since the same transaction. The job names the row and a
//     number that goes up; a job whose number is old does nothing. So jobs may
//     be doubled, late or void, and rows are the truth: nothing refers to a job.
//   - Of a run, whoever knows its last revision may store the next one. The
//     others are told ErrMoved.
//
// What differs between the two databases is in sqlite.go and postgres.go.
package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

var (
	// ErrNotFound is returned for a delivery, run or schedule that is not
	// there.
	ErrNotFound = errors.New("not found")
	// ErrMoved is returned where somebody else was faster: the row is no longer
	// as the caller knows it.
	ErrMoved = errors.New("it has moved on")
	// ErrBusy is returned for a run that cannot start yet, because another one
	// of its concurrency group has the place or comes first. It gets a Step
	// when it is its turn.
	ErrBusy = errors.New("its concurrency group is busy")
	// ErrInUse is returned by Open for a file that another server has open, and
	// by Copy for a database that one works on.
	ErrInUse = errors.New("the database is in use by another server")
	// ErrTables is returned by Open for a database that is opened beside its
	// server and has other tables than this program knows, or none.
	ErrTables = errors.New("the tables are not those of this program's version")
	// ErrClosed is returned once Close was called.
	ErrClosed = errors.New("the database is closed")

	errReadOnly = errors.New("the database is open for reading only")
	errBeside   = errors.New("the database is open beside its server, whose work it is")
)

// Options are for Open. The zero value is a server's.
type Options struct {
	// ReadOnly opens a database beside the server that has it, to look at it and
	// to back it up. It has to be there.
	ReadOnly bool
	// Beside opens one that is there as ReadOnly does, and to write, for a
	// command of the operator's: what that writes, the server finds. There is no
	// Queue of it.
	Beside bool
	// Log gets what River warns of. The default is slog.Default.
	Log *slog.Logger
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	engine engine
	inbox  *committer // nil if read-only
	now    func() time.Time
	name   string // for messages: a URL has a password in it
	beside bool
	// replica is what River calls the client that works here, and the name of
	// the lease that says it lives.
	replica string
}

// Open opens a database, a file or a postgres:// URL, and brings its tables up
// to date. A file's directory must be on a local disk. The caller closes it.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	db := &DB{now: o.Now, name: url, beside: o.Beside, replica: replicaPrefix + rand.Text()}
	var err error
	if isPostgres(url) {
		db.name = "PostgreSQL"
		db.engine, err = openPostgres(ctx, url, o)
	} else {
		db.engine, err = openSQLite(ctx, url, o)
	}
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", db.name, err)
	}
	if o.ReadOnly || o.Beside {
		if err := db.engine.read(ctx, checkVersion); err != nil {
			return nil, errors.Join(fmt.Errorf("open the database %s: %w", db.name, err), db.engine.close())
		}
		if o.Beside {
			db.inbox = newCommitter(db)
		}
		return db, nil
	}
	if err := db.engine.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("bring the tables of %s up to date: %w", db.name, err), db.engine.close())
	}
	if err := db.engine.adopt(ctx, db.now(), true); err != nil {
		return nil, errors.Join(fmt.Errorf("adopt the work of the server before: %w", err), db.engine.close())
	}
	db.inbox = newCommitter(db)
	return db, nil
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// Close waits for what is being written and closes the database. Whoever comes
// after gets ErrClosed.
func (db *DB) Close() error {
	if db.inbox != nil {
		db.inbox.close()
	}
	return db.engine.close()
}
