package database

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// A commit takes at most so many deliveries, and stops after so many bytes of
// bodies: whoever waits for it should not wait long.
const (
	maxBatch      = 128
	maxBatchBytes = 4 << 20
)

// batchTimeout ends a commit that a dead network keeps open.
const batchTimeout = 10 * time.Second

// committer stores deliveries, many to a commit. Each installation has a line
// of its own, and a batch takes from all lines in turn: who floods the service
// waits in a long line, and the others do not.
type committer struct {
	db     *DB
	mu     sync.Mutex
	more   sync.Cond
	lines  map[installation][]*arrival
	order  []installation // those with a line, in the order of their turns
	closed bool
	wait   sync.WaitGroup
}

type installation struct{ app, id int64 }

// arrival is a delivery on its way into the database.
type arrival struct {
	d      webhook.Delivery // without its body
	packed []byte
	size   int
	fresh  bool
	done   chan error
}

func newCommitter(db *DB) *committer {
	c := &committer{db: db, lines: map[installation][]*arrival{}}
	c.more.L = &c.mu
	for range db.engine.committers() {
		c.wait.Go(c.work)
	}
	return c
}

// Accept stores a delivery and has somebody decide about it, and says whether
// it is new: of one that is there already, nothing changes. After an error, or
// if ctx is done before, it may be stored or not.
func (db *DB) Accept(ctx context.Context, d webhook.Delivery) (fresh bool, err error) {
	if db.inbox == nil {
		return false, errReadOnly
	}
	packed, err := pack(d.Body)
	if err != nil {
		return false, err
	}
	a := &arrival{d: d, packed: packed, size: len(d.Body), done: make(chan error, 1)}
	a.d.Body = nil
	if a.d.Received.IsZero() {
		a.d.Received = db.now()
	}
	if err := db.inbox.put(a); err != nil {
		return false, err
	}
	select {
	case err := <-a.done:
		return a.fresh, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (c *committer) put(a *arrival) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	key := installation{a.d.App, a.d.Installation}
	if len(c.lines[key]) == 0 {
		c.order = append(c.order, key)
	}
	c.lines[key] = append(c.lines[key], a)
	c.more.Signal()
	return nil
}

// take waits for deliveries and takes one of each line, around and around.
// There are none once the committer is closed.
func (c *committer) take() []*arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.order) == 0 && !c.closed {
		c.more.Wait()
	}
	var batch []*arrival
	for bytes := 0; len(c.order) > 0 && len(batch) < maxBatch && bytes < maxBatchBytes; {
		key := c.order[0]
		line := c.lines[key]
		batch, bytes = append(batch, line[0]), bytes+len(line[0].packed)
		c.order = c.order[1:]
		if len(line) == 1 {
			delete(c.lines, key)
			continue
		}
		line[0] = nil
		c.lines[key] = line[1:]
		c.order = append(c.order, key)
	}
	if len(c.order) > 0 {
		c.more.Signal()
	}
	return batch
}

func (c *committer) work() {
	for batch := c.take(); batch != nil; batch = c.take() {
		err := c.store(batch)
		if err == nil || len(batch) == 1 || errors.Is(err, ErrClosed) {
			for _, a := range batch {
				a.done <- err
			}
			continue
		}
		for _, a := range batch { // one must not spoil it for the others
			a.done <- c.store([]*arrival{a})
		}
	}
}

// store commits a batch.
func (c *committer) store(batch []*arrival) error {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	// Two batches may have the same deliveries; in one order they do not wait
	// for each other.
	slices.SortFunc(batch, func(a, b *arrival) int { return cmp.Or(cmp.Compare(a.d.App, b.d.App), cmp.Compare(a.d.GUID, b.d.GUID)) })
	now := c.db.now()
	rows := make([][]any, len(batch))
	for i, a := range batch {
		rows[i] = a.row(now)
	}
	return c.db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		stored, err := tx.execEach(ctx, insertDelivery, rows)
		if err != nil {
			return err
		}
		var lanes []Lane
		for i, a := range batch {
			if a.fresh = stored[i] > 0; a.fresh {
				lanes = append(lanes, Lane{Decide, a.d.App, a.d.Installation})
			}
		}
		return c.db.wake(ctx, tx, now, lanes...)
	})
}

const insertDelivery = `
	INSERT INTO deliveries (app, guid, event, action, hook, installation, repository, full_name, sender, source, received,
		state, reason, attempt, due, size, body)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', 0, $13, $14, $15)
	ON CONFLICT (app, guid) DO NOTHING`

// row are the arguments of insertDelivery.
func (a *arrival) row(now time.Time) []any {
	d := &a.d
	return []any{
		d.App, clean(d.GUID), clean(d.Event), clean(d.Action), d.HookID, d.Installation, d.Repository, clean(d.FullName), clean(d.Sender),
		string(d.Source), ms(d.Received), string(Received), ms(now), a.size, a.packed,
	}
}

// Texts are kept up to these lengths; GitHub's names are shorter.
const (
	maxText = 256
	maxNote = 4096 // a reason
)

// clean makes text of a stranger's such as both databases take: PostgreSQL
// has no NUL, and nothing that is not UTF-8.
func clean(s string) string { return text(s, maxText) }

func note(s string) string { return text(s, maxNote) }

func text(s string, most int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), most)], ""), "\x00", "")
}

// close stores what is in the lines and ends the work.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.more.Broadcast()
	c.mu.Unlock()
	c.wait.Wait()
}
