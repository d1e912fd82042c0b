package chaos

import (
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// truth is how a run ended, by what really ran, and what GitHub is to show of
// that: in this test's own words, lest it believe the service's.
type truth struct {
	state webhook.State
	// The conclusion of its check, the state of its deployment, and its title in
	// a comment.
	check, deployment, title string
}

var (
	succeeded = truth{webhook.Succeeded, "success", "success", "Succeeded"}
	failed    = truth{webhook.Failed, "failure", "failure", "Failed"}
	timedOut  = truth{webhook.TimedOut, "timed_out", "failure", "Timed out"}
	cancelled = truth{webhook.Cancelled, "cancelled", "error", "Cancelled"}
	unknown   = truth{webhook.Ambiguous, "neutral", "error", "Whether it was started is not known"}
	running   = truth{state: "runs"}
	nothing   = truth{state: "never started"}
)

// truth is that of a run. Only the next commit of its pull request cancels one,
// and only a workflow can have been started or not.
func (v *verdict) truth(run webhook.Run) truth {
	switch {
	case len(v.tasks[run.ID]) > 0:
		t := endOfTask(v.tasks[run.ID][0])
		if t == cancelled && !v.outdated(run) {
			t.state = "was stopped, with no newer commit"
		}
		return t
	case len(v.workflows[run.ID]) > 0:
		return endOfWorkflow(v.workflows[run.ID][0])
	case v.unknown(run):
		return unknown
	case v.outdated(run):
		return cancelled
	}
	return nothing
}

// outdated says whether a run is one for a commit of a pull request that has a
// newer one.
func (v *verdict) outdated(run webhook.Run) bool {
	p := v.w.pullOf(run)
	return p != nil && run.Commit != p.head()
}

// pullOf is the pull request that has a run's commit; nil is none.
func (w *world) pullOf(run webhook.Run) *pull {
	for _, p := range w.pulls {
		if p.repo.FullName == run.FullName && slices.Contains(p.commits, run.Commit) {
			return p
		}
	}
	return nil
}

// unknown says whether nobody can know of a run whether it was started.
func (v *verdict) unknown(run webhook.Run) bool {
	return run.Rule == "deploy" && run.State == webhook.Ambiguous && len(v.workflows[run.ID]) == 0
}

func endOfTask(t types.Task) truth {
	code := int32(-1)
	for _, c := range t.Containers {
		if aws.ToString(c.Name) == "run" && c.ExitCode != nil {
			code = *c.ExitCode
		}
	}
	switch {
	case aws.ToString(t.LastStatus) != "STOPPED":
		return running
	case t.StopCode == types.TaskStopCodeUserInitiated:
		return cancelled
	case t.StopCode == types.TaskStopCodeEssentialContainerExited && code == 0:
		return succeeded
	}
	end := failed
	end.title = fmt.Sprintf("Failed with exit code %d", code)
	return end
}

func endOfWorkflow(r *fakehub.Run) truth {
	state, conclusion, _ := r.Status()
	if state != "completed" {
		return running
	}
	return map[string]truth{"success": succeeded, "failure": failed, "cancelled": cancelled, "timed_out": timedOut}[conclusion]
}

// allEnded: no run is stuck, and each ended as what it started did. One whose
// start nobody can tell of waits for a person: then GitHub has nothing of it.
func (v *verdict) allEnded() {
	for id, run := range v.runs {
		if truth := v.truth(run); run.State != truth.state {
			v.say("run %s (%s of %.7s, %s) is %s, and in truth it %s", id, run.Rule, run.Commit, run.Reason, run.State, truth.state)
		}
	}
}

// fewUnknown: nobody can tell of a start only where GitHub did not answer or
// the service was killed over it. Most workflows are started.
func (v *verdict) fewUnknown() {
	unknown, deploys := 0, 0
	for _, run := range v.runs {
		if run.Rule == "deploy" {
			deploys++
		}
		if v.unknown(run) {
			unknown++
		}
	}
	if most := v.w.unheard(); unknown > most || unknown*2 > deploys {
		v.say("of %d starts of workflows, nobody can tell of %d; %d can have been lost", deploys, unknown, most)
	}
}
