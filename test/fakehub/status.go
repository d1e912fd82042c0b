package fakehub

import (
	"net/http"
	"slices"
	"time"
)

// status is what somebody said of a commit.
type status struct {
	id                         int64
	sha                        string
	state, context             string
	description, target, login string
	at                         time.Time
}

// maxStatuses is how many a commit may have in one context
// (https://docs.github.com/rest/commits/statuses).
const maxStatuses = 1000

func (c *call) createStatus() (any, error) {
	sha := c.path("sha")
	if c.repo.graph.commits[sha] == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", sha)
	}
	var in struct {
		State       string `json:"state"`
		Context     string `json:"context"`
		Description string `json:"description"`
		Target      string `json:"target_url"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Context == "" {
		in.Context = "default"
	}
	if len([]rune(in.Description)) > 140 {
		return nil, invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	n := 0
	for _, other := range c.repo.statuses {
		if other.sha == sha && other.context == in.Context {
			n++
		}
	}
	if n >= maxStatuses {
		return nil, invalid("Status", "context", "custom", "This SHA and context has reached the maximum number of statuses.")
	}
	s := &status{c.hub.next(), sha, in.State, in.Context, in.Description, in.Target, c.bot().login, c.hub.now()}
	c.repo.statuses = append(c.repo.statuses, s)
	at := c.repo.graph.commits[sha]
	c.hub.emit(c.repo, "status", "", c.bot(), object{"id": s.id, "sha": sha, "name": c.repo.FullName, "state": s.state, "context": s.context, "description": nullable(s.description),
		"target_url": nullable(s.target), "created_at": stamp(s.at), "updated_at": stamp(s.at), "branches": []object{}, "commit": c.repo.showCommit(at)})
	return c.repo.showStatus(s), nil
}

func (r *Repo) showStatus(s *status) object {
	return object{"id": s.id, "state": s.state, "context": s.context, "description": nullable(s.description), "target_url": nullable(s.target),
		"url": r.at("/statuses/" + s.sha), "created_at": stamp(s.at), "updated_at": stamp(s.at), "creator": r.hub.account(s.login).show()}
}

// statusesOf lists those of a commit, the newest first.
func (r *Repo) statusesOf(sha string) []*status {
	var found []*status
	for _, s := range slices.Backward(r.statuses) {
		if s.sha == sha {
			found = append(found, s)
		}
	}
	return found
}

func (c *call) listStatuses() (any, error) {
	at, err := c.commit(c.path("ref"))
	if err != nil {
		return nil, err
	}
	return list(c, "", c.repo.statusesOf(at.sha), c.repo.showStatus)
}

// combinedStatus is the worst of the newest in each context.
func (c *call) combinedStatus() (any, error) {
	at, err := c.commit(c.path("ref"))
	if err != nil {
		return nil, err
	}
	latest, state := []*status{}, "success"
	for _, s := range c.repo.statusesOf(at.sha) {
		if slices.ContainsFunc(latest, func(other *status) bool { return other.context == s.context }) {
			continue
		}
		latest = append(latest, s)
		switch s.state {
		case "failure", "error":
			state = "failure"
		case "pending":
			if state == "success" {
				state = "pending"
			}
		}
	}
	if len(latest) == 0 {
		state = "pending"
	}
	shown := []object{}
	for _, s := range page(c, latest) {
		one := c.repo.showStatus(s)
		delete(one, "creator") // the combined one has none
		shown = append(shown, one)
	}
	return object{"state": state, "sha": at.sha, "total_count": len(latest), "statuses": shown, "repository": c.repo.show()}, nil
}
