package database

import (
	"context"
	"errors"
)

// maxGroup is how many transactions of callers may share one commit.
const maxGroup = 64

// op is a transaction of a caller's, to be committed together with others.
type op struct {
	ctx  context.Context
	f    func(context.Context, tx) error
	done chan error
}

// write waits for a commit that others share. Once the writer has f, ctx does
// not end the waiting: f may be at work.
func (s *sqlite) write(ctx context.Context, f func(context.Context, tx) error) error {
	if s.writes == nil {
		return errReadOnly
	}
	o := &op{ctx: ctx, f: f, done: make(chan error, 1)}
	select {
	case s.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return ErrClosed
	}
	return <-o.done
}

// commit is the writer: it commits what has gathered while it committed before.
func (s *sqlite) commit() {
	for {
		var group []*op
		select {
		case o := <-s.ops:
			group = append(group, o)
		case <-s.closed:
			return
		}
		for more := true; more && len(group) < maxGroup; {
			select {
			case o := <-s.ops:
				group = append(group, o)
			default:
				more = false
			}
		}
		errs := make([]error, len(group))
		if err := s.transact(group, errs); err != nil {
			for i := range errs {
				errs[i] = errors.Join(errs[i], err)
			}
		}
		for i, o := range group {
			o.done <- errs[i]
		}
	}
}

// transact commits a group. It heeds no caller's context: one that goes away
// must not undo what the others are about to be told.
func (s *sqlite) transact(group []*op, errs []error) error {
	ctx := context.Background()
	t, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback() //nolint:errcheck // after a commit it does nothing
	for i, o := range group {
		if errs[i] = o.ctx.Err(); errs[i] != nil {
			continue
		}
		if _, err := t.ExecContext(ctx, `SAVEPOINT caller`); err != nil {
			return err
		}
		end := `RELEASE caller`
		if errs[i] = o.f(context.WithoutCancel(o.ctx), sqliteTx{sqliteConn{t}, t, s.jobs}); errs[i] != nil {
			end = `ROLLBACK TO caller; RELEASE caller`
		}
		if _, err := t.ExecContext(ctx, end); err != nil {
			return err
		}
	}
	return t.Commit()
}
