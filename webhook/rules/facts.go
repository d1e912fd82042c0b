package rules

import (
	"slices"

	"github.com/clipperregistry/runner/webhook"
)

// Facts are what a decision needs and an event does not have. Those that are
// expensive are left out until a decision asks for them.
type Facts struct {
	// App is the ID of the App that decides.
	App int64
	// Bot is the login of the App's own user, as in clipper[bot].
	Bot string

	// Paths are those that the push or pull request changes, once PathsKnown.
	// PathsCut says that there are more, which GitHub did not list.
	Paths      []string
	PathsKnown bool
	PathsCut   bool

	// Permission is the sender's in the repository at this time, as the
	// collaborators API tells it; author_association in bodies is another
	// thing. "" is unknown.
	Permission Permission
	// PullRequest is what a comment is on, at this time.
	PullRequest *webhook.PullRequest
	// Commit is that of the ref, for events that name no commit.
	Commit string
	// ApprovedBy is who may write and approved this rule for this commit.
	ApprovedBy string
}

// Need is a fact that a decision asks for.
type Need string

// The facts that are asked for.
const (
	NeedPaths       Need = "paths"
	NeedPermission  Need = "permission"
	NeedPullRequest Need = "pull_request"
	NeedCommit      Need = "commit"
)

// Permission is what a person may do in a repository, by GitHub's role names.
type Permission string

// The permissions, each with all before it.
const (
	None     Permission = "none"
	Read     Permission = "read"
	Triage   Permission = "triage"
	Write    Permission = "write"
	Maintain Permission = "maintain"
	Admin    Permission = "admin"
)

var permissions = []Permission{None, Read, Triage, Write, Maintain, Admin}

// AtLeast says whether p includes another permission. One that is unknown
// includes nothing.
func (p Permission) AtLeast(other Permission) bool {
	wanted := slices.Index(permissions, other)
	return wanted >= 0 && slices.Index(permissions, p) >= wanted
}
