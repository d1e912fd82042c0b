package hub

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// Job is a job of a workflow's run that has not ended.
type Job struct {
	ID        int64          `json:"id"`
	Status    string         `json:"status"` // queued, in_progress, waiting…
	Labels    []string       `json:"labels"` // of runs-on
	Runner    string         `json:"runner_name"`
	CreatedAt webhook.Moment `json:"created_at"`
}

// Jobs are those of a repository that wait for a runner or have one. It takes
// a request for each run that has not ended, and two more.
func (h *Hub) Jobs(ctx context.Context, r Repo) iter.Seq2[Job, error] {
	type runs struct {
		Runs []WorkflowRun `json:"workflow_runs"`
	}
	type jobs struct {
		Jobs []Job `json:"jobs"`
	}
	return func(yield func(Job, error) bool) {
		if err := r.valid(); err != nil {
			yield(Job{}, err)
			return
		}
		for _, status := range []string{"queued", "in_progress"} {
			q := request{scope: r.in("actions:read"), path: r.of("/actions/runs"), query: url.Values{"status": {status}}}
			for run, err := range flat(pages[runs](ctx, h, q), "list the runs of "+r.FullName, func(p runs) []WorkflowRun { return p.Runs }) {
				if err != nil {
					yield(Job{}, err)
					return
				}
				of := request{scope: q.scope, path: r.of("/actions/runs/%s/jobs", strconv.FormatInt(run.ID, 10))}
				for j, err := range flat(pages[jobs](ctx, h, of), "list the jobs of "+r.FullName, func(p jobs) []Job { return p.Jobs }) {
					if err == nil && j.Status == "completed" {
						continue
					}
					if !yield(j, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

// RunnersToken makes a token with which runners of the owner are registered,
// for the client of scale sets. It lasts for an hour.
func (h *Hub) RunnersToken(ctx context.Context, o Owner) (Token, error) {
	err := o.valid()
	var t Token
	if err == nil {
		t, err = h.handOut(ctx, o.request("write", "", "").scope)
	}
	if err != nil {
		return Token{}, fmt.Errorf("make a token for the runners of %s: %w", o, err)
	}
	return t, nil
}

// defaultGroup is the group of runners that there always is.
const defaultGroup = 1

// RunnerGroup finds a group of the owner's by its name, in whatever case. A
// repository has the default one alone.
func (h *Hub) RunnerGroup(ctx context.Context, o Owner, name string) (id int64, err error) {
	if strings.EqualFold(name, "default") {
		return defaultGroup, nil
	}
	if err := o.valid(); err != nil {
		return 0, err
	}
	type group struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	type groups struct {
		Groups []group `json:"runner_groups"`
	}
	if o.Organization != "" {
		q := o.request("read", http.MethodGet, "")
		q.path = "orgs/" + url.PathEscape(o.Organization) + "/actions/runner-groups"
		for g, err := range flat(pages[groups](ctx, h, q), "list the groups of runners of "+o.String(), func(p groups) []group { return p.Groups }) {
			if err != nil {
				return 0, err
			}
			if strings.EqualFold(g.Name, name) {
				return g.ID, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: %s has no group of runners %q", ErrInvalid, o, name)
}
