package work

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// planned is what is stored with a schedule. A schedule whose rule changes any
// of it is planned anew.
type planned struct {
	Rule       string             `json:"rule"`
	Cron       string             `json:"cron"`
	Zone       string             `json:"zone"`
	CatchUp    string             `json:"catch_up"`
	Repository webhook.Repository `json:"repository"`
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
		Rule: rule.ID, Cron: s.Cron.String(), Zone: s.TZ.In(t.Now()).Location().String(), CatchUp: s.CatchUp,
		Repository: webhook.Repository{ID: r.ID, Name: r.Name, FullName: r.FullName, DefaultBranch: r.DefaultBranch},
	})
	return database.Schedule{
		RuleKey: webhook.RuleKey(r.ID, rule.ID), App: t.app, Installation: e.Installation.ID, Repository: r.ID, Due: s.Next(t.Now()), Data: data,
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
	e := webhook.Event{Name: webhook.Schedule, Rule: p.Rule, Repository: p.Repository, Installation: webhook.Installation{ID: s.Installation}}
	c, err := t.configuration(ctx, &e, nil)
	if errors.Is(err, hub.ErrGone) {
		return w.DB.Plan(ctx, s.App, s.Repository, nil)
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

// installed plans the schedules of repositories that the App was let into, and
// cancels the runs of those that it was taken from.
func (t *turn) installed(ctx context.Context, e *webhook.Event) (outcome, error) {
	repositories := e.RepositoriesAdded
	switch {
	case e.Name == "installation" && (e.Action == "created" || e.Action == "unsuspend"):
		repositories = e.Repositories
	case e.Name == "installation" && e.Action == "deleted":
		e.RepositoriesRemoved = e.Repositories
	}
	if err := t.leave(ctx, e); err != nil {
		return outcome{}, err
	}
	for _, r := range e.RepositoriesRemoved {
		gone := &webhook.Event{Repository: r}
		if err := t.planAnew(ctx, gone, configuration{}); err != nil {
			return outcome{}, err
		}
	}
	for _, r := range repositories {
		if !t.Policy.Serves(r.FullName) {
			continue
		}
		found, err := t.github.Repository(ctx, hub.Repo{Installation: e.Installation.ID, ID: r.ID, FullName: r.FullName})
		if err == nil {
			in := &webhook.Event{Name: webhook.Schedule, Repository: found, Installation: e.Installation}
			_, err = t.configuration(ctx, in, nil)
		}
		if err != nil && !errors.Is(err, hub.ErrGone) { // an empty repository has no branch
			return outcome{}, err
		}
	}
	return nothing("the schedules of %d repositories were planned", len(repositories))
}
