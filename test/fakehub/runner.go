package fakehub

import (
	"net/http"
	"slices"
	"strings"
)

// runner is a self-hosted runner, made by a JIT configuration: it takes one job.
type runner struct {
	id    int64
	name  string
	where any // a *Repo or an *account
	group int64
	names []string // labels
	state string
	busy  bool

	config    string    // that it is started with
	connected bool      // it was
	set       *scaleSet // that it belongs to, if any
}

// Runner is what tests see of one.
type Runner struct {
	ID     int64
	Name   string
	Labels []string
	Busy   bool
}

// Runners lists the self-hosted runners of the hub.
func (h *Hub) Runners() []Runner {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Runner
	for _, r := range h.runners {
		all = append(all, Runner{r.id, r.name, slices.Clone(r.names), r.busy})
	}
	return all
}

// Connect lets a runner say that it is there, as it does before its job.
func (h *Hub) Connect(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.runners {
		if r.name == name {
			r.state = "online"
		}
	}
}

func (r *runner) show() object {
	labels := []object{}
	for _, name := range r.names {
		labels = append(labels, object{"id": r.id, "name": name, "type": "custom"})
	}
	return object{"id": r.id, "name": r.name, "os": "linux", "status": r.state, "busy": r.busy, "labels": labels, "runner_group_id": r.group, "ephemeral": true}
}

// where is what the path names, a repository or an organisation.
func (c *call) where() any {
	if c.repo != nil {
		return c.repo
	}
	return c.owner
}

func (c *call) createJIT() (any, error) {
	var in struct {
		Name   string   `json:"name"`
		Group  int64    `json:"runner_group_id"`
		Labels []string `json:"labels"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if _, err := find(c.hub.runners, func(r *runner) bool { return r.where == c.where() && strings.EqualFold(r.name, in.Name) }); err == nil {
		return nil, refuse(http.StatusConflict, "Already exists - A runner with the name *** already exists.")
	}
	r := &runner{id: c.hub.next(), name: in.Name, where: c.where(), group: in.Group, names: in.Labels, state: "offline", config: jitConfig()}
	c.hub.runners = append(c.hub.runners, r)
	return object{"runner": r.show(), "encoded_jit_config": r.config}, nil
}

func (c *call) listRunners() (any, error) {
	var found []*runner
	for _, r := range c.hub.runners {
		if r.where == c.where() && (c.query("name") == "" || c.query("name") == r.name) {
			found = append(found, r)
		}
	}
	return list(c, "runners", found, (*runner).show)
}

func (c *call) runner() (*runner, error) {
	id := c.id("runner_id")
	return find(c.hub.runners, func(r *runner) bool { return r.where == c.where() && r.id == id })
}

func (c *call) getRunner() (any, error) {
	r, err := c.runner()
	return one(r, err, (*runner).show)
}

func (c *call) deleteRunner() (any, error) {
	r, err := c.runner()
	if err != nil {
		return nil, err
	}
	if r.busy {
		return nil, refuse(http.StatusUnprocessableEntity, "Bad request - Runner \"%s\" is still running a job\"", r.name)
	}
	c.hub.runners = slices.DeleteFunc(c.hub.runners, func(other *runner) bool { return other == r })
	c.hub.scales.stir()
	return nil, nil
}
