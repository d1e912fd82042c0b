package fakehub

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Run is a run of a workflow. What is exported does not change.
type Run struct {
	ID     int64
	Path   string // of the workflow's file
	Title  string
	Event  string
	Branch string
	Inputs map[string]string

	workflow   int64
	name       string
	number     int
	repo       *Repo
	head       *commit
	actor      *account
	state      string
	conclusion string
	attempt    int
	created    time.Time
	started    time.Time
	jobs       []*Job
}

// Runs lists the runs of all workflows, the oldest first.
func (r *Repo) Runs() []*Run {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	return slices.Clone(r.runs)
}

// start starts a run and queues its jobs. The Apps are told.
func (r *Repo) start(w *workflow, event, branch string, at *commit, actor *account, inputs map[string]string, payload map[string]any) *Run {
	run := &Run{ID: r.hub.next(), Path: w.path, Title: w.title(event, branch, actor, inputs, payload), Event: event, Branch: branch, Inputs: inputs,
		workflow: w.id, name: w.name, repo: r, head: at, actor: actor, state: "queued", attempt: 1, created: r.hub.now(), started: r.hub.now()}
	r.started[w.id]++
	run.number = r.started[w.id]
	r.runs = append(r.runs, run)
	run.tell("requested")
	for _, name := range slices.Sorted(maps.Keys(w.jobs)) {
		run.queue(name, w.jobs[name])
	}
	return run
}

// Start lets the run and its jobs begin. The Apps are told.
func (run *Run) Start() {
	run.repo.hub.mu.Lock()
	defer run.repo.hub.mu.Unlock()
	run.state = "in_progress"
	run.tell("in_progress")
	for _, j := range run.jobs {
		j.begin("GitHub Actions 1", 0)
	}
}

// Complete ends the run and its jobs. The Apps are told.
func (run *Run) Complete(conclusion string) {
	run.repo.hub.mu.Lock()
	defer run.repo.hub.mu.Unlock()
	run.complete(conclusion)
}

func (run *Run) complete(conclusion string) {
	for _, j := range run.jobs {
		j.end(conclusion)
	}
	run.state, run.conclusion = "completed", conclusion
	run.tell("completed")
}

// Status is the run's state, and when that is "completed", its conclusion.
func (run *Run) Status() (state, conclusion string, attempt int) {
	run.repo.hub.mu.Lock()
	defer run.repo.hub.mu.Unlock()
	return run.state, run.conclusion, run.attempt
}

func (run *Run) tell(action string) {
	w := object{"id": run.workflow, "name": run.name, "path": run.Path, "state": "active"}
	run.repo.hub.emit(run.repo, "workflow_run", action, run.actor, object{"workflow_run": run.show(), "workflow": w})
}

func (run *Run) at() string { return run.repo.at(fmt.Sprintf("/actions/runs/%d", run.ID)) }

func (run *Run) page() string {
	return fmt.Sprintf("%s/%s/actions/runs/%d", run.repo.hub.URL, run.repo.FullName, run.ID)
}

func (run *Run) show() object {
	shown := object{
		"id": run.ID, "name": run.name, "display_title": run.Title, "event": run.Event, "status": run.state, "conclusion": nil, "workflow_id": run.workflow,
		"path": run.Path, "run_number": run.number, "run_attempt": run.attempt, "head_branch": run.Branch, "head_sha": run.head.sha,
		"url": run.at(), "html_url": run.page(), "jobs_url": run.at() + "/jobs", "created_at": stamp(run.created), "updated_at": stamp(run.repo.hub.now()),
		"run_started_at": stamp(run.started), "actor": run.actor.show(), "triggering_actor": run.actor.show(), "pull_requests": []object{},
		"repository": run.repo.show(), "head_repository": run.repo.show(),
		"head_commit": object{"id": run.head.sha, "tree_id": blobSHA(run.head.sha), "message": run.head.message, "timestamp": stamp(run.head.at),
			"author": run.head.who(), "committer": run.head.who()},
	}
	if run.conclusion != "" {
		shown["conclusion"] = run.conclusion
	}
	return shown
}

// listRuns answers the newest first, of one workflow or of all.
func (c *call) listRuns() (any, error) {
	of := int64(0)
	if c.path("workflow_id") != "" {
		w, err := c.workflow()
		if err != nil {
			return nil, err
		}
		of = w.id
	}
	after, before := created(c.query("created"))
	actor, status := c.query("actor"), c.query("status")
	var found []*Run
	for _, run := range slices.Backward(c.repo.runs) {
		switch {
		case of != 0 && run.workflow != of,
			actor != "" && !strings.EqualFold(actor, run.actor.login),
			c.query("branch") != "" && c.query("branch") != run.Branch,
			c.query("event") != "" && c.query("event") != run.Event,
			c.query("head_sha") != "" && c.query("head_sha") != run.head.sha,
			status != "" && status != run.state && status != run.conclusion,
			run.created.Truncate(time.Second).Before(after), run.created.After(before):
			continue
		}
		found = append(found, run)
	}
	return list(c, "workflow_runs", found, (*Run).show)
}

// created reads a range of times: >=T, <=T, A..B, or a day
// (https://docs.github.com/search-github/getting-started-with-searching-on-github/understanding-the-search-syntax#query-for-dates).
func created(text string) (after, before time.Time) {
	before = time.Unix(1<<40, 0)
	parse := func(s string, fallback time.Time) time.Time {
		for _, layout := range []string{time.RFC3339, "2006-01-02"} {
			if t, err := time.Parse(layout, s); err == nil {
				return t
			}
		}
		return fallback
	}
	switch from, to, both := strings.Cut(text, ".."); {
	case text == "":
	case both:
		return parse(from, after), parse(to, before)
	case strings.HasPrefix(text, ">"):
		after = parse(strings.TrimLeft(text, ">="), after)
	case strings.HasPrefix(text, "<"):
		before = parse(strings.TrimLeft(text, "<="), before)
	default:
		after = parse(text, after)
		before = after.Add(24 * time.Hour)
	}
	return after, before
}

func (c *call) run() (*Run, error) {
	id := c.id("run_id")
	return find(c.repo.runs, func(run *Run) bool { return run.ID == id })
}

func (c *call) getRun() (any, error) {
	run, err := c.run()
	return one(run, err, (*Run).show)
}

func (c *call) cancelRun() (any, error) {
	run, err := c.run()
	if err != nil {
		return nil, err
	}
	if run.state == "completed" {
		return nil, refuse(http.StatusConflict, "Cannot cancel a workflow run that is completed.")
	}
	run.complete("cancelled")
	return object{}, nil
}

func (c *call) rerun() (any, error) {
	run, err := c.run()
	if err != nil {
		return nil, err
	}
	if run.state != "completed" {
		return nil, refuse(http.StatusForbidden, "This workflow is already running")
	}
	run.attempt++
	run.state, run.conclusion, run.started = "queued", "", c.hub.now()
	run.tell("requested")
	for _, j := range run.jobs {
		run.queue(j.Name, j.Labels)
	}
	return object{}, nil
}
