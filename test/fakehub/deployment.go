package fakehub

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Deployment is a deployment as tests see it.
type Deployment struct {
	ID          int64
	Ref, SHA    string
	Environment string
	Task        string
	Payload     any
	Creator     string
	Statuses    []string // states, the oldest first
	// What the latest status says.
	Description, LogURL, EnvironmentURL string
}

type deployment struct {
	Deployment
	description string
	production  bool
	transient   bool
	at          time.Time
	statuses    []*deploymentStatus
}

type deploymentStatus struct {
	id    int64
	sent  object
	login string
	at    time.Time
}

// Deployments lists those of the repository, the oldest first.
func (r *Repo) Deployments() []Deployment {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	var all []Deployment
	for _, d := range r.deployments {
		seen := d.Deployment
		for _, s := range d.statuses {
			text := func(name string) string { value, _ := s.sent[name].(string); return value }
			seen.Statuses = append(seen.Statuses, text("state"))
			seen.LogURL, seen.EnvironmentURL, seen.Description = firstOf(text("log_url"), text("target_url")), text("environment_url"), text("description")
		}
		all = append(all, seen)
	}
	return all
}

// createDeployment makes one. Commit statuses and checks of the commit that
// are not green stand in its way, unless required_contexts is empty
// (https://docs.github.com/rest/deployments/deployments#create-a-deployment).
func (c *call) createDeployment() (any, error) {
	var in struct {
		Ref         string    `json:"ref"`
		Task        string    `json:"task"`
		Environment string    `json:"environment"`
		Description *string   `json:"description"`
		Payload     any       `json:"payload"`
		Required    *[]string `json:"required_contexts"`
		Production  *bool     `json:"production_environment"`
		Transient   bool      `json:"transient_environment"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	at := c.repo.resolve(in.Ref)
	if at == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "No ref found for: %s", in.Ref)
	}
	if in.Required == nil || len(*in.Required) > 0 {
		for _, s := range c.repo.statusesOf(at.sha) {
			if s.state != "success" && (in.Required == nil || slices.Contains(*in.Required, s.context)) {
				return nil, refuse(http.StatusConflict, "Conflict: Commit status checks failed for %s.", in.Ref)
			}
		}
	}
	d := &deployment{transient: in.Transient, at: c.hub.now()}
	d.Deployment = Deployment{ID: c.hub.next(), Ref: in.Ref, SHA: at.sha, Environment: firstOf(in.Environment, "production"),
		Task: firstOf(in.Task, "deploy"), Payload: in.Payload, Creator: c.bot().login}
	if d.Payload == nil {
		d.Payload = object{}
	}
	if in.Description != nil {
		d.description = *in.Description
	}
	d.production = d.Environment == "production"
	if in.Production != nil {
		d.production = *in.Production
	}
	c.repo.deployments = append(c.repo.deployments, d)
	c.hub.emit(c.repo, "deployment", "created", c.bot(), object{"deployment": c.repo.showDeployment(d), "workflow": nil, "workflow_run": nil})
	return c.repo.showDeployment(d), nil
}

func (r *Repo) showDeployment(d *deployment) object {
	at := r.at(fmt.Sprintf("/deployments/%d", d.ID))
	return object{"id": d.ID, "ref": d.Ref, "sha": d.SHA,
		"task": d.Task, "environment": d.Environment, "original_environment": d.Environment, "payload": d.Payload,
		"description": nullable(d.description), "creator": r.hub.account(d.Creator).show(), "url": at, "statuses_url": at + "/statuses", "repository_url": r.at(""),
		"production_environment": d.production, "transient_environment": d.transient, "created_at": stamp(d.at), "updated_at": stamp(d.at)}
}

func (c *call) deployment() (*deployment, error) {
	id := c.id("deployment_id")
	return find(c.repo.deployments, func(d *deployment) bool { return d.ID == id })
}

func (c *call) getDeployment() (any, error) {
	d, err := c.deployment()
	return one(d, err, c.repo.showDeployment)
}

// listDeployments answers the newest first.
func (c *call) listDeployments() (any, error) {
	var found []*deployment
	for _, d := range slices.Backward(c.repo.deployments) {
		is := func(name, value string) bool {
			asked := c.query(name)
			return asked == "" || asked == value || asked == "none" && name != "ref"
		}
		if is("sha", d.SHA) && is("ref", d.Ref) && is("task", d.Task) && is("environment", d.Environment) {
			found = append(found, d)
		}
	}
	return list(c, "", found, c.repo.showDeployment)
}

// createDeploymentStatus adds one. A success makes the environment's earlier
// deployments inactive, unless auto_inactive is false.
func (c *call) createDeploymentStatus() (any, error) {
	d, err := c.deployment()
	if err != nil {
		return nil, err
	}
	var in object
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if text, _ := in["description"].(string); len([]rune(text)) > 140 {
		return nil, invalid("DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	s := &deploymentStatus{c.hub.next(), in, c.bot().login, c.hub.now()}
	d.statuses = append(d.statuses, s)
	if in["state"] == "success" && in["auto_inactive"] != false && !d.transient {
		for _, other := range c.repo.deployments {
			if other != d && other.Environment == d.Environment && other.active() && !other.transient && !other.production {
				other.statuses = append(other.statuses, &deploymentStatus{c.hub.next(), object{"state": "inactive"}, s.login, s.at})
			}
		}
	}
	shown := c.repo.showDeploymentStatus(d, s)
	c.hub.emit(c.repo, "deployment_status", "created", c.bot(), object{"deployment": c.repo.showDeployment(d), "deployment_status": shown,
		"workflow": nil, "workflow_run": nil, "check_run": nil})
	return shown, nil
}

// active reports whether the latest status is a success.
func (d *deployment) active() bool {
	return len(d.statuses) > 0 && d.statuses[len(d.statuses)-1].sent["state"] == "success"
}

func (r *Repo) showDeploymentStatus(d *deployment, s *deploymentStatus) object {
	at := r.at(fmt.Sprintf("/deployments/%d", d.ID))
	shown := object{"id": s.id, "state": s.sent["state"], "creator": r.hub.account(s.login).show(),
		"description": "", "target_url": "", "log_url": "", "environment_url": "", "environment": d.Environment,
		"deployment_url": at, "repository_url": r.at(""), "url": fmt.Sprintf("%s/statuses/%d", at, s.id), "created_at": stamp(s.at), "updated_at": stamp(s.at)}
	for _, name := range []string{"description", "target_url", "log_url", "environment_url"} {
		if s.sent[name] != nil {
			shown[name] = s.sent[name]
		}
	}
	return shown
}

func (c *call) listDeploymentStatuses() (any, error) {
	d, err := c.deployment()
	if err != nil {
		return nil, err
	}
	newest := slices.Clone(d.statuses)
	slices.Reverse(newest)
	return list(c, "", newest, func(s *deploymentStatus) object { return c.repo.showDeploymentStatus(d, s) })
}
