package rules

import (
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// Wish is what a person asks for at a check run.
type Wish string

// The wishes; the first three are identifiers of the buttons that check runs
// have.
const (
	WishApprove  Wish = "approve"
	WishRerun    Wish = "rerun"
	WishCancel   Wish = "cancel"
	WishRerunAll Wish = "rerun_all" // of all runs of a commit
)

// Request is a wish about a run that exists. It is granted to those who may
// write, and about Commit alone.
type Request struct {
	Wish Wish
	// Run is its ID; "" with WishRerunAll.
	Run    string
	Commit string
	Sender string
}

// Requested reads a request from an event. The check has to be of the App
// itself: other Apps have buttons, too.
func Requested(e *webhook.Event, app int64) (Request, bool) {
	switch {
	case e.Name == "check_run" && e.CheckRun.App.ID == app && e.CheckRun.ExternalID != "":
		r := Request{WishRerun, e.CheckRun.ExternalID, e.CheckRun.HeadSHA, e.Sender.Login}
		if e.Action == "rerequested" {
			return r, true
		}
		r.Wish = Wish(e.RequestedAction.Identifier)
		return r, e.Action == "requested_action" && (r.Wish == WishApprove || r.Wish == WishRerun || r.Wish == WishCancel)
	case e.Name == "check_suite" && e.CheckSuite.App.ID == app && e.Action == "rerequested":
		return Request{WishRerunAll, "", e.CheckSuite.HeadSHA, e.Sender.Login}, true
	}
	return Request{}, false
}

// Granted says whether the wish is granted about a run, and why not.
func (r Request) Granted(run *webhook.Run, permission Permission) (bool, string) {
	switch {
	case !permission.AtLeast(Write):
		return false, r.Sender + " may not write in the repository"
	case run.Commit != r.Commit:
		return false, "the run is about another commit"
	case r.Wish == WishApprove && run.State != webhook.AwaitingApproval:
		return false, "the run does not wait for approval"
	case r.Wish == WishRerun && run.State == webhook.Ambiguous: // which is for a person to say
	case r.Wish == WishCancel && run.State.Over(), (r.Wish == WishRerun || r.Wish == WishRerunAll) && !run.State.Over():
		return false, "the run is " + string(run.State)
	}
	return true, ""
}

// NeedsApproval is why a run waits for approval.
const NeedsApproval = "code from a fork runs once someone who may write approves this commit"

// Unapproved says whether a run would give a fork's code what it gets once
// somebody has approved it, and nobody has. To ask for it again approves
// nothing.
func Unapproved(run *webhook.Run, job Job) bool {
	return run.Fork && run.ApprovedBy == "" && !job.Unprivileged
}

// Lapses says of which pull request runs that wait for approval may be void:
// something was pushed, or it was closed. As the event may be late, which they
// are is for the pull request to say as it is when they are looked at.
func Lapses(e *webhook.Event) (pullRequest int, ok bool) {
	if e.Name == "pull_request" && (e.Action == "synchronize" || e.Action == "closed") {
		return e.PullRequest.Number, true
	}
	return 0, false
}

// ConfigAt says where the configuration for an event is read, so that nobody
// chooses it who could not change it: at the branch that a pull request or
// merge group is for, at a commit pushed to the default branch, else at the
// default branch. The commit is "" where the branch is to be looked up. The
// pull request is the one that a comment is on.
func ConfigAt(e *webhook.Event, commented *webhook.PullRequest) (branch, commit string) {
	switch {
	case e.PullRequest != nil:
		return e.PullRequest.Base.Ref, ""
	case commented != nil:
		return commented.Base.Ref, ""
	case e.MergeGroup != nil:
		return strings.TrimPrefix(e.MergeGroup.BaseRef, "refs/heads/"), ""
	case e.Name == "push" && e.Ref == "refs/heads/"+e.Repository.DefaultBranch && !e.Deleted:
		return e.Repository.DefaultBranch, e.After
	}
	return e.Repository.DefaultBranch, ""
}
