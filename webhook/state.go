package webhook

import "slices"

// State is where a run stands.
type State string

// The states of a run, in the order in which most pass through them.
const (
	// AwaitingApproval: someone who may write has to look at the commit first.
	AwaitingApproval State = "awaiting_approval"
	// Queued: it may start, when its time has come and its group has room.
	Queued State = "queued"
	// Starting: the intent to start is stored and the request may be out.
	Starting State = "starting"
	// Resolving: the answer was lost, and whether it started is being found out.
	Resolving State = "resolving"
	// Ambiguous: that could not be found out. A person says what is true;
	// starting again unasked could start it twice.
	Ambiguous State = "ambiguous"
	// Running: it is known by its task or its workflow run.
	Running State = "running"
	// Finishing: it stopped, and its logs and exit code are being collected.
	Finishing State = "finishing"

	// The ends, each for good.
	Succeeded State = "succeeded"
	Failed    State = "failed"
	TimedOut  State = "timed_out"
	Cancelled State = "cancelled" // or superseded, as its reason says
	Lost      State = "lost"      // with its host, or forgotten by it, and not tried again
)

// moves are the states that can follow on each; one without a row is an end.
// A run that is not over can be cancelled from everywhere.
var moves = map[State][]State{
	AwaitingApproval: {Queued, Cancelled},
	Queued:           {Starting, Failed, TimedOut, Cancelled},
	// Queued again: what hinders it will pass.
	Starting:  {Running, Resolving, Queued, Failed, TimedOut, Cancelled},
	Resolving: {Running, Ambiguous, Queued, Failed, TimedOut, Cancelled},
	// Queued by a person, or Running since it showed itself after all.
	Ambiguous: {Running, Queued, Failed, Cancelled},
	// Queued again: its host was lost, and its rule has it retried.
	Running:   {Finishing, Queued, Succeeded, Failed, TimedOut, Cancelled, Lost},
	Finishing: {Queued, Succeeded, Failed, TimedOut, Cancelled, Lost},
}

// States are all of them.
var States = []State{AwaitingApproval, Queued, Starting, Resolving, Ambiguous, Running, Finishing, Succeeded, Failed, TimedOut, Cancelled, Lost}

// Valid says whether there is such a state.
func (s State) Valid() bool { return slices.Contains(States, s) }

// Over says whether the state is an end.
func (s State) Over() bool { return s.Valid() && moves[s] == nil }

// May says whether a run can go from s to another state.
func (s State) May(to State) bool { return slices.Contains(moves[s], to) }

// Busy says whether a run in this state takes a place in its group: it runs
// there, or nobody knows that it does not.
func (s State) Busy() bool {
	switch s {
	case Starting, Resolving, Ambiguous, Running, Finishing:
		return true
	}
	return false
}

// Conclusion is how a check run ended, in GitHub's words; "" is not yet.
type Conclusion string

// The conclusions that the service gives.
const (
	ActionRequired      Conclusion = "action_required"
	ConclusionCancelled Conclusion = "cancelled"
	ConclusionFailure   Conclusion = "failure"
	ConclusionNeutral   Conclusion = "neutral"
	ConclusionSuccess   Conclusion = "success"
	ConclusionSkipped   Conclusion = "skipped"
	ConclusionTimedOut  Conclusion = "timed_out"
	statusQueued                   = "queued"
	statusInProgress               = "in_progress"
	statusCompleted                = "completed"
)

// Check is how a check run shows the state: its status, and its conclusion if
// that is "completed".
func (s State) Check() (status string, conclusion Conclusion) {
	switch s {
	case Queued, Starting, Resolving:
		return statusQueued, ""
	case Running, Finishing:
		return statusInProgress, ""
	case AwaitingApproval:
		return statusCompleted, ActionRequired
	case Ambiguous:
		return statusCompleted, ConclusionNeutral
	case Succeeded:
		return statusCompleted, ConclusionSuccess
	case TimedOut:
		return statusCompleted, ConclusionTimedOut
	case Cancelled:
		return statusCompleted, ConclusionCancelled
	}
	return statusCompleted, ConclusionFailure
}

// Deployment is how a deployment shows the state, in GitHub's words.
func (s State) Deployment() string {
	switch s {
	case AwaitingApproval, Queued, Starting, Resolving:
		return "queued"
	case Running, Finishing:
		return "in_progress"
	case Succeeded:
		return "success"
	case Failed, TimedOut:
		return "failure"
	}
	return "error" // cancelled, lost, ambiguous
}
