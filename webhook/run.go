package webhook

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrMove is returned for a move that a run's state does not allow.
var ErrMove = errors.New("no such move")

// Run is the one effect of a rule on an event. There is at most one for each
// pair of RuleKey and EventKey.
type Run struct {
	// ID is that of RunID. It goes into the names of tasks, the inputs of
	// workflows and the external_id of check runs.
	ID string
	// RuleKey and EventKey name what it follows from.
	RuleKey  string
	EventKey string
	// Rev goes up by one with every change.
	Rev int64

	App          int64
	Installation int64
	Repository   int64
	FullName     string // of the repository, when the run was made

	Rule     string // the rule's id
	Event    string // the event's name
	Delivery string // the GUID, "" where no delivery is behind it
	Sender   string
	// At is when the event happened, zero where it does not say so, and of a run
	// that is done again.
	At time.Time
	// Commit is what the run is about, and what its check is on.
	Commit      string
	Ref         string // refs/heads/…, refs/tags/… or refs/pull/7/head; a deployment's as it has it
	Base        string // branch that a pull request or merge group is for
	PullRequest int    // 0 is none
	Fork        bool   // the commit comes from another repository
	// ConfigCommit is where the rule was read.
	ConfigCommit string
	// Rerun is the run that this one does again.
	Rerun string

	// Group is that of its concurrency, "" is none; MaxQueue how many may wait
	// in it beside the one whose turn it is.
	Group        string
	CancelOthers bool // those of its group that came before give way
	MaxQueue     int

	State  State
	Reason string // of the state, for people
	// CancelRequested is by whom, and wished for in any state that is not over.
	CancelRequested string
	ApprovedBy      string // of Commit and of no other
	// Attempt counts starts, beginning with 1.
	Attempt int

	// Due is when something is to be done about it next.
	Due     time.Time
	Created time.Time
	Asked   time.Time // when its last attempt was stored, before it was asked for
	Started time.Time // when it was first seen running
	Ended   time.Time
	// Seen is when the truth about it was last heard.
	Seen time.Time

	// What it became in other places.
	Task         string // ARN on ECS
	Cluster      string
	WorkflowRun  int64
	CheckRun     int64
	DeploymentID int64 // that was there, and that it is for
	CommentID    int64
	ExitCode     *int

	// Job is what to start, decided once: JSON of package rules.
	Job json.RawMessage
}

// RunID is the ID of the run that follows from a rule and an event: 26 of
// [a-z2-7]. Whoever decides the same again, after a crash or beside another,
// gets the same.
func RunID(ruleKey, eventKey string) string {
	sum := sha256.Sum256([]byte(ruleKey + "\x00" + eventKey))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
}

// Move takes the run to another state. An end stays: whoever comes later with
// other news is told ErrMove. Rev goes up, as with every change.
func (r *Run) Move(to State, reason string, now time.Time) error {
	if !r.State.May(to) {
		return fmt.Errorf("%w: run %s is %s and cannot become %s", ErrMove, r.ID, r.State, to)
	}
	switch {
	case to == Starting:
		r.Attempt++
		r.Asked = now
	case to == Running && r.Started.IsZero():
		r.Started = now
	case to.Over():
		r.Ended = now
	}
	r.State, r.Reason, r.Seen = to, reason, now
	r.Rev++
	return nil
}

// Since is the time that orders the run among others: its event's, or where that
// has none, its own. GitHub's have whole seconds, and so have all.
func (r *Run) Since() time.Time {
	if r.At.IsZero() {
		return r.Created.Truncate(time.Second)
	}
	return r.At.Truncate(time.Second)
}

// ClientToken makes ECS start an attempt once, however often it is asked: at
// most 64 characters (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html).
func (r *Run) ClientToken() string { return fmt.Sprintf("run-%s-%d", r.ID, r.Attempt) }

// ApprovalLapses is how long a run waits for approval.
const ApprovalLapses = 72 * time.Hour

// WorkflowPage is where a GitHub, https://github.com for one, shows the run of
// the workflow; "" where it is not known.
func (r *Run) WorkflowPage(github string) string {
	if r.WorkflowRun == 0 {
		return ""
	}
	return fmt.Sprintf("%s/%s/actions/runs/%d", strings.TrimSuffix(github, "/"), r.FullName, r.WorkflowRun)
}
