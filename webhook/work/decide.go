package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// decide decides about some of an installation's deliveries, in the order in
// which they came: runs of a concurrency group start in that order.
func (w *Work) decide(ctx context.Context, l database.Lane) error {
	list, err := w.DB.Undecided(ctx, l, mostDecided)
	if err != nil {
		return err
	}
	t := &turn{Work: w, app: l.App, github: w.GitHub[l.App], heads: map[string]string{}}
	return errors.Join(t.deliveries(ctx, l, list), t.store(ctx))
}

// store stores what was decided, in one commit, or where that fails each alone:
// one must not spoil it for the others. Who is killed before has it decided
// about again.
func (t *turn) store(ctx context.Context) error {
	decided := t.decided
	t.decided = nil
	if len(decided) == 0 {
		return nil
	}
	if err := t.DB.DecidedAll(ctx, t.app, decided); err != nil {
		if err := t.storeEach(ctx, decided); err != nil {
			return err
		}
	}
	t.did("decided")
	return nil
}

// storeEach stores each alone, and puts off those that cannot be.
func (t *turn) storeEach(ctx context.Context, decided []database.Decision) error {
	for _, d := range decided {
		_, err := t.DB.Decided(ctx, t.app, d.GUID, d.Reason, d.Runs...)
		if void(err) != nil && ctx.Err() == nil {
			err = t.DB.Undecide(ctx, t.app, d.GUID, redact(err.Error()), t.Now().Add(time.Minute))
		}
		if void(err) != nil {
			return err
		}
	}
	return nil
}

// deliveries decides about one after the other, until GitHub's limit is
// reached.
func (t *turn) deliveries(ctx context.Context, l database.Lane, list []database.Record) error {
	began := t.Now()
	stored := began
	for _, rec := range list {
		switch now := t.Now(); {
		case now.Sub(began) > longTurn:
			return nil
		case now.Sub(stored) > longUnstored:
			if err := t.store(ctx); err != nil {
				return err
			}
			stored = now
		}
		err := t.delivery(ctx, rec)
		if until, yes := limited(err); yes {
			t.metrics.met(l.App, err)
			return t.park(ctx, l, until)
		}
		if errors.Is(ctx.Err(), context.Canceled) { // the service ends
			return ctx.Err()
		}
		if err != nil {
			err = t.putOff(ctx, rec, err)
		}
		if err := cmp.Or(void(err), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// turn is deciding about deliveries that are there already. So what GitHub says
// during the turn is as new as any of them, and asked for once.
type turn struct {
	*Work
	app    int64
	github GitHub
	heads  map[string]string // commits, by repository and branch
	// decided are decisions that are not stored yet.
	decided []database.Decision
}

// outcome is what follows from a delivery: runs, or none for the reason.
type outcome struct {
	reason string
	runs   []database.NewRun
}

func nothing(format string, args ...any) (outcome, error) {
	return outcome{reason: fmt.Sprintf(format, args...)}, nil
}

func (t *turn) delivery(ctx context.Context, rec database.Record) (err error) {
	ctx, end := t.Span(ctx, "decide", rec.GUID, "")
	defer func() { end(err) }()
	o, err := t.follows(ctx, rec)
	defer func() { t.metrics.decision(len(o.runs), err) }()
	if errors.Is(err, hub.ErrGone) { // the App was uninstalled, or the repository deleted
		o, err = nothing("%s", redact(err.Error()))
	}
	if err != nil {
		return err
	}
	for i := range o.runs {
		o.runs[i].Delivery = rec.GUID
	}
	t.decided = append(t.decided, database.Decision{GUID: rec.GUID, Reason: o.reason, Runs: o.runs})
	return nil
}

// follows says what follows from a delivery.
func (t *turn) follows(ctx context.Context, rec database.Record) (outcome, error) {
	if !minds[rec.Event] { // most are none of ours, and are not even read
		return nothing("nothing follows from %s %s", rec.Event, rec.Action)
	}
	if rec.Body == nil {
		return nothing("its body is damaged: %s", rec.Reason)
	}
	e, err := webhook.ParseEvent(rec.Event, rec.Body)
	if err != nil {
		return nothing("%s", err)
	}
	if at := e.At(); !at.IsZero() && rec.Source != webhook.Replayed && t.Now().Sub(at) > t.Window {
		return nothing("it happened at %s, and what happened more than %s ago has no effect unless a person replays it", at.Format(time.RFC3339), t.Window)
	}
	if t.looksAtRuns(e) && slices.ContainsFunc(t.decided, func(d database.Decision) bool { return len(d.Runs) > 0 }) {
		if err := t.store(ctx); err != nil {
			return outcome{}, err
		}
	}
	switch {
	case t.github == nil:
		return outcome{}, fmt.Errorf("the service has no key of App %d", rec.App)
	case e.Installation.ID == 0:
		return nothing("it is of no installation")
	case e.Name == "installation" || e.Name == "installation_repositories":
		return t.installed(ctx, e, rec)
	case !t.Policy.Serves(e.Repository.FullName):
		return nothing("the operator's policy does not serve %s", e.Repository.FullName)
	case e.Name == "workflow_run":
		return t.hurry(ctx, e)
	}
	if r, ok := rules.Requested(e, t.app); ok {
		return t.request(ctx, e, r)
	}
	if !decides[e.Name] {
		return nothing("nothing follows from %s %s", e.Name, e.Action)
	}
	if e.Name == "issue_comment" && !commands(e) {
		return nothing("the comment is no command")
	}
	if number, ok := rules.Lapses(e); ok {
		if err := t.lapses(ctx, e, number); err != nil {
			return outcome{}, err
		}
	}
	return t.event(ctx, e)
}

// looksAtRuns says whether what follows from an event depends on the runs that
// there are: those of the deliveries before it have to be among them.
func (t *turn) looksAtRuns(e *webhook.Event) bool {
	_, requests := rules.Requested(e, t.app)
	_, lapses := rules.Lapses(e)
	return requests || lapses || e.Name == "installation" || e.Name == "installation_repositories" || e.Name == "workflow_run"
}

// decides are the events that rules decide about.
var decides = map[string]bool{
	"push": true, "pull_request": true, "merge_group": true, "release": true, "package": true, "registry_package": true,
	"deployment": true, "issue_comment": true,
}

// minds are the events that anything can follow from.
var minds = func() map[string]bool {
	all := map[string]bool{"installation": true, "installation_repositories": true, "workflow_run": true, "check_run": true, "check_suite": true}
	maps.Copy(all, decides)
	return all
}()

// event has the rules of its repository decide about an event.
func (t *turn) event(ctx context.Context, e *webhook.Event) (outcome, error) {
	facts := rules.Facts{}
	var err error
	if facts.Bot, err = t.github.Bot(ctx); err != nil {
		return outcome{}, err
	}
	if e.Name == "issue_comment" { // whose pull request says where the rules are
		if err := t.learn(ctx, e, rules.NeedPullRequest, &facts); err != nil {
			return outcome{}, err
		}
	}
	c, err := t.configuration(ctx, e, facts.PullRequest)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{}
	check, err := t.checkConfig(ctx, e, c)
	if err != nil {
		return outcome{}, err
	}
	if check != nil {
		o.runs = append(o.runs, *check)
	}
	if c.rules == nil {
		o.reason = c.why()
		return o, nil
	}
	decisions, err := t.decisions(ctx, c.rules, e, &facts)
	if err != nil {
		return outcome{}, err
	}
	o.reason = reasons(decisions)
	for _, d := range decisions {
		if d.Run != nil {
			o.runs = append(o.runs, t.newRun(d.Run, c.commit))
		}
	}
	return o, nil
}

// mostQuestions is how often rules can ask.
const mostQuestions = 5

// decisions decides, with all facts that are asked for.
func (t *turn) decisions(ctx context.Context, config *rules.Config, e *webhook.Event, facts *rules.Facts) ([]rules.Decision, error) {
	facts.App = t.app
	for range mostQuestions {
		decisions := rules.Decide(config, t.Policy, e, *facts)
		needs := rules.Needed(decisions)
		if len(needs) == 0 {
			return decisions, nil
		}
		for _, need := range needs {
			if err := t.learn(ctx, e, need, facts); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("the rules ask for ever more facts")
}

// newRun is a run as it is stored first.
func (t *turn) newRun(run *webhook.Run, configCommit string) database.NewRun {
	now := t.Now()
	run.App, run.ConfigCommit, run.Created, run.Due, run.Rev = t.app, configCommit, now, now, 1
	switch {
	case run.State == webhook.AwaitingApproval:
		run.Due = now.Add(webhook.ApprovalLapses)
	case run.State.Over():
		run.Ended, run.Due = now, time.Time{}
	}
	return database.NewRun{Run: *run, Desires: t.show(run, nil)}
}

// reasons says why each rule decided so.
func reasons(decisions []rules.Decision) string {
	var lines []string
	for _, d := range decisions {
		if len(d.Steps) > 0 {
			lines = append(lines, d.Rule+" "+string(d.Outcome)+": "+d.Steps[len(d.Steps)-1].Text)
		}
	}
	if len(lines) == 0 {
		return "there are no rules"
	}
	return strings.Join(lines, "\n")
}
