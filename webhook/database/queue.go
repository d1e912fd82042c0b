package database

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// River's settings for this service. Its jobs are short: what lasts for hours
// is a row with a time to look at it again.
const (
	fetchCooldown = 20 * time.Millisecond
	fetchPoll     = 250 * time.Millisecond
	jobTimeout    = 2 * time.Minute
	rescueAfter   = 5 * time.Minute
	maxAttempts   = 25
	maxBackoff    = time.Minute
	keepCompleted = time.Hour
)

// Work is a kind of work that is done per installation, and the name of
// River's queue for it.
type Work string

// The kinds.
const (
	Decide Work = "decide" // about deliveries
	Report Work = "report" // what the outbox has
)

// inserter are the settings of the client that makes jobs. A client says that
// there is a job at most once in this time, and what it does not say is found
// by polling only.
func inserter(log *slog.Logger) *river.Config {
	return &river.Config{FetchCooldown: time.Millisecond, Logger: forRiver(log)}
}

// Steps is the name of River's queue for jobs about one run.
const Steps = "run"

// Turn is the job of doing an installation's work of one kind for a while. It
// is void once the lane's number has gone on. Begin with [DB.Take], do some of
// what [DB.Undecided] or [DB.Unsent] has, and end with [DB.Rest].
type Turn struct {
	Lane
	Number int64 `json:"number"`
}

// Lane is one installation's work of one kind. At most one job is at it at a
// time, so that no installation takes more than its share; those with much to
// do take turns.
type Lane struct {
	Work         Work  `json:"work"`
	App          int64 `json:"app"`
	Installation int64 `json:"installation"`
}

// Kind is the job's name in River.
func (Turn) Kind() string { return "turn" }

// Step is the job of looking at a run because its time has come. It is void if
// the run has another revision; else it ends with a [DB.Move], which says when
// the next one is due.
type Step struct {
	Run string `json:"run"`
	Rev int64  `json:"rev"`
}

// Kind is the job's name in River.
func (Step) Kind() string { return "step" }

// Queue is River at work.
type Queue interface {
	Start(ctx context.Context) error
	// Stop takes no more jobs and waits for those that are being worked.
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Stopped() <-chan struct{}
}

// Queue is a client of River that works on this database's jobs, in the queues
// Decide, Report and Steps. What c does not say is set as suits the service.
// Until it is stopped, which is to be before the database is closed, call Revive
// every few seconds.
func (db *DB) Queue(ctx context.Context, c *river.Config) (Queue, error) {
	if db.beside {
		return nil, errBeside
	}
	if err := db.live(ctx); err != nil {
		return nil, err
	}
	c.ID = db.replica
	if c.Logger != nil {
		c.Logger = forRiver(c.Logger)
	}
	if c.FetchCooldown == 0 {
		c.FetchCooldown = fetchCooldown
	}
	if c.FetchPollInterval == 0 {
		c.FetchPollInterval = fetchPoll
	}
	if c.JobTimeout == 0 {
		c.JobTimeout = jobTimeout
	}
	if c.RescueStuckJobsAfter == 0 {
		c.RescueStuckJobsAfter = rescueAfter
	}
	if c.RetryPolicy == nil {
		c.RetryPolicy = retryPolicy{}
	}
	if c.CompletedJobRetentionPeriod == 0 {
		c.CompletedJobRetentionPeriod = keepCompleted
	}
	return db.engine.queue(c)
}

// retryPolicy tries again within a minute: a job fails because something is
// away, and that something comes back.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	wait := time.Second << min(len(job.Errors), 6)
	return time.Now().Add(min(wait, maxBackoff))
}

// turnJob and stepJob are the jobs as River takes them.
func turnJob(t Turn, due time.Time, now time.Time) river.InsertManyParams {
	return river.InsertManyParams{Args: t, InsertOpts: insertOpts(string(t.Work), due, now)}
}

func stepJob(s Step, due time.Time, now time.Time) river.InsertManyParams {
	return river.InsertManyParams{Args: s, InsertOpts: insertOpts(Steps, due, now)}
}

// remakeJob is a job of a kind once more, due now.
func remakeJob(kind string, args []byte, now time.Time) (river.InsertManyParams, error) {
	var t Turn
	var s Step
	switch kind {
	case t.Kind():
		err := json.Unmarshal(args, &t)
		return turnJob(t, now, now), err
	case s.Kind():
		err := json.Unmarshal(args, &s)
		return stepJob(s, now, now), err
	}
	return river.InsertManyParams{}, fmt.Errorf("a job of kind %q", kind)
}

// insertOpts leaves the time of what is due to River, which would otherwise
// have its leader look for it.
func insertOpts(queue string, due, now time.Time) *river.InsertOpts {
	o := &river.InsertOpts{Queue: queue, MaxAttempts: maxAttempts}
	if due.After(now) {
		o.ScheduledAt = due
	}
	return o
}
