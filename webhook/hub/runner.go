package hub

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/go-github/v60/github"
)

// Owner is whose a runner is: a repository's, or an organisation's.
type Owner struct {
	Repo         Repo // its Installation counts in any case
	Organization string
}

func (o Owner) String() string {
	if o.Organization != "" {
		return o.Organization
	}
	return o.Repo.FullName
}

func (o Owner) valid() error {
	r := o.Repo
	if o.Organization != "" {
		r.FullName = o.Organization + "/-" // the same letters
	}
	return r.valid()
}

// request is one about the owner's runners.
func (o Owner) request(level, method, path string) request {
	if o.Organization != "" {
		s := scope{installation: o.Repo.Installation, permissions: "organization_self_hosted_runners:" + level}
		return request{scope: s, method: method, path: "orgs/" + url.PathEscape(o.Organization) + "/actions/runners" + path}
	}
	return request{scope: o.Repo.in("administration:" + level), method: method, path: o.Repo.of("/actions/runners") + path}
}

// Runner is a runner that GitHub knows.
type Runner struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // online or offline
	Busy   bool   `json:"busy"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

// JIT is a runner that is to be: it takes one job.
type JIT struct {
	// Name is one that no other runner of the owner has: that of the one job or
	// start that it is for.
	Name   string
	Group  int64 // 1 is the default one
	Labels []string
}

// JITConfig makes a runner and returns what it is started with, which is a
// secret. A runner of that name which was not started, since the answer was
// lost, is replaced; one that is at work is ErrInvalid.
func (h *Hub) JITConfig(ctx context.Context, o Owner, j JIT) (id int64, config string, err error) {
	if err = o.valid(); err == nil {
		id, config, err = h.createJIT(ctx, o, j)
	}
	if statusOf(err) == http.StatusConflict {
		if err = h.replaceable(ctx, o, j.Name); err == nil {
			id, config, err = h.createJIT(ctx, o, j)
		}
	}
	if err != nil {
		return 0, "", fmt.Errorf("make the runner %s of %s: %w", j.Name, o, err)
	}
	return id, config, nil
}

func (h *Hub) createJIT(ctx context.Context, o Owner, j JIT) (int64, string, error) {
	var got struct {
		Runner Runner `json:"runner"`
		Config string `json:"encoded_jit_config"`
	}
	q := o.request("write", http.MethodPost, "/generate-jitconfig")
	q.in, q.out = github.GenerateJITConfigRequest{Name: j.Name, RunnerGroupID: max(j.Group, 1), Labels: j.Labels}, &got
	_, err := h.do(ctx, q)
	if err == nil && (got.Config == "" || got.Runner.ID == 0) {
		err = fmt.Errorf("%w: GitHub's answer has no configuration", ErrLost)
	}
	return got.Runner.ID, got.Config, err
}

// replaceable removes the runner of a name, unless it is there.
func (h *Hub) replaceable(ctx context.Context, o Owner, name string) error {
	for r, err := range h.Runners(ctx, o) {
		switch {
		case err != nil:
			return err
		case r.Name != name:
		case r.Busy || r.Status == "online":
			return fmt.Errorf("%w: it is at work", ErrInvalid)
		default:
			return h.RemoveRunner(ctx, o, r.ID)
		}
	}
	return nil // it has gone meanwhile
}

// Runners are the owner's.
func (h *Hub) Runners(ctx context.Context, o Owner) iter.Seq2[Runner, error] {
	type page struct {
		Runners []Runner `json:"runners"`
	}
	return func(yield func(Runner, error) bool) {
		if err := o.valid(); err != nil {
			yield(Runner{}, err)
			return
		}
		q := o.request("read", http.MethodGet, "")
		flat(pages[page](ctx, h, q), "list the runners of "+o.String(), func(p page) []Runner { return p.Runners })(yield)
	}
}

// RemoveRunner has GitHub forget a runner. One that it does not know is no
// error; one that is at work is ErrInvalid.
func (h *Hub) RemoveRunner(ctx context.Context, o Owner, id int64) error {
	err := o.valid()
	if err == nil {
		q := o.request("write", http.MethodDelete, "/"+strconv.FormatInt(id, 10))
		q.again = true
		_, err = h.do(ctx, q)
	}
	if err != nil && statusOf(err) != http.StatusNotFound {
		return fmt.Errorf("remove the runner %d of %s: %w", id, o, err)
	}
	return nil
}
