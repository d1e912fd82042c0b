package database

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// engine is one of the two databases. Statements are written once for both,
// with $1, $2, … for their arguments; times are milliseconds since 1970, and 0
// stands for none, so that nothing is NULL.
type engine interface {
	migrate(ctx context.Context) error
	// adopt gives back the jobs that dead servers of this database had taken.
	adopt(ctx context.Context, now time.Time, starting bool) error
	// write makes a transaction of f and commits it durably. f sees what was
	// committed before; it may be called again, if the database says so. If f
	// fails, none of it is kept.
	write(ctx context.Context, f func(context.Context, tx) error) error
	// read gives f one connection for reading, without a transaction.
	read(ctx context.Context, f func(context.Context, querier) error) error
	// queue makes a client of River that works.
	queue(c *river.Config) (Queue, error)
	backup(ctx context.Context, file string) error
	// committers is how many transactions of deliveries are worth to be
	// committed at a time.
	committers() int
	close() error
}

// querier reads.
type querier interface {
	// each calls f for every row of the result.
	each(ctx context.Context, f func(row) error, query string, args ...any) error
}

// row is what f may read of one.
type row interface{ Scan(into ...any) error }

// eachRow goes through a result, which its caller closes.
func eachRow(rows interface {
	row
	Next() bool
	Err() error
}, f func(row) error) error {
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tx is a transaction.
type tx interface {
	querier
	// exec returns how many rows the statement has changed.
	exec(ctx context.Context, query string, args ...any) (int64, error)
	// execEach runs one statement for each list of arguments.
	execEach(ctx context.Context, query string, args [][]any) (changed []int64, err error)
	// eachOf runs one query for each list of arguments, and calls f for every row
	// of the results, with the number of its list.
	eachOf(ctx context.Context, f func(int, row) error, query string, args [][]any) error
	// enqueue has River do jobs, once the transaction is committed.
	enqueue(ctx context.Context, jobs []river.InsertManyParams) error
}

// all collects the rows of a result.
func all[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	var list []T
	err := q.each(ctx, func(r row) error {
		v, err := scan(r)
		if err != nil {
			return err
		}
		list = append(list, v)
		return nil
	}, query, args...)
	return list, err
}

// one reads a result of at most one row, and says whether there is one.
func one(ctx context.Context, q querier, query string, args []any, into ...any) (found bool, err error) {
	err = q.each(ctx, func(r row) error {
		found = true
		return r.Scan(into...)
	}, query, args...)
	return found, err
}

// ms is how a time is stored.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the time that is stored as ms.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// blob is how bytes are stored that may be nil.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// truth is how a bool is stored.
func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
