package runners

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// jit counts jobs by asking repositories for them. Which ones to ask, the
// deliveries in the inbox tell, of whatever replica; and all of them are asked
// in turn, for what no delivery has told of.
type jit struct {
	*set
	group    int64
	repos    map[string]*repository // by name in lower case
	turn     []string               // that are asked next without a cause
	listed   time.Time
	swept    time.Time
	told     map[int64]bool // deliveries of the last reading, since toldFrom
	toldFrom time.Time
}

// repository is one that may have jobs.
type repository struct {
	hub.Repo
	asked  time.Time
	queued int
	stale  bool // a delivery has told of something since
}

// mostAsked is how many repositories of an organisation are asked in a sweep:
// each takes two requests, or more, of the hour's 5,000.
const mostAsked = 20

func newJIT(s *set) *jit {
	return &jit{set: s, repos: map[string]*repository{}, toldFrom: s.config.Now().Add(-lookBack)}
}

// lookBack is how old deliveries are looked at that came while nobody kept the
// set. What is older is found in turn.
const lookBack = time.Hour

func (j *jit) wanted(ctx context.Context, working int) (int, error) {
	if j.group == 0 {
		var err error
		if j.group, err = j.github.RunnerGroup(ctx, j.owner, j.Group); err != nil {
			return 0, err
		}
	}
	if err := j.listRepositories(ctx); err != nil {
		return 0, err
	}
	if err := j.readDeliveries(ctx); err != nil {
		return 0, err
	}
	now := j.config.Now()
	var ask []*repository
	for _, r := range j.repos {
		if r.stale || r.queued > 0 {
			ask = append(ask, r)
		}
	}
	if now.Sub(j.swept) >= j.config.Pace.Sweep {
		n := min(len(j.turn), mostAsked)
		for _, name := range j.turn[:n] {
			if r := j.repos[name]; !slices.Contains(ask, r) {
				ask = append(ask, r)
			}
		}
		j.turn = append(j.turn[n:], j.turn[:n]...)
		j.swept = now
	}
	for _, r := range ask {
		if err := j.ask(ctx, r); err != nil {
			return 0, err
		}
	}
	wanted := working
	for _, r := range j.repos {
		wanted += r.queued
	}
	return wanted, nil
}

// listRepositories lists whose jobs the set takes, now and then.
func (j *jit) listRepositories(ctx context.Context) error {
	now := j.config.Now()
	if !j.listed.IsZero() && now.Sub(j.listed) < 10*j.config.Pace.Sweep {
		return nil
	}
	found := map[string]*repository{}
	add := func(r hub.Repo) {
		name := strings.ToLower(r.FullName)
		if found[name] = j.repos[name]; found[name] == nil {
			found[name] = &repository{Repo: r, stale: len(j.repos) > 0} // a delivery may have told of a new one
			j.turn = append(j.turn, name)
		}
	}
	if j.owner.Organization == "" {
		add(j.owner.Repo)
	} else {
		for r, err := range j.github.Repositories(ctx, j.owner.Repo.Installation) {
			if err != nil {
				return err
			}
			if !r.Archived {
				add(hub.Repo{Installation: j.owner.Repo.Installation, ID: r.ID, FullName: r.FullName})
			}
		}
	}
	j.repos, j.listed = found, now
	j.turn = slices.DeleteFunc(j.turn, func(name string) bool { return found[name] == nil })
	return nil
}

// readDeliveries notes which repositories something has happened in. Those of
// the last minute are read again: one that was being stored then may be seen
// after others that are numbered behind it.
func (j *jit) readDeliveries(ctx context.Context) error {
	began, told := j.config.Now(), map[int64]bool{}
	f := database.DeliveryFilter{App: j.github.AppID(), Installation: j.owner.Repo.Installation, Event: "workflow_job", Since: j.toldFrom}
	for d, err := range j.config.Store.Deliveries(ctx, f) {
		if err != nil {
			return err
		}
		if told[d.Seq] = true; j.told[d.Seq] {
			continue
		}
		if r := j.repos[strings.ToLower(d.FullName)]; r != nil {
			r.stale = true
		} else if strings.EqualFold(j.owner.Organization, ownerPart(d.FullName)) {
			j.listed = time.Time{} // a new one
		}
	}
	j.told, j.toldFrom = told, began.Add(-time.Minute)
	return nil
}

func ownerPart(fullName string) string {
	owner, _, _ := strings.Cut(fullName, "/")
	return owner
}

// ask counts a repository's jobs that wait for a runner of the set's.
func (j *jit) ask(ctx context.Context, r *repository) error {
	r.stale = false
	queued := 0
	for job, err := range j.github.Jobs(ctx, r.Repo) {
		if errors.Is(err, hub.ErrGone) && j.owner.Organization != "" {
			j.listed = time.Time{} // it was deleted, or is not the App's any more
			break
		}
		if err != nil {
			r.stale = true
			return err
		}
		if job.Status == "queued" && j.takes(job.Labels) && !slices.ContainsFunc(j.before, func(s *set) bool { return s.takes(job.Labels) }) {
			queued++
		}
	}
	r.queued, r.asked = queued, j.config.Now()
	return nil
}

// allLabels are those of the set's runners: GitHub has none for itself to add
// to a runner that is made by its configuration.
func (s *set) allLabels() []string {
	machine := "X64"
	if s.Arch == "arm64" {
		machine = "ARM64"
	}
	return append([]string{"self-hosted", "Linux", machine}, s.Labels...)
}

// takes says whether the set's runners have all labels that a job names.
func (s *set) takes(labels []string) bool {
	has := s.allLabels()
	for _, label := range labels {
		if !slices.ContainsFunc(has, func(l string) bool { return strings.EqualFold(l, label) }) {
			return false
		}
	}
	return len(labels) > 0
}

func (j *jit) register(ctx context.Context, name string) (int64, string, error) {
	id, config, err := j.github.JITConfig(ctx, j.owner, hub.JIT{Name: name, Group: j.group, Labels: j.allLabels()})
	if errors.Is(err, hub.ErrInvalid) && strings.Contains(err.Error(), "at work") {
		err = errAtWork
	}
	return id, config, err
}

// listen has nothing to hear: Nudge tells of deliveries.
func (*jit) listen(context.Context, func()) {}
