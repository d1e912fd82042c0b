package runners

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
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// pass looks at the set once, and does what is to be done. Tasks are looked at
// before runners, and runners before jobs: who is quicker than the pass is
// taken for one that is needed less, and never for one that is to be started.
func (s *set) pass(ctx context.Context) error {
	if err := s.keep(ctx); err != nil {
		return err
	}
	if err := s.find(ctx); err != nil {
		return err
	}
	if err := s.remember(ctx); err != nil {
		return err
	}
	if err := s.tasks(ctx); err != nil {
		return fmt.Errorf("look at the tasks: %w", err)
	}
	strays, working, err := s.registered(ctx)
	if err != nil {
		return err
	}
	wanted, err := s.source.wanted(ctx, working)
	if err != nil {
		return err
	}
	now := s.config.Now()
	p := decide(view{
		now: now, members: slices.SortedFunc(maps.Values(s.members), byName), strays: strays, wanted: wanted, surplus: s.surplus,
		held: now.Before(s.hold), min: s.Min, max: s.Max, idle: s.Idle, timeout: time.Duration(s.Timeout),
	}, s.config.Pace)
	s.surplus = p.surplus
	s.metrics.show(s, wanted, len(s.members), working)
	return s.act(ctx, p)
}

func byName(a, b *member) int { return cmp.Compare(a.Name, b.Name) }

// find finds whose runners they are, once.
func (s *set) find(ctx context.Context) error {
	if s.github != nil {
		return nil
	}
	var errs []error
	for _, app := range s.config.Apps {
		owner, err := ownerOf(ctx, app.GitHub, s.Owner)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.github, s.url, s.owner = app.GitHub, app.URL, owner
		if s.Mode == rules.JIT {
			s.source = newJIT(s)
		} else {
			s.source = newScaleSet(s)
		}
		return nil
	}
	return errors.Join(errs...)
}

// ownerOf asks where an App is installed.
func ownerOf(ctx context.Context, github GitHub, name string) (hub.Owner, error) {
	if strings.Contains(name, "/") {
		i, err := github.InstallationOf(ctx, name)
		if err != nil {
			return hub.Owner{}, err
		}
		return hub.Owner{Repo: hub.Repo{Installation: i.ID, FullName: name}}, nil
	}
	for i, err := range github.Installations(ctx) {
		if err != nil {
			return hub.Owner{}, err
		}
		if strings.EqualFold(i.Account.Login, name) {
			return hub.Owner{Repo: hub.Repo{Installation: i.ID}, Organization: name}, nil
		}
	}
	return hub.Owner{}, fmt.Errorf("%w: App %d is not installed in %s", hub.ErrGone, github.AppID(), name)
}

// remember reads what this replica, or the one before, has begun, once.
func (s *set) remember(ctx context.Context) error {
	if s.members != nil {
		return nil
	}
	text, err := s.config.Store.Cursor(ctx, s.lease())
	if err != nil {
		return err
	}
	s.members, err = s.decode(text)
	return err
}

// tasks looks at what runs, and at how what ran has ended.
func (s *set) tasks(ctx context.Context) error {
	arns, err := s.config.Tasks.List(ctx, s.job(&member{}))
	if err != nil {
		return err
	}
	for _, m := range s.members {
		if m.ARN != "" && !slices.Contains(arns, m.ARN) {
			arns = append(arns, m.ARN)
		}
	}
	truths, err := s.config.Tasks.Describe(ctx, arns)
	if err != nil {
		return err
	}
	failed, succeeded := false, false
	for _, truth := range truths {
		m := s.memberOf(truth)
		if m == nil {
			continue
		}
		switch m.ARN, m.truth = truth.Task, truth; {
		case truth.Over():
			failed = failed || s.failed(m)
			succeeded = succeeded || truth.State == webhook.Succeeded
			delete(s.members, m.Name)
		case !truth.Known() && s.config.Now().Sub(m.At) > s.config.Pace.Settle:
			delete(s.members, m.Name) // ECS has forgotten it
		}
	}
	s.judge(failed, succeeded)
	return nil
}

// memberOf finds the member whose task it is, or makes it.
func (s *set) memberOf(truth task.Truth) *member {
	for _, m := range s.members {
		if m.ARN == truth.Task {
			return m
		}
	}
	name := truth.Variable(nameVariable)
	slot, ours := s.slotOf(name)
	if !ours || truth.Over() {
		return nil
	}
	if m := s.members[name]; m != nil && m.ARN == "" {
		return m
	}
	m := &member{Name: name, Slot: slot, At: truth.Created}
	if s.members[name] == nil {
		s.members[name] = m
		return m
	}
	return nil
}

// failed says whether a runner that has ended was none.
func (s *set) failed(m *member) bool {
	if m.leaves || m.truth.State != webhook.Failed {
		return false
	}
	s.log.Warn("a runner has failed", "runner", m.Name, "task", m.ARN, "reason", m.truth.Reason)
	return true
}

// judge has runners that fail again and again be started less and less often.
func (s *set) judge(failed, succeeded bool) {
	switch {
	case succeeded:
		s.ends, s.hold = 0, time.Time{}
	case failed:
		s.ends++
		s.hold = s.config.Now().Add(doubled(s.config.Pace.Retry, s.config.Pace.RetryMost, s.ends))
	}
}

// registered looks at the set's runners on GitHub.
func (s *set) registered(ctx context.Context) (strays map[string]stray, working int, err error) {
	now := s.config.Now()
	found := map[string]*hub.Runner{}
	for r, err := range s.github.Runners(ctx, s.owner) {
		if err != nil {
			return nil, 0, err
		}
		if _, ours := s.slotOf(r.Name); ours {
			found[r.Name] = &r
		}
	}
	for _, m := range s.members {
		m.runner = found[m.Name]
		delete(found, m.Name)
		switch {
		case m.runner == nil && m.alone.IsZero() && !m.truth.Started.IsZero():
			m.alone = now
		case m.runner != nil:
			m.met, m.alone = true, time.Time{}
			if m.runner.Busy {
				working++
			}
		}
	}
	strays = map[string]stray{}
	for name, r := range found {
		since, seen := s.strays[name]
		if !seen {
			since = now
		}
		strays[name] = stray{*r, since}
		if r.Busy {
			working++
		}
	}
	s.strays = map[string]time.Time{}
	for name, r := range strays {
		s.strays[name] = r.since
	}
	return strays, working, nil
}
