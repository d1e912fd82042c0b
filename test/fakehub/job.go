package fakehub

import (
	"fmt"
	"slices"
	"time"
)

// Job is a job of a run. What is exported does not change.
type Job struct {
	ID     int64
	Name   string
	Labels []string

	run        *Run
	attempt    int
	state      string
	conclusion string
	runner     string
	runnerID   int64
	created    time.Time
	ended      time.Time
	scale      scaled
}

// Jobs lists the jobs of the run's latest attempt.
func (run *Run) Jobs() []*Job {
	run.repo.hub.mu.Lock()
	defer run.repo.hub.mu.Unlock()
	return run.latest()
}

func (run *Run) latest() []*Job {
	return slices.DeleteFunc(slices.Clone(run.jobs), func(j *Job) bool { return j.attempt != run.attempt })
}

func (run *Run) queue(name string, labels []string) {
	j := &Job{ID: run.repo.hub.next(), Name: name, Labels: labels, run: run, attempt: run.attempt, state: "queued", created: run.repo.hub.now()}
	run.jobs = append(run.jobs, j)
	run.repo.hub.offerAll()
	j.tell("queued")
}

// Begin gives the job to a self-hosted runner, by its name. The Apps are told.
func (j *Job) Begin(name string) error {
	h := j.run.repo.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := find(h.runners, func(r *runner) bool { return r.name == name })
	if err != nil {
		return fmt.Errorf("no runner is called %s", name)
	}
	r.busy, r.state = true, "online"
	j.begin(r.name, r.id)
	return nil
}

func (j *Job) begin(runner string, id int64) {
	if j.state == "queued" {
		j.state, j.runner, j.runnerID = "in_progress", runner, id
		j.moved()
		j.tell("in_progress")
	}
}

// End ends the job. Its runner, which takes one job, is gone then. The Apps are
// told.
func (j *Job) End(conclusion string) {
	j.run.repo.hub.mu.Lock()
	defer j.run.repo.hub.mu.Unlock()
	j.end(conclusion)
}

func (j *Job) end(conclusion string) {
	h := j.run.repo.hub
	if j.state == "completed" {
		return
	}
	j.state, j.conclusion, j.ended = "completed", conclusion, h.now()
	h.runners = slices.DeleteFunc(h.runners, func(r *runner) bool { return r.id == j.runnerID })
	j.moved()
	j.tell("completed")
}

func (j *Job) tell(action string) {
	shown := j.show()
	shown["workflow_name"] = j.run.name
	j.run.repo.hub.emit(j.run.repo, "workflow_job", action, j.run.actor, object{"workflow_job": shown})
}

func (j *Job) show() object {
	shown := object{"id": j.ID, "run_id": j.run.ID, "run_url": j.run.at(), "run_attempt": j.attempt, "head_sha": j.run.head.sha, "head_branch": j.run.Branch,
		"name": j.Name, "workflow_name": j.run.name, "status": j.state, "labels": j.Labels, "created_at": stamp(j.created), "started_at": stamp(j.created),
		"conclusion": nil, "completed_at": nil, "runner_id": nil, "runner_name": nil, "runner_group_id": nil, "runner_group_name": nil, "steps": []object{}}
	if j.runner != "" {
		shown["runner_id"], shown["runner_name"], shown["runner_group_id"], shown["runner_group_name"] = j.runnerID, j.runner, 1, "Default"
	}
	if j.state == "completed" {
		shown["conclusion"], shown["completed_at"] = j.conclusion, stamp(j.ended)
	}
	return shown
}

func (c *call) listJobs() (any, error) {
	run, err := c.run()
	if err != nil {
		return nil, err
	}
	jobs := run.jobs
	if c.query("filter") != "all" {
		jobs = run.latest()
	}
	return list(c, "jobs", jobs, (*Job).show)
}

func (c *call) getJob() (any, error) {
	for _, run := range c.repo.runs {
		for _, j := range run.jobs {
			if j.ID == c.id("job_id") {
				return j.show(), nil
			}
		}
	}
	return nil, errNotFound
}
