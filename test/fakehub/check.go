package fakehub

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Check is a check run as tests see it.
type Check struct {
	ID                     int64
	Name, HeadSHA          string
	Status, Conclusion     string
	ExternalID, DetailsURL string
	Title, Summary, Text   string
	Annotations            []map[string]any
	Actions                []string // identifiers of its buttons
	// Updates counts how often it was changed since it was created.
	Updates int
}

type checkRun struct {
	id          int64
	suite       *suite
	members     object // as they were sent, without the output's annotations
	annotations []map[string]any
	updates     int
}

// Checks lists the check runs of a commit, the oldest first; "": of all commits.
func (r *Repo) Checks(sha string) []Check {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	var all []Check
	for _, k := range r.checks {
		if sha == "" || k.suite.sha == sha {
			all = append(all, k.seen())
		}
	}
	return all
}

func (k *checkRun) seen() Check {
	text := func(name string) string { s, _ := k.members[name].(string); return s }
	output, _ := k.members["output"].(object)
	out := func(name string) string { s, _ := output[name].(string); return s }
	seen := Check{ID: k.id, Name: text("name"), HeadSHA: k.suite.sha, Status: text("status"), Conclusion: text("conclusion"), ExternalID: text("external_id"),
		DetailsURL: text("details_url"), Title: out("title"), Summary: out("summary"), Text: out("text"), Annotations: slices.Clone(k.annotations), Updates: k.updates}
	actions, _ := k.members["actions"].([]any)
	for _, action := range actions {
		seen.Actions = append(seen.Actions, fmt.Sprint(action.(object)["identifier"]))
	}
	return seen
}

// Rerequest presses "Re-run" of a check run. Its App is told.
func (r *Repo) Rerequest(id int64, login string) error { return r.press(id, login, "rerequested", nil) }

// RequestAction presses one of the check run's own buttons. Its App is told.
func (r *Repo) RequestAction(id int64, login, identifier string) error {
	return r.press(id, login, "requested_action", object{"requested_action": object{"identifier": identifier}})
}

func (r *Repo) press(id int64, login, action string, extra object) error {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	k, err := find(r.checks, func(k *checkRun) bool { return k.id == id })
	if err != nil {
		return fmt.Errorf("%s has no check run %d", r.FullName, id)
	}
	shown := object{"check_run": r.showCheck(k)}
	maps.Copy(shown, extra)
	for _, i := range r.hub.installations(k.suite.app) {
		if i.sees(r) {
			r.hub.emitTo(i, "check_run", action, r.hub.account(login), r, shown)
		}
	}
	return nil
}

func (r *Repo) showCheck(k *checkRun) object {
	shown := object{"id": k.id, "head_sha": k.suite.sha, "url": r.at(fmt.Sprintf("/check-runs/%d", k.id)), "html_url": fmt.Sprintf("%s/%s/runs/%d", r.hub.URL, r.FullName, k.id),
		"app": k.suite.app.show(), "check_suite": object{"id": k.suite.id}, "pull_requests": []object{}}
	for _, name := range []string{"name", "status", "conclusion", "external_id", "details_url", "started_at", "completed_at"} {
		shown[name] = k.members[name]
	}
	output := object{"title": nil, "summary": nil, "text": nil, "annotations_count": len(k.annotations), "annotations_url": r.at(fmt.Sprintf("/check-runs/%d/annotations", k.id))}
	if sent, ok := k.members["output"].(object); ok {
		for _, name := range []string{"title", "summary", "text"} {
			if sent[name] != nil {
				output[name] = sent[name]
			}
		}
	}
	shown["output"] = output
	return shown
}

func (c *call) createCheck() (any, error) {
	var in object
	if err := c.read(&in); err != nil {
		return nil, err
	}
	sha, _ := in["head_sha"].(string)
	if c.repo.graph.commits[sha] == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", sha)
	}
	k := &checkRun{id: c.hub.next(), suite: c.repo.suiteOf(c.token.install.app, sha)}
	k.members = object{"status": "queued", "started_at": stamp(c.hub.now()), "details_url": homepage, "external_id": ""}
	if err := k.take(in, c.hub.now()); err != nil {
		return nil, err
	}
	c.repo.checks = append(c.repo.checks, k)
	k.suite.runs = append(k.suite.runs, k)
	c.hub.emit(c.repo, "check_run", "created", c.bot(), object{"check_run": c.repo.showCheck(k)})
	return c.repo.showCheck(k), nil
}

// take takes what a request says of a check run: a conclusion completes it,
// and one that is completed must have one; annotations are added
// (https://docs.github.com/rest/checks/runs).
func (k *checkRun) take(in object, now time.Time) error {
	status, set := in["status"].(string)
	conclusion, _ := in["conclusion"].(string)
	if status == "completed" && conclusion == "" {
		return invalid("CheckRun", "conclusion", "missing_field", `A conclusion is needed with the status "completed".`)
	}
	if conclusion == "stale" {
		return invalid("CheckRun", "conclusion", "invalid", `Only GitHub can mark a check run as stale.`)
	}
	for name, value := range in {
		if name != "output" && name != "head_sha" {
			k.members[name] = value
		}
	}
	if output, ok := in["output"].(object); ok {
		added, _ := output["annotations"].([]any)
		for _, one := range added {
			k.annotations = append(k.annotations, one.(object))
		}
		kept := maps.Clone(output)
		delete(kept, "annotations")
		k.members["output"] = kept
	}
	k.suite.updated = now
	switch {
	case conclusion != "":
		k.members["status"] = "completed"
		if in["completed_at"] == nil {
			k.members["completed_at"] = stamp(now)
		}
	case set: // again: what it came to is gone
		k.members["conclusion"], k.members["completed_at"] = nil, nil
	}
	return nil
}

func (c *call) check() (*checkRun, error) {
	id := c.id("check_run_id")
	return find(c.repo.checks, func(k *checkRun) bool { return k.id == id })
}

func (c *call) updateCheck() (any, error) {
	k, err := c.check()
	if err != nil {
		return nil, err
	}
	if k.suite.app != c.token.install.app {
		return nil, refuse(http.StatusForbidden, "Invalid app_id `%d` - check run can only be modified by the GitHub App that created it.", c.token.install.app.ID)
	}
	var in object
	if err := c.read(&in); err != nil {
		return nil, err
	}
	before := k.members["status"]
	if err := k.take(in, c.hub.now()); err != nil {
		return nil, err
	}
	k.updates++
	if k.members["status"] == "completed" && before != "completed" {
		c.hub.emit(c.repo, "check_run", "completed", c.bot(), object{"check_run": c.repo.showCheck(k)})
		if state, _ := k.suite.state(); state == "completed" {
			c.hub.emit(c.repo, "check_suite", "completed", c.bot(), object{"check_suite": c.repo.showSuite(k.suite)})
		}
	}
	return c.repo.showCheck(k), nil
}

func (c *call) getCheck() (any, error) {
	k, err := c.check()
	return one(k, err, c.repo.showCheck)
}

func (c *call) listAnnotations() (any, error) {
	k, err := c.check()
	if err != nil {
		return nil, err
	}
	return list(c, "", k.annotations, func(one map[string]any) object { return one })
}
