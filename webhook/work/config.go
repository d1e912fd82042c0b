package work

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// configuration is what counts for an event.
type configuration struct {
	rules *rules.Config // with the organisation's default; nil is none
	// commit is where the repository's was read, tip where it is read by right:
	// another commit if that one's is broken.
	commit, tip string
	problems    rules.Problems // of the tip's
}

// why says why there is none.
func (c configuration) why() string {
	if len(c.problems) > 0 {
		return fmt.Sprintf("the configuration at %s is broken: %s", c.tip, c.problems[0])
	}
	return "neither the repository nor its organisation has a configuration"
}

// configuration reads where nobody chooses it who could not change it. If the
// one of the default branch is broken, the last that was not goes on.
func (t *turn) configuration(ctx context.Context, e *webhook.Event, commented *webhook.PullRequest) (configuration, error) {
	branch, commit := rules.ConfigAt(e, commented)
	if commit == "" {
		var err error
		if commit, err = t.head(ctx, at(e), "refs/heads/"+branch); err != nil {
			return configuration{}, err
		}
	}
	main := branch == e.Repository.DefaultBranch
	c, own, err := t.lastValid(ctx, at(e), commit, main)
	if err != nil {
		return c, err
	}
	organisation, err := t.organisation(ctx, e)
	if err != nil {
		return c, err
	}
	if own != nil || organisation != nil && len(c.problems) == 0 {
		c.rules = rules.Merge(organisation, own)
	}
	if main && c.rules != nil {
		err = t.plan(ctx, e, c)
	}
	return c, err
}

// lastValid reads a repository's configuration at a commit, or, on its default
// branch, that of the last commit which had a valid one.
func (t *turn) lastValid(ctx context.Context, r hub.Repo, commit string, main bool) (configuration, *rules.Config, error) {
	c := configuration{commit: commit, tip: commit}
	own, problems, err := t.parsed(ctx, r, commit)
	c.problems = problems
	if err != nil || !main {
		return c, own, err
	}
	cursor := fmt.Sprintf("config/%d/%s", t.app, r.FullName)
	if r.ID != 0 {
		cursor = fmt.Sprintf("config/%d/%d", t.app, r.ID)
	}
	last, err := t.DB.Cursor(ctx, cursor)
	switch {
	case err != nil:
		return c, nil, err
	case len(problems) == 0 && last == commit:
		return c, own, nil
	case len(problems) == 0:
		return c, own, t.DB.SetCursor(ctx, cursor, commit)
	case last == "":
		return c, nil, nil
	}
	own, _, err = t.parsed(ctx, r, last)
	c.commit = last
	return c, own, err
}

// defaults is where an organisation has its default, and defaultsFor how long
// it is known without asking: a change of it counts that much later.
const (
	defaults    = ".github"
	defaultsFor = time.Minute
)

// organisation is the default of who owns a repository, nil is none.
func (t *turn) organisation(ctx context.Context, e *webhook.Event) (*rules.Config, error) {
	owner, name, _ := strings.Cut(e.Repository.FullName, "/")
	if name == defaults {
		return nil, nil
	}
	r := hub.Repo{Installation: e.Installation.ID, FullName: owner + "/" + defaults}
	key := fmt.Sprintf("%d/%s", t.app, r.FullName)
	if c, there := t.configs.organisation(key, t.Now()); there {
		return c, nil
	}
	c, err := t.organisationAt(ctx, r)
	if errors.Is(err, hub.ErrGone) { // it has none, or does not let the App see it
		c, err = nil, nil
	}
	if err == nil {
		t.configs.keepOrganisation(key, c, t.Now().Add(defaultsFor))
	}
	return c, err
}

func (t *turn) organisationAt(ctx context.Context, r hub.Repo) (*rules.Config, error) {
	found, err := t.github.Repository(ctx, r)
	if err != nil {
		return nil, err
	}
	r.ID = found.ID
	commit, err := t.head(ctx, r, "refs/heads/"+found.DefaultBranch)
	if err != nil {
		return nil, err
	}
	_, c, err := t.lastValid(ctx, r, commit, true)
	return c, err
}

// parsed reads a configuration, once for each commit. Without an error or
// problems, nil is none.
func (t *turn) parsed(ctx context.Context, r hub.Repo, commit string) (*rules.Config, rules.Problems, error) {
	key := configKey{t.app, r.ID, commit}
	if p, there := t.configs.get(key); there {
		return p.config, p.problems, nil
	}
	text, err := t.github.Config(ctx, r, commit)
	var p parsed
	switch {
	case err == nil:
		p.config, p.problems = rules.ParseConfig(text)
	case errors.Is(err, hub.ErrInvalid): // no file, or one that is too large
		p.problems = rules.Problems{{Line: 1, Column: 1, Text: redact(err.Error())}}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	t.configs.put(key, p)
	return p.config, p.problems, nil
}

// configs keeps what was parsed. It is safe for concurrent use.
type configs struct {
	mu            sync.Mutex
	parsed        map[configKey]parsed
	organisations map[string]kept
	planned       map[configKey]string
}

type configKey struct {
	app, repository int64
	commit          string
}

type parsed struct {
	config   *rules.Config
	problems rules.Problems
}

type kept struct {
	config *rules.Config
	until  time.Time
}

// mostKept bounds each of the maps, which are emptied when they are full.
const mostKept = 2000

func (c *configs) get(key configKey) (parsed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, there := c.parsed[key]
	return p, there
}

func (c *configs) put(key configKey, p parsed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parsed = put(c.parsed, key, p)
}

func (c *configs) organisation(key string, now time.Time) (*rules.Config, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, there := c.organisations[key]
	return k.config, there && now.Before(k.until)
}

func (c *configs) keepOrganisation(key string, config *rules.Config, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.organisations = put(c.organisations, key, kept{config, until})
}

// plan says whether the schedules of a repository are to be planned from a
// commit, since they were planned from another one last.
func (c *configs) plan(key configKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := key
	of.commit = ""
	return c.planned[of] != key.commit
}

// setPlanned says from which commit they were planned last.
func (c *configs) setPlanned(key configKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := key
	of.commit = ""
	c.planned = put(c.planned, of, key.commit)
}

func put[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	if m == nil || len(m) >= mostKept {
		m = map[K]V{}
	}
	m[k] = v
	return m
}
