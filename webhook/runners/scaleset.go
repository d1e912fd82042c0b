package runners

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/actions/scaleset"

	"github.com/clipperregistry/runner/webhook/rules"
)

// scale has GitHub give jobs to the set by a scale set of its name
// (https://github.com/actions/scaleset). How many jobs it has, GitHub is asked
// for in each pass; a session of messages takes jobs on, and tells when to ask.
type scale struct {
	*set
	mu    sync.Mutex // guards what follows
	line  *line
	heard *scaleset.RunnerScaleSetStatistic // by messages, the last
}

// line is a connection to the Actions service.
type line struct {
	*scaleset.Client
	id    int
	until time.Time
}

// lineLife is how long a connection is used: less than the hour after which its
// client would need another token of GitHub's, and has only the first.
const lineLife = 40 * time.Minute

// requestTime is how long a request may take: a poll is answered within 50 s.
const requestTime = 75 * time.Second

func newScaleSet(s *set) *scale { return &scale{set: s} }

// connect gives the connection, a new one if need be, and has the scale set be
// as the file says.
func (c *scale) connect(ctx context.Context) (*line, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	if c.line != nil && now.Before(c.line.until) {
		return c.line, nil
	}
	token, err := c.github.RunnersToken(ctx, c.owner)
	if err != nil {
		return nil, err
	}
	client, err := scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
		GitHubConfigURL: strings.TrimSuffix(cmp.Or(c.url, "https://github.com"), "/") + "/" + c.owner.String(), PersonalAccessToken: token.Reveal(),
		SystemInfo: scaleset.SystemInfo{System: "clipper-runner", Subsystem: "webhook"},
	}, scaleset.WithRetryMax(0), scaleset.WithTimeout(requestTime))
	if err != nil {
		return nil, err
	}
	id, err := c.ensure(ctx, client)
	if err != nil {
		return nil, scrub(err)
	}
	c.line = &line{client, id, now.Add(lineLife)}
	return c.line, nil
}

// drop has the next one connect anew.
func (c *scale) drop(l *line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == l {
		c.line = nil
	}
}

// ensure finds the scale set, or makes it, and gives it the labels of the file.
func (c *scale) ensure(ctx context.Context, client *scaleset.Client) (id int, err error) {
	group := 1
	if c.Group != rules.DefaultGroup {
		found, err := client.GetRunnerGroupByName(ctx, url.QueryEscape(c.Group))
		if err != nil {
			return 0, err
		}
		group = found.ID
	}
	wanted := &scaleset.RunnerScaleSet{Name: c.Name, RunnerGroupID: group, RunnerSetting: scaleset.RunnerSetting{DisableUpdate: true}}
	for _, label := range c.Labels {
		wanted.Labels = append(wanted.Labels, scaleset.Label{Type: "System", Name: label})
	}
	found, err := client.GetRunnerScaleSet(ctx, group, c.Name)
	switch {
	case err != nil:
		return 0, err
	case found == nil:
		if found, err = client.CreateRunnerScaleSet(ctx, wanted); err != nil {
			return 0, fmt.Errorf("make the scale set: %w", err)
		}
	case !slices.EqualFunc(found.Labels, wanted.Labels, func(a, b scaleset.Label) bool { return strings.EqualFold(a.Name, b.Name) }):
		if _, err = client.UpdateRunnerScaleSet(ctx, found.ID, wanted); err != nil {
			return 0, fmt.Errorf("change the scale set: %w", err)
		}
	}
	return found.ID, nil
}

func (c *scale) wanted(ctx context.Context, _ int) (int, error) {
	l, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	found, err := l.GetRunnerScaleSetByID(ctx, l.id)
	if err != nil {
		c.drop(l) // somebody may have deleted the scale set
		return 0, scrub(err)
	}
	n := found.Statistics
	if n == nil { // nobody promises that they are in this answer; in a message's they are
		c.mu.Lock()
		n = c.heard
		c.mu.Unlock()
	}
	if n == nil {
		return 0, errors.New("GitHub has told nothing of the scale set's jobs yet")
	}
	return n.TotalAssignedJobs, nil
}

// hear keeps what a session tells of the jobs, and has them looked at.
func (c *scale) hear(n *scaleset.RunnerScaleSetStatistic, changed func()) {
	c.mu.Lock()
	if n != nil {
		c.heard = n
	}
	c.mu.Unlock()
	changed()
}

func (c *scale) register(ctx context.Context, name string) (int64, string, error) {
	l, err := c.connect(ctx)
	if err != nil {
		return 0, "", err
	}
	setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: name, WorkFolder: "_work"}
	made, err := l.GenerateJitRunnerConfig(ctx, setting, l.id)
	if errors.Is(err, scaleset.RunnerExistsError) {
		if err = c.replace(ctx, l, name); err == nil {
			made, err = l.GenerateJitRunnerConfig(ctx, setting, l.id)
		}
	}
	if err != nil {
		return 0, "", scrub(err)
	}
	if made == nil || made.Runner == nil || made.EncodedJITConfig == "" {
		return 0, "", errors.New("GitHub's answer has no configuration")
	}
	return int64(made.Runner.ID), made.EncodedJITConfig, nil
}

// replace removes the runner of a name, unless it is at work.
func (c *scale) replace(ctx context.Context, l *line, name string) error {
	there, err := l.GetRunnerByName(ctx, name)
	if err != nil || there == nil {
		return err
	}
	err = l.Client.RemoveRunner(ctx, int64(there.ID))
	switch {
	case errors.Is(err, scaleset.JobStillRunningError):
		return errAtWork
	case errors.Is(err, scaleset.RunnerNotFoundError):
		return nil
	}
	return err
}

// listen keeps a session of messages.
func (c *scale) listen(ctx context.Context, changed func()) {
	for failed := 0; ctx.Err() == nil; {
		began := c.config.Now()
		err := c.session(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		if err == nil || c.config.Now().Sub(began) > c.config.Pace.RetryMost {
			failed = 0
		}
		if err != nil {
			failed++
			pause := doubled(c.config.Pace.Retry, min(c.config.Pace.RetryMost, time.Minute), failed)
			c.log.Warn("the scale set is not heard", "error", err, "again", pause)
			sleep(ctx, pause, nil)
		}
	}
}

// session polls for messages while the connection lasts. A scale set has one
// session: that of a replica that has died keeps others out for a while.
func (c *scale) session(ctx context.Context, changed func()) error {
	l, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer c.drop(l)
	messages, err := l.MessageSessionClient(ctx, l.id, c.replica)
	if err != nil {
		return scrub(err)
	}
	defer func() {
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = messages.Close(done) // it ends by itself
	}()
	c.hear(messages.Session().Statistics, changed)
	for last := 0; c.config.Now().Before(l.until); {
		m, err := messages.GetMessage(ctx, last, c.Max)
		if err != nil {
			return scrub(err)
		}
		if m == nil {
			continue
		}
		if err := take(ctx, messages, m); err != nil {
			return scrub(err)
		}
		last = m.MessageID
		c.hear(m.Statistics, changed)
	}
	return nil
}

// take takes a message's jobs on, and then says that it was read.
func take(ctx context.Context, messages *scaleset.MessageSessionClient, m *scaleset.RunnerScaleSetMessage) error {
	var ids []int64
	for _, job := range m.JobAvailableMessages {
		ids = append(ids, job.RunnerRequestID)
	}
	if len(ids) > 0 {
		if _, err := messages.AcquireJobs(ctx, ids); err != nil {
			return err
		}
	}
	return messages.DeleteMessage(ctx, m.MessageID)
}

// long is what a secret in an answer looks like.
var long = regexp.MustCompile(`[A-Za-z0-9+/=_.-]{100,}`)

// scrub leaves secrets out of an error of the client's, which quotes answers
// that it cannot read.
func scrub(err error) error {
	if !long.MatchString(err.Error()) {
		return err
	}
	return errors.New(long.ReplaceAllString(err.Error(), "…"))
}
