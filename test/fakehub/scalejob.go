package fakehub

import (
	"net/http"
	"slices"
	"strconv"
)

// scaled is what the Actions service knows of a job.
type scaled struct {
	set      *scaleSet // that it is for
	offered  bool      // a JobAvailable has told of it
	acquired bool      // the set's client has taken it on
}

// eachJob visits the jobs of all repositories, the oldest first.
func (h *Hub) eachJob(visit func(*Job)) {
	var all []*Job
	for _, r := range h.repos {
		for _, run := range r.runs {
			all = append(all, run.jobs...)
		}
	}
	slices.SortFunc(all, func(a, b *Job) int { return int(a.ID - b.ID) })
	for _, j := range all {
		visit(j)
	}
}

// offerAll gives queued jobs to the scale sets that have their labels.
func (h *Hub) offerAll() {
	h.eachJob(func(j *Job) {
		if j.state != "queued" || j.scale.set != nil {
			return
		}
		for _, set := range h.scales.sets {
			if (set.where == j.run.repo || set.where == j.run.repo.owner) && within(j.Labels, set.labels) {
				j.scale = scaled{set: set}
			}
		}
	})
	h.scales.stir()
}

// statistics are how many jobs and runners a set has now.
func (h *Hub) statistics(set *scaleSet) object {
	available, acquired, assigned, running := 0, 0, 0, 0
	h.eachJob(func(j *Job) {
		switch {
		case j.scale.set != set || j.state == "completed":
		case j.state == "in_progress":
			assigned, running = assigned+1, running+1
		case j.scale.acquired:
			assigned, acquired = assigned+1, acquired+1
		default:
			available++
		}
	})
	registered, busy, idle := 0, 0, 0
	for _, r := range h.runners {
		switch {
		case r.set != set:
			continue
		case r.busy:
			busy++
		case r.state == "online":
			idle++
		}
		registered++
	}
	return object{"totalAvailableJobs": available, "totalAcquiredJobs": acquired, "totalAssignedJobs": assigned, "totalRunningJobs": running,
		"totalRegisteredRunners": registered, "totalBusyRunners": busy, "totalIdleRunners": idle}
}

// news is one of the messages about a job.
func (j *Job) news(kind string, extra object) object {
	r := j.run.repo
	told := object{"messageType": kind, "runnerRequestId": j.ID, "repositoryName": r.name, "ownerName": r.owner.login, "jobId": strconv.FormatInt(j.ID, 10),
		"jobDisplayName": j.Name, "workflowRunId": j.run.ID, "eventName": j.run.Event, "requestLabels": j.Labels, "queueTime": stamp(j.created)}
	for name, value := range extra {
		told[name] = value
	}
	return told
}

// moved tells the Actions service that a job has begun or ended.
func (j *Job) moved() {
	h := j.run.repo.hub
	if set := j.scale.set; set != nil {
		who := object{"runnerId": j.runnerID, "runnerName": j.runner}
		if j.state == "in_progress" {
			set.news = append(set.news, j.news("JobStarted", who))
		} else {
			who["result"] = j.conclusion
			set.news = append(set.news, j.news("JobCompleted", who))
		}
	}
	h.scales.stir()
}

// acquire is POST …/acquirejobs: the client takes jobs on, with the session's
// token.
func (s *scaleCall) acquire(token string) (int, any) {
	if s.set.session == nil || s.session(token) != s.set.session {
		return http.StatusUnauthorized, object{"typeName": "VssUnauthorizedException", "message": "The session has ended"}
	}
	var ids []int64
	if !s.read(&ids) {
		return s.wrong("the body is not as it has to be")
	}
	taken := []int64{}
	s.hub.eachJob(func(j *Job) {
		if slices.Contains(ids, j.ID) && j.scale.set == s.set && j.state == "queued" && !j.scale.acquired {
			j.scale.acquired = true
			s.set.news = append(s.set.news, j.news("JobAssigned", nil))
			taken = append(taken, j.ID)
		}
	})
	s.hub.scales.stir()
	return http.StatusOK, object{"count": len(taken), "value": taken}
}
