package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// planned is what is stored with a schedule. A schedule whose rule changes any
// of it is planned anew.
type planned struct {
	Rule     string `json:"rule"`
	Cron     string `json:"cron"`
	Zone     string `json:"zone"`
	CatchUp  string `json:"catch_up"`
	FullName string `json:"full_name"` // of the repository
}

// plan stores when the schedules of a repository's default branch are due next,
// once for each commit.
func (t *turn) plan(ctx context.Context, e *webhook.Event, c configuration) error {
	key := configKey{t.app, e.Repository.ID, c.commit}
	if !t.configs.plan(key) {
		return nil
	}
	return t.planAnew(ctx, e, c)
}

func (t *turn) planAnew(ctx context.Context, e *webhook.Event, c configuration) error {
	var schedules []database.Schedule
	if c.rules != nil {
		for i := range c.rules.Rules {
			if rule := &c.rules.Rules[i]; rule.On.Schedule != nil && !rule.Disabled {
				s, err := t.schedule(e, rule)
				if err != nil {
					return err
				}
				schedules = append(schedules, s)
			}
		}
	}
	if err := t.DB.Plan(ctx, t.app, e.Repository.ID, schedules); err != nil {
		return err
	}
	t.configs.setPlanned(configKey{t.app, e.Repository.ID, c.commit})
	return nil
}

func (t *turn) schedule(e *webhook.Event, rule *rules.Rule) (database.Schedule, error) {
	r, s := e.Repository, rule.On.Schedule
	data, err := json.Marshal(planned{
		Rule: rule.ID, Cron: s.Cron.String(), Zone: s.TZ.In(t.Now()).Location().String(), CatchUp: s.CatchUp, FullName: r.FullName,
	})
	return database.Schedule{
		RuleKey: webhook.RuleKey(t.app, r.ID, rule.ID), App: t.app, Installation: e.Installation.ID, Repository: r.ID, Due: s.Next(t.Now()), Data: data,
	}, err
}

// mostTicks is how many schedules are looked at in one go.
const mostTicks = 100

// tick makes the runs of the schedules that are due. One that fails is tried
// again with the next tick; what it may miss meanwhile, its rule says.
func (w *Work) tick(ctx context.Context) error {
	due, err := w.DB.DueSchedules(ctx, mostTicks)
	for _, s := range due {
		if one := void(w.tickOne(ctx, s)); one != nil {
			err = errors.Join(err, one)
		}
	}
	return err
}

func (w *Work) tickOne(ctx context.Context, s database.Schedule) error {
	var p planned
	if err := json.Unmarshal(s.Data, &p); err != nil {
		return err
	}
	t := &turn{Work: w, app: s.App, github: w.GitHub[s.App], heads: map[string]string{}}
	if t.github == nil {
		return errors.New("the service has no key of the schedule's App")
	}
	// The default branch is asked for each time: it may be another one by now.
	found, err := t.repository(ctx, hub.Repo{Installation: s.Installation, ID: s.Repository, FullName: p.FullName})
	if errors.Is(err, hub.ErrGone) {
		return t.without(ctx, s, p)
	}
	if err != nil {
		return err
	}
	e := webhook.Event{Name: webhook.Schedule, Rule: p.Rule, Repository: found, Installation: webhook.Installation{ID: s.Installation}}
	c, err := t.configuration(ctx, &e, nil)
	if errors.Is(err, hub.ErrGone) { // the branch has no commit
		return t.planAnew(ctx, &e, configuration{})
	}
	if err != nil {
		return err
	}
	rule := ruleOf(c.rules, p.Rule)
	if rule == nil { // the default branch has it no more
		return t.planAnew(ctx, &e, c)
	}
	times, next := rule.On.Schedule.Due(s.Due, w.Now())
	var runs []database.NewRun
	for _, at := range times {
		e := e
		e.Due = webhook.MomentOf(at)
		decisions, err := t.decisions(ctx, c.rules, &e, &rules.Facts{})
		if err != nil {
			return err
		}
		for _, d := range decisions {
			if d.Run != nil {
				runs = append(runs, t.newRun(d.Run, c.commit))
			}
		}
	}
	if err := w.DB.Tick(ctx, s, next, runs...); err != nil {
		return err
	}
	w.did("ticked")
	return nil
}

// repository looks up a repository. Another one that has its name by now is not
// it.
func (t *turn) repository(ctx context.Context, r hub.Repo) (webhook.Repository, error) {
	found, err := t.github.Repository(ctx, r)
	if err == nil && found.ID != r.ID {
		err = fmt.Errorf("%s is another repository: %w", r.FullName, hub.ErrGone)
	}
	return found, err
}

// without does what is due about a schedule whose repository is not to be seen.
// While the App is suspended, times pass without a run; else the repository is
// not the App's any more.
func (t *turn) without(ctx context.Context, s database.Schedule, p planned) error {
	in, err := t.github.Installation(ctx, s.Installation)
	if err != nil && !errors.Is(err, hub.ErrGone) {
		return err
	}
	if err != nil || !in.Suspended() {
		return t.planAnew(ctx, &webhook.Event{Repository: webhook.Repository{ID: s.Repository}}, configuration{})
	}
	cron, err := rules.ParseCron(p.Cron)
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		return err
	}
	return t.DB.Tick(ctx, s, cron.Next(t.Now().In(zone)))
}

// ruleOf is the rule with an id, if it has a schedule.
func ruleOf(c *rules.Config, id string) *rules.Rule {
	if c == nil {
		return nil
	}
	for i := range c.Rules {
		if r := &c.Rules[i]; r.ID == id && r.On.Schedule != nil {
			return r
		}
	}
	return nil
}
