package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/work"
)

type webhookRuns struct {
	List   runsList   `cmd:"" help:"List what followed from deliveries and schedules, the newest first: webhook runs list --unended"`
	Show   runsShow   `cmd:"" help:"Show one, its way so far and its last lines: webhook runs show ID"`
	Start  runsStart  `cmd:"" help:"Have a rule run that has on: manual, at the head of the default branch: webhook runs start acme/app deploy"`
	Cancel runsCancel `cmd:"" help:"Have runs end: webhook runs cancel ID"`
	Rerun  runsRerun  `cmd:"" help:"Have runs done again that are over: webhook runs rerun ID"`
}

type runsList struct {
	listFlags
	State    string `placeholder:"NAME" help:"Those in this state, as in failed."`
	Rule     string `placeholder:"ID" help:"Those of this rule."`
	Delivery string `placeholder:"GUID" help:"Those that followed from this delivery."`
	Unended  bool   `help:"Those that are not over."`
}

// listedRun is what list and show tell of a run; its JSON is for machines.
type listedRun struct {
	ID           string        `json:"id"`
	App          int64         `json:"app"`
	Installation int64         `json:"installation"`
	Repository   string        `json:"repository"`
	RepositoryID int64         `json:"repository_id"`
	Rule         string        `json:"rule"`
	Event        string        `json:"event"`
	Delivery     string        `json:"delivery"`
	Sender       string        `json:"sender"`
	Commit       string        `json:"commit"`
	Ref          string        `json:"ref"`
	PullRequest  int           `json:"pull_request,omitempty"`
	Fork         bool          `json:"fork"`
	Rerun        string        `json:"rerun_of,omitempty"`
	State        webhook.State `json:"state"`
	Reason       string        `json:"reason"`
	Cancel       string        `json:"cancel_requested,omitempty"`
	ApprovedBy   string        `json:"approved_by,omitempty"`
	Attempt      int           `json:"attempt"`
	Created      time.Time     `json:"created"`
	Started      time.Time     `json:"started,omitzero"`
	Ended        time.Time     `json:"ended,omitzero"`
	Seen         time.Time     `json:"seen,omitzero"`
	Due          time.Time     `json:"due,omitzero"`
	Task         string        `json:"task,omitempty"`
	WorkflowRun  int64         `json:"workflow_run,omitempty"`
	CheckRun     int64         `json:"check_run,omitempty"`
	Deployment   int64         `json:"deployment,omitempty"`
	ExitCode     *int          `json:"exit_code,omitempty"`
}

func listRun(r webhook.Run) listedRun {
	return listedRun{
		ID: r.ID, App: r.App, Installation: r.Installation, Repository: r.FullName, RepositoryID: r.Repository, Rule: r.Rule, Event: r.Event,
		Delivery: r.Delivery, Sender: r.Sender, Commit: r.Commit, Ref: r.Ref, PullRequest: r.PullRequest, Fork: r.Fork, Rerun: r.Rerun,
		State: r.State, Reason: r.Reason, Cancel: r.CancelRequested, ApprovedBy: r.ApprovedBy, Attempt: r.Attempt, Created: r.Created,
		Started: r.Started, Ended: r.Ended, Seen: r.Seen, Due: r.Due, Task: r.Task, WorkflowRun: r.WorkflowRun, CheckRun: r.CheckRun,
		Deployment: r.DeploymentID, ExitCode: r.ExitCode,
	}
}

func (c *runsList) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	return endedWebhook(ctx, exit, c.list(ctx, os.Stdout))
}

func (c *runsList) list(ctx context.Context, out io.Writer) error {
	if c.State != "" && !webhook.State(c.State).Valid() {
		return fmt.Errorf("%w: --state %s is none of %v", runnerimage.ErrSettings, c.State, webhook.States)
	}
	db, since, limit, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	f := database.RunFilter{App: c.App, State: webhook.State(c.State), Delivery: c.Delivery, Unended: c.Unended, Since: since, Newest: true}
	ids, name := c.repository()
	f.Repositories = ids
	rows := func(yield func(listedRun, error) bool) {
		for run, err := range db.Runs(ctx, f) {
			if err == nil && (c.Rule != "" && run.Rule != c.Rule || name != "" && !strings.EqualFold(run.FullName, name)) {
				continue
			}
			if !yield(listRun(run), err) {
				return
			}
		}
	}
	return c.printed(printList(out, rows, c.JSON, limit, "CREATED (UTC)\tRULE\tREPOSITORY\tEVENT\tCOMMIT\tSTATE\tID\tREASON", func(r listedRun) string {
		return strings.Join([]string{
			seconds(r.Created), shown(r.Rule), shown(r.Repository), shown(r.Event), fmt.Sprintf("%.10s", shown(r.Commit)), string(r.State), shown(r.ID), cmp.Or(cut(shown(r.Reason), 60), "-"),
		}, "\t")
	}))
}

// operator is who asks, as runs and their checks tell it.
const operator = "the operator"

type runsCancel struct {
	databaseFlag
	ID []string `arg:"" help:"Runs, as webhook runs list names them."`
}

func (c *runsCancel) Run(exit *int) error {
	return c.order(exit, rules.WishCancel, c.ID, func(id, _ string) { fmt.Printf("%s is to end\n", id) })
}

type runsRerun struct {
	databaseFlag
	ID []string `arg:"" help:"Runs that are over, as webhook runs list names them."`
}

func (c *runsRerun) Run(exit *int) error {
	return c.order(exit, rules.WishRerun, c.ID, func(id, again string) { fmt.Printf("%s is done again as %s\n", id, again) })
}

// order has a wish granted about each of some runs, and tells which were. It
// does not end with the first that is not.
func (f databaseFlag) order(exit *int, wish rules.Wish, ids []string, granted func(id, again string)) error {
	ctx, stop := untilSignal()
	defer stop()
	db, err := f.work(ctx)
	if err != nil {
		return endedWebhook(ctx, exit, err)
	}
	orders := &work.Work{DB: db, Log: quiet()}
	var errs []error
	for _, id := range ids {
		again, err := orders.Order(ctx, wish, id, operator, rand.Text())
		if errs = append(errs, err); err == nil {
			granted(id, again)
		}
	}
	return endedWebhook(ctx, exit, errors.Join(append(errs, db.Close())...))
}
