package work

import (
	"context"
	"errors"
	"time"

	"github.com/clipperregistry/runner/webhook/database"
)

// errUnfinished is the error of a decision that goes on once others had their
// turn.
var errUnfinished = errors.New("it goes on when others had their turn")

// putOff has a decision that failed tried again later. One that took all the
// time of its turn is put off like any other: it would be the first in the next
// one, too, and nothing behind it would ever be decided about.
func (t *turn) putOff(ctx context.Context, rec database.Record, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return t.DB.Undecide(ctx, rec.App, rec.GUID, redact(why.Error()), t.retry(rec, why))
}

// retry is when a decision that failed is tried again: as long as the event may
// have an effect, and then never.
func (t *turn) retry(rec database.Record, why error) time.Time {
	if errors.Is(why, errUnfinished) {
		return t.Now().Add(longTurn)
	}
	age := t.Now().Sub(rec.Received)
	if age > t.Window && rec.Attempt > 10 {
		return time.Time{}
	}
	return t.Now().Add(patience(age, time.Second<<min(rec.Attempt, 6), 5*time.Minute))
}
