package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// SQLite compiles a statement whenever it is run, unless it is kept, and that
// is half of the work of a small one. The statements here and River's are few,
// and all run on one connection, which keeps them.

// maxPrepared is how many a connection keeps. If more come, it begins anew.
const maxPrepared = 200

// openPrepared opens a pool whose connections keep their statements.
func openPrepared(dsn string) (*sql.DB, error) {
	plain, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	defer plain.Close() // which never had a connection
	return sql.OpenDB(connector{plain.Driver(), dsn}), nil
}

type connector struct {
	driver driver.Driver
	dsn    string
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &keeper{conn.(plainConn), map[string]*prepared{}}, nil
}

// plainConn is what the driver's connections can do, and database/sql uses.
type plainConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// keeper is a connection that keeps statements. It is not safe for concurrent
// use, as none is.
type keeper struct {
	plainConn
	kept map[string]*prepared
}

// prepared is a statement; busy while its rows are being read.
type prepared struct {
	driver.Stmt
	busy, kept bool
}

// use returns a statement that nobody uses, to be released.
func (k *keeper) use(ctx context.Context, query string) (*prepared, error) {
	if p := k.kept[query]; p != nil && !p.busy {
		p.busy = true
		return p, nil
	}
	s, err := k.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p := &prepared{Stmt: s, busy: true, kept: k.kept[query] == nil}
	if p.kept {
		if len(k.kept) >= maxPrepared {
			if err := k.forget(); err != nil {
				return nil, errors.Join(err, s.Close())
			}
		}
		k.kept[query] = p
	}
	return p, nil
}

func (p *prepared) release() error {
	if p.busy = false; p.kept {
		return nil
	}
	return p.Stmt.Close()
}

// forget closes what is kept, now or when it is released.
func (k *keeper) forget() error {
	var errs []error
	for query, p := range k.kept {
		if p.kept = false; !p.busy {
			errs = append(errs, p.Stmt.Close())
		}
		delete(k.kept, query)
	}
	return errors.Join(errs...)
}

func (k *keeper) Close() error { return errors.Join(k.forget(), k.plainConn.Close()) }

// ExecContext runs a statement without a result.
func (k *keeper) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	p, err := k.use(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := p.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	return result, errors.Join(err, p.release())
}

// QueryContext runs one with a result, whose Close releases it.
func (k *keeper) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	p, err := k.use(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := p.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, p.release())
	}
	return &keptRows{rows, p}, nil
}

type keptRows struct {
	driver.Rows
	p *prepared
}

func (r *keptRows) Close() error { return errors.Join(r.Rows.Close(), r.p.release()) }
