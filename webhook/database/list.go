package database

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// condition is what stands behind WHERE.
type condition struct {
	terms []string
	args  []any
}

// add adds a term that ends in an argument, if it is wanted.
func (c *condition) add(term string, arg any, wanted bool) {
	if wanted {
		c.args = append(c.args, arg)
		c.terms = append(c.terms, term+"$"+strconv.Itoa(len(c.args)))
	}
}

func (c *condition) equal(column string, arg any, wanted bool) { c.add(column+" = ", arg, wanted) }

// in adds that a column has one of the values, unless they are nil.
func (c *condition) in(column string, values []int64) {
	switch {
	case values == nil:
	case len(values) == 0:
		c.terms = append(c.terms, "1 = 0")
	default:
		marks := make([]string, len(values))
		for i, v := range values {
			c.args = append(c.args, v)
			marks[i] = "$" + strconv.Itoa(len(c.args))
		}
		c.terms = append(c.terms, column+" IN ("+strings.Join(marks, ", ")+")")
	}
}

func (c *condition) String() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// pages reads a table that has seq, a page at a time and each page at once, so
// that a slow reader holds no connection and keeps nothing from being cleared.
func pages[T any](ctx context.Context, db *DB, query string, where *condition, newest bool, scan func(row) (T, error), seq func(T) int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for last, first := int64(0), true; ; first = false {
			c, order := condition{append([]string(nil), where.terms...), append([]any(nil), where.args...)}, "seq"
			if newest {
				order = "seq DESC"
				c.add("seq < ", last, !first)
			} else {
				c.add("seq > ", last, !first)
			}
			var rows []T
			err := db.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
				rows, err = all(ctx, q, scan, query+c.String()+" ORDER BY "+order+" LIMIT "+strconv.Itoa(page), c.args...)
				return err
			})
			if err != nil {
				yield(zero, fmt.Errorf("read on: %w", err))
				return
			}
			for _, r := range rows {
				last = seq(r)
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < page {
				return
			}
		}
	}
}
