package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"
)

// sqlite is a file. Its one writing connection is River's too: SQLite has one
// writer at a time, and those who wait in Go wait in turn, while those who
// wait in SQLite sleep and try again.
type sqlite struct {
	path   string
	lock   *os.File // nil if read-only
	writes *sql.DB  // of one connection; nil if read-only
	reads  *sql.DB
	jobs   *river.Client[*sql.Tx]

	ops    chan *op
	closed chan struct{}
	once   sync.Once
	wait   sync.WaitGroup
}

func openSQLite(_ context.Context, path string, o Options) (_ *sqlite, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &sqlite{path: path, ops: make(chan *op), closed: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	switch {
	case o.ReadOnly, o.Beside:
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	default:
		if err := s.own(); err != nil {
			return nil, err
		}
	}
	if !o.ReadOnly {
		if err := s.openWriter(o); err != nil {
			return nil, err
		}
	}
	s.reads, err = sql.Open("sqlite", dsn(path, "mode=ro", "_pragma=busy_timeout(10000)"))
	if err != nil {
		return nil, err
	}
	s.reads.SetMaxOpenConns(4)
	return s, nil
}

// own has no other server open the file, and makes it. The lock is not against
// who writes beside the server, in transactions, which SQLite keeps apart: it
// is because a server takes over all jobs that are under way.
func (s *sqlite) own() error {
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return ErrInUse
		}
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	// Private repositories speak in there.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(s.path))
}

func (s *sqlite) openWriter(o Options) (err error) {
	s.writes, err = openPrepared(dsn(s.path, "mode=rw", "_txlock=immediate", "_pragma=busy_timeout(10000)",
		"_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=journal_size_limit(67108864)"))
	if err != nil {
		return err
	}
	s.writes.SetMaxOpenConns(1)
	s.jobs, err = river.NewClient(riversqlite.New(s.writes), inserter(o.Log))
	if err != nil {
		return err
	}
	s.wait.Go(s.commit)
	return nil
}

func dsn(path string, parameters ...string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?" + strings.Join(parameters, "&")
}

func (s *sqlite) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(riversqlite.New(s.writes), nil)
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx tx) error {
		return migrateIn(ctx, tx, func(statement string) string { return statement })
	})
}

// adopt knows at the start that whoever had taken a job or held a lease is dead:
// the lock is ours. River would wait for minutes, and for the end of the dead
// leader's term.
func (s *sqlite) adopt(ctx context.Context, _ time.Time, starting bool) error {
	if !starting {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx tx) error {
		if _, err := tx.exec(ctx, `UPDATE river_job SET state = 'available', attempt = max(attempt - 1, 0) WHERE state = 'running'`); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM leases`); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `DELETE FROM river_leader`)
		return err
	})
}

func (s *sqlite) committers() int { return 1 }

func (s *sqlite) queue(c *river.Config) (Queue, error) {
	return river.NewClient(riversqlite.New(s.writes), c)
}

func (s *sqlite) read(ctx context.Context, f func(context.Context, querier) error) error {
	c, err := s.reads.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, sqliteConn{c})
}

// backup has SQLite write a whole and compact copy, while others read and
// write.
func (s *sqlite) backup(ctx context.Context, file string) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(file)
		}
	}()
	if _, err := s.reads.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return err
	}
	return errors.Join(f.Sync(), syncDir(file))
}

// syncDir makes sure that a new file is found after a power cut.
func syncDir(file string) error {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (s *sqlite) close() error {
	s.once.Do(func() { close(s.closed) })
	s.wait.Wait()
	var errs []error
	for _, pool := range []*sql.DB{s.reads, s.writes} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// sqliteConn reads through a connection or a transaction.
type sqliteConn struct {
	c interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (c sqliteConn) each(ctx context.Context, f func(row) error, query string, args ...any) error {
	rows, err := c.c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return eachRow(rows, f)
}

type sqliteTx struct {
	sqliteConn
	t    *sql.Tx
	jobs *river.Client[*sql.Tx]
}

func (t sqliteTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t sqliteTx) execEach(ctx context.Context, query string, args [][]any) ([]int64, error) {
	statement, err := t.t.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	changed := make([]int64, len(args))
	for i, args := range args {
		result, err := statement.ExecContext(ctx, args...)
		if err != nil {
			return nil, err
		}
		if changed[i], err = result.RowsAffected(); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

func (t sqliteTx) eachOf(ctx context.Context, f func(int, row) error, query string, args [][]any) error {
	for i, args := range args {
		if err := t.each(ctx, func(r row) error { return f(i, r) }, query, args...); err != nil {
			return err
		}
	}
	return nil
}

func (t sqliteTx) enqueue(ctx context.Context, jobs []river.InsertManyParams) error {
	_, err := t.jobs.InsertManyFastTx(ctx, t.t, jobs)
	return err
}
