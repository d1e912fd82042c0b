package fakehub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// jitConfig is what a runner is started with. A real one has a private key in
// it, and is larger than what a standard parameter of the Parameter Store
// takes.
func jitConfig() string {
	return base64.StdEncoding.EncodeToString([]byte(`{".runner":"` + rand.Text() + `",".credentials_rsaparams":"` + strings.Repeat(rand.Text(), 130) + `"}`))
}

// createJIT is POST …/generatejitconfig of a scale set.
func (s *scaleCall) createJIT() (int, any) {
	var in struct {
		Name string `json:"name"`
		Work string `json:"workFolder"`
	}
	if !s.read(&in) || in.Name == "" {
		return s.wrong("the body is not as it has to be")
	}
	if slices.ContainsFunc(s.hub.runners, func(r *runner) bool { return r.where == s.where && strings.EqualFold(r.name, in.Name) }) {
		return exception(http.StatusConflict, "TaskAgentExistsException", "Already exists - A runner with the name *** already exists.")
	}
	r := &runner{id: s.hub.next(), name: in.Name, where: s.where, group: s.set.group, names: s.set.labels, state: "offline", set: s.set, config: jitConfig()}
	s.hub.runners = append(s.hub.runners, r)
	return http.StatusOK, object{"runner": r.reference(), "encodedJITConfig": r.config}
}

func (r *runner) reference() object {
	shown := object{"id": r.id, "name": r.name}
	if r.set != nil {
		shown["runnerScaleSetId"] = r.set.id
	}
	return shown
}

// agents is the part of the service about runners: by name, or by ID.
func (s *scaleCall) agents(id string) (int, any) {
	number, err := strconv.ParseInt(id, 10, 64)
	if id == "" {
		return s.named("find-runner", http.MethodGet, func() (int, any) {
			found := []object{}
			for _, r := range s.hub.runners {
				if r.where == s.where && r.name == s.request.URL.Query().Get("agentName") {
					found = append(found, r.reference())
				}
			}
			return http.StatusOK, object{"count": len(found), "value": found}
		})
	}
	i := slices.IndexFunc(s.hub.runners, func(r *runner) bool { return err == nil && r.where == s.where && r.id == number })
	missing := func() (int, any) {
		return exception(http.StatusNotFound, "TaskAgentNotFoundException", "Could not find agent with ID "+id+".")
	}
	if s.request.Method == http.MethodGet {
		return s.named("get-runner", http.MethodGet, func() (int, any) {
			if i < 0 {
				return missing()
			}
			return http.StatusOK, s.hub.runners[i].reference()
		})
	}
	return s.named("remove-runner", http.MethodDelete, func() (int, any) {
		switch {
		case i < 0:
			return missing()
		case s.hub.runners[i].busy:
			return exception(http.StatusBadRequest, "TaskAgentJobStillRunningException", "JobStillRunningException: the runner is running a job.")
		}
		s.hub.runners = slices.Delete(s.hub.runners, i, i+1)
		s.hub.scales.stir()
		return http.StatusNoContent, nil
	})
}

// Errors of RunAgent.
var (
	// ErrAgent says that a configuration starts no runner: it is none, was used,
	// or its runner was removed.
	ErrAgent = errors.New("the configuration is no runner's")
	// ErrRemoved says that the runner was removed while it waited for a job.
	ErrRemoved = errors.New("the runner was removed")
)

// RunAgent is GitHub's runner, started with a JIT configuration: it connects,
// waits for one job, works, and is gone. work says how the job ends. When the
// context ends, the runner is killed: GitHub fails the job that it had.
func (h *Hub) RunAgent(ctx context.Context, config string, work func(context.Context, *Job) (conclusion string)) error {
	h.mu.Lock()
	i := slices.IndexFunc(h.runners, func(r *runner) bool { return r.config == config && config != "" })
	if i < 0 || h.runners[i].connected {
		h.mu.Unlock()
		return ErrAgent
	}
	r := h.runners[i]
	r.connected, r.state = true, "online"
	h.scales.stir()
	job, err := h.assign(ctx, r)
	h.mu.Unlock()
	if err != nil {
		return err
	}
	conclusion := work(ctx, job)
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		conclusion = "failure"
	}
	job.end(conclusion)
	return ctx.Err()
}

// assign waits for a job for a runner. The hub's lock is held on both ends.
func (h *Hub) assign(ctx context.Context, r *runner) (*Job, error) {
	for {
		if !slices.Contains(h.runners, r) {
			return nil, ErrRemoved
		}
		if j := h.fitting(r); j != nil {
			r.busy = true
			j.begin(r.name, r.id)
			return j, nil
		}
		changed := h.scales.changed
		h.mu.Unlock()
		select {
		case <-changed:
			h.mu.Lock()
		case <-ctx.Done():
			h.mu.Lock()
			r.state = "offline"
			h.scales.stir()
			return nil, fmt.Errorf("the runner %s was killed: %w", r.name, ctx.Err())
		case <-h.life.Done():
			h.mu.Lock()
			return nil, ErrRemoved
		}
	}
}

// fitting is the oldest job that a runner can take.
func (h *Hub) fitting(r *runner) *Job {
	var found *Job
	h.eachJob(func(j *Job) {
		here := r.where == j.run.repo || r.where == j.run.repo.owner
		mine := r.set == nil && j.scale.set == nil && within(j.Labels, r.names) || r.set != nil && j.scale.set == r.set && j.scale.acquired
		if found == nil && j.state == "queued" && here && mine {
			found = j
		}
	})
	return found
}
