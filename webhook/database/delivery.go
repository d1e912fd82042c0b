package database

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a delivery.
const (
	Received DeliveryState = "received" // nobody has decided about it yet
	Matched  DeliveryState = "matched"  // it has runs
	Ignored  DeliveryState = "ignored"  // no rule matches, as its reason says
	Failed   DeliveryState = "failed"   // the decision failed, and is tried again
	Dead     DeliveryState = "dead"     // the decision failed too often; a person may replay it
)

// Record is a delivery as it is kept.
type Record struct {
	webhook.Delivery
	// Seq goes up in the order in which deliveries were stored.
	Seq   int64
	State DeliveryState
	// Reason says why it was ignored, or what failed.
	Reason string
	// Attempt counts decisions that failed.
	Attempt int
	// Due is when somebody is to decide, zero for never again.
	Due  time.Time
	Size int64 // of the body
}

const recordColumns = `seq, app, guid, event, action, hook, installation, repository, full_name, sender, source, received, state, reason, attempt, due, size`

func (rec *Record) fields(received, due *int64) []any {
	return []any{
		&rec.Seq, &rec.App, &rec.GUID, &rec.Event, &rec.Action, &rec.HookID, &rec.Installation, &rec.Repository, &rec.FullName, &rec.Sender,
		&rec.Source, received, &rec.State, &rec.Reason, &rec.Attempt, due, &rec.Size,
	}
}

func scanRecord(r row) (rec Record, err error) {
	var received, due int64
	err = r.Scan(rec.fields(&received, &due)...)
	rec.Received, rec.Due = at(received), at(due)
	return rec, err
}

func scanWhole(r row) (rec Record, err error) {
	var received, due int64
	var packed []byte
	if err := r.Scan(append(rec.fields(&received, &due), &packed)...); err != nil {
		return rec, err
	}
	rec.Received, rec.Due = at(received), at(due)
	rec.Body, err = unpack(packed, rec.Size)
	return rec, err
}

// Known are those of the GUIDs that the database has of an App.
func (db *DB) Known(ctx context.Context, app int64, guids []string) (map[string]bool, error) {
	known := map[string]bool{}
	err := db.engine.read(ctx, func(ctx context.Context, q querier) error {
		for ; len(guids) > 0; guids = guids[min(len(guids), page):] {
			args, marks := []any{app}, []string{}
			for _, guid := range guids[:min(len(guids), page)] {
				args = append(args, clean(guid))
				marks = append(marks, "$"+strconv.Itoa(len(args)))
			}
			query := `SELECT guid FROM deliveries WHERE app = $1 AND guid IN (` + strings.Join(marks, ", ") + `)`
			err := q.each(ctx, func(r row) error {
				var guid string
				err := r.Scan(&guid)
				known[guid] = true
				return err
			}, query, args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up GUIDs: %w", err)
	}
	return known, nil
}

// page is how many rows are read at a time.
const page = 200

// DeliveryFilter says which deliveries are meant: those that all set members
// fit.
type DeliveryFilter struct {
	App, Installation int64
	// Repositories are those a person may see; nil is all, empty none.
	Repositories []int64
	// FullName is that of the repository then, in whatever case.
	FullName string
	Event    string
	State    DeliveryState
	GUID     string
	// Since and Until are times of receipt.
	Since, Until time.Time
	// Newest has the newest first; Before are then those stored before a Seq.
	Newest bool
	Before int64
}

func (f DeliveryFilter) where() *condition {
	var c condition
	c.equal("app", f.App, f.App != 0)
	c.equal("installation", f.Installation, f.Installation != 0)
	c.equal("event", f.Event, f.Event != "")
	c.equal("state", string(f.State), f.State != "")
	c.equal("guid", f.GUID, f.GUID != "")
	c.equal("lower(full_name)", strings.ToLower(f.FullName), f.FullName != "")
	c.in("repository", f.Repositories)
	c.add("received >= ", ms(f.Since), !f.Since.IsZero())
	c.add("received < ", ms(f.Until), !f.Until.IsZero())
	c.add("seq < ", f.Before, f.Before != 0)
	return &c
}

// Deliveries are those that fit, without their bodies, as they were stored one
// after the other. They are read a page at a time: what is stored meanwhile may
// be among them.
func (db *DB) Deliveries(ctx context.Context, f DeliveryFilter) iter.Seq2[Record, error] {
	return pages(ctx, db, `SELECT `+recordColumns+` FROM deliveries`, f.where(), f.Newest, scanRecord, func(r Record) int64 { return r.Seq })
}

// Delivery is one of them, with its body. It fails with ErrNotFound.
func (db *DB) Delivery(ctx context.Context, app int64, guid string) (Record, error) {
	var found []Record
	err := db.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = all(ctx, q, scanWhole, `SELECT `+recordColumns+`, body FROM deliveries WHERE app = $1 AND guid = $2`, app, guid)
		return err
	})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, fmt.Errorf("delivery %s: %w", guid, err)
	}
	return found[0], nil
}

// Replay has somebody decide about a delivery once more. Runs that it has
// already are not made again.
func (db *DB) Replay(ctx context.Context, app int64, guid string) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		now := db.now()
		lane := Lane{Work: Decide, App: app}
		found, err := one(ctx, tx, `
			UPDATE deliveries SET state = $3, source = $4, reason = '', attempt = 0, due = $5
			WHERE app = $1 AND guid = $2 RETURNING installation`,
			[]any{app, guid, string(Received), string(webhook.Replayed), ms(now)}, &lane.Installation)
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		return db.wake(ctx, tx, now, lane)
	})
	if err != nil {
		return fmt.Errorf("replay delivery %s: %w", guid, err)
	}
	return nil
}
