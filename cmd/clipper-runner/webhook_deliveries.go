package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/serve"
)

type webhookDeliveries struct {
	List      deliveriesList      `cmd:"" help:"List what GitHub has sent, the newest first: webhook deliveries list --since 1h"`
	Show      deliveriesShow      `cmd:"" help:"Show one, and what followed: webhook deliveries show GUID"`
	Replay    deliveriesReplay    `cmd:"" help:"Have a server decide about deliveries once more: webhook deliveries replay GUID"`
	Reconcile deliveriesReconcile `cmd:"" help:"Fetch now what GitHub has sent and is not here: webhook deliveries reconcile"`
}

type deliveriesList struct {
	listFlags
	Event string `placeholder:"NAME" help:"Those of this event, as in push."`
	State string `placeholder:"NAME" help:"Those in this state: received, matched, ignored, failed or dead."`
}

var deliveryStates = []database.DeliveryState{database.Received, database.Matched, database.Ignored, database.Failed, database.Dead}

// listedDelivery is what list and show tell of a delivery; its JSON is for
// machines.
type listedDelivery struct {
	Seq          int64                  `json:"seq"`
	App          int64                  `json:"app"`
	GUID         string                 `json:"guid"`
	Event        string                 `json:"event"`
	Action       string                 `json:"action"`
	Repository   string                 `json:"repository"`
	RepositoryID int64                  `json:"repository_id"`
	Installation int64                  `json:"installation"`
	Sender       string                 `json:"sender"`
	Hook         int64                  `json:"hook"`
	Source       webhook.Source         `json:"source"`
	Received     time.Time              `json:"received"`
	State        database.DeliveryState `json:"state"`
	Reason       string                 `json:"reason"`
	Attempt      int                    `json:"attempt"`
	Due          time.Time              `json:"due,omitzero"`
	Size         int64                  `json:"size"`
}

func listDelivery(r database.Record) listedDelivery {
	return listedDelivery{
		Seq: r.Seq, App: r.App, GUID: r.GUID, Event: r.Event, Action: r.Action, Repository: r.FullName, RepositoryID: r.Repository,
		Installation: r.Installation, Sender: r.Sender, Hook: r.HookID, Source: r.Source, Received: r.Received, State: r.State,
		Reason: r.Reason, Attempt: r.Attempt, Due: r.Due, Size: r.Size,
	}
}

func (d listedDelivery) event() string { return strings.TrimSpace(d.Event + " " + d.Action) }

func (c *deliveriesList) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	return endedWebhook(ctx, exit, c.list(ctx, os.Stdout))
}

func (c *deliveriesList) list(ctx context.Context, out io.Writer) error {
	state := database.DeliveryState(c.State)
	if c.State != "" && !slices.Contains(deliveryStates, state) {
		return fmt.Errorf("%w: --state %s is none of received, matched, ignored, failed and dead", runnerimage.ErrSettings, c.State)
	}
	db, since, limit, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	f := database.DeliveryFilter{App: c.App, Event: c.Event, State: state, Since: since, Newest: true}
	f.Repositories, f.FullName = c.repository()
	rows := func(yield func(listedDelivery, error) bool) {
		for rec, err := range db.Deliveries(ctx, f) {
			if !yield(listDelivery(rec), err) {
				return
			}
		}
	}
	return c.printed(printList(out, rows, c.JSON, limit, "RECEIVED (UTC)\tEVENT\tREPOSITORY\tSENDER\tSTATE\tGUID\tREASON", func(d listedDelivery) string {
		return strings.Join([]string{
			seconds(d.Received), shown(d.event()), shown(d.Repository), shown(d.Sender), string(d.State), shown(d.GUID), cmp.Or(cut(shown(d.Reason), 60), "-"),
		}, "\t")
	}))
}

// guidFlags say which delivery is meant.
type guidFlags struct {
	databaseFlag
	App int64 `placeholder:"ID" help:"GitHub App that it is of, where several have the GUID."`
}

// app finds the App of a GUID, if that is not said.
func (f guidFlags) app(ctx context.Context, db *database.DB, guid string) (int64, error) {
	if f.App != 0 {
		return f.App, nil
	}
	var apps []int64
	for rec, err := range db.Deliveries(ctx, database.DeliveryFilter{GUID: guid}) {
		if err != nil {
			return 0, err
		}
		apps = append(apps, rec.App)
	}
	switch len(apps) {
	case 0:
		return 0, fmt.Errorf("delivery %s: %w: it is forgotten, or never came; webhook deliveries reconcile fetches those of the last three days", shown(guid), database.ErrNotFound)
	case 1:
		return apps[0], nil
	}
	return 0, fmt.Errorf("%w: the Apps %v have the GUID %s: say with --app which is meant", runnerimage.ErrSettings, apps, shown(guid))
}

type deliveriesShow struct {
	guidFlags
	JSON bool `xor:"form" help:"Print one JSON object, with the body."`
	Body bool `xor:"form" help:"Print the body alone, as it was signed."`

	GUID string `arg:"" help:"Delivery, as webhook deliveries list names it."`
}

// shownDelivery is a delivery with its runs and its body.
type shownDelivery struct {
	listedDelivery
	Runs []listedRun `json:"runs"`
	Body any         `json:"body"` // a string where it is no JSON
}

func (c *deliveriesShow) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	return endedWebhook(ctx, exit, c.show(ctx, os.Stdout))
}

func (c *deliveriesShow) show(ctx context.Context, out io.Writer) error {
	db, err := c.look(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	app, err := c.app(ctx, db, c.GUID)
	if err != nil {
		return err
	}
	rec, err := db.Delivery(ctx, app, c.GUID)
	if err != nil {
		return err
	}
	if c.Body {
		_, err := out.Write(rec.Body)
		return err
	}
	d := shownDelivery{listedDelivery: listDelivery(rec), Runs: []listedRun{}, Body: json.RawMessage(rec.Body)}
	if !json.Valid(rec.Body) {
		d.Body = string(rec.Body)
	}
	for run, err := range db.Runs(ctx, database.RunFilter{App: app, Delivery: c.GUID}) {
		if err != nil {
			return err
		}
		d.Runs = append(d.Runs, listRun(run))
	}
	if c.JSON {
		return printJSON(d)
	}
	return d.print(out)
}

func (d shownDelivery) print(out io.Writer) error {
	repository := ""
	if d.RepositoryID != 0 {
		repository = fmt.Sprintf("%s (%d)", d.Repository, d.RepositoryID)
	}
	state := string(d.State)
	if !d.Due.IsZero() {
		state += ", to be decided about at " + seconds(d.Due) + " UTC"
	}
	if d.Attempt > 0 {
		state += fmt.Sprintf(", %d attempts failed", d.Attempt)
	}
	err := printFields(out, [][2]string{
		{"GUID", d.GUID}, {"App", strconv.FormatInt(d.App, 10)}, {"Event", d.event()}, {"Repository", repository},
		{"Installation", strconv.FormatInt(d.Installation, 10)}, {"Sender", d.Sender},
		{"Received", seconds(d.Received) + " UTC by " + string(d.Source)}, {"Body", runnerimage.Size(d.Size)}, {"State", state}, {"Reason", d.Reason},
	})
	for _, run := range d.Runs {
		fmt.Fprintf(out, "Run %s: %s, %s\n", run.ID, shown(run.Rule), run.State)
	}
	return err
}

type deliveriesReplay struct {
	guidFlags
	GUID []string `arg:"" help:"Deliveries, as webhook deliveries list names them."`
}

func (c *deliveriesReplay) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	return endedWebhook(ctx, exit, c.replay(ctx))
}

// replay does not end with the first that fails.
func (c *deliveriesReplay) replay(ctx context.Context) error {
	db, err := c.work(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, guid := range c.GUID {
		app, err := c.app(ctx, db, guid)
		if err == nil {
			err = db.Replay(ctx, app, guid)
		}
		if errs = append(errs, err); err == nil {
			fmt.Printf("%s is decided about once more\n", guid)
		}
	}
	return errors.Join(append(errs, db.Close())...)
}

type deliveriesReconcile struct {
	databaseFlag
	appFlags
}

func (c *deliveriesReconcile) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	return endedWebhook(ctx, exit, c.reconcile(ctx))
}

func (c *deliveriesReconcile) reconcile(ctx context.Context) error {
	apps, err := c.apps()
	if err != nil {
		return err
	}
	aws, err := serve.LoadAWS(ctx)
	if err != nil {
		return err
	}
	db, err := c.work(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range apps {
		result, err := serve.Reconcile(ctx, aws, a, tellingInbox{db})
		if errs = append(errs, err); result.Since.IsZero() {
			continue
		}
		fmt.Printf("App %d: of %d deliveries since %s UTC, %d were missing and came, %d are gone, %d failed\n",
			a.ID, result.Listed, seconds(result.Since), result.Accepted, result.Gone, result.Failed)
	}
	return errors.Join(append(errs, db.Close())...)
}

// tellingInbox tells what it takes in, and takes no lease, which would keep
// the servers from their own work.
type tellingInbox struct{ *database.DB }

func (i tellingInbox) Accept(ctx context.Context, d webhook.Delivery) (fresh bool, err error) {
	if fresh, err = i.DB.Accept(ctx, d); fresh {
		fmt.Printf("%s %s of %s\n", shown(d.GUID), shown(strings.TrimSpace(d.Event+" "+d.Action)), shown(d.FullName))
	}
	return fresh, err
}

func (tellingInbox) Hold(context.Context, string, string, time.Duration) (bool, error) {
	return false, nil
}
