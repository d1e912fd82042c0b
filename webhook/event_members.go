package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Moment is a time as the body spells it: GitHub has several ways, and a time
// that nobody can read must not make an event unreadable.
type Moment string

// UnmarshalJSON takes strings and numbers; of anything else nothing is kept.
func (m *Moment) UnmarshalJSON(b []byte) error {
	var text string
	var seconds int64
	switch {
	case json.Unmarshal(b, &text) == nil:
		*m = Moment(text)
	case json.Unmarshal(b, &seconds) == nil:
		*m = Moment(strconv.FormatInt(seconds, 10))
	}
	return nil
}

// Time is zero if the moment is neither of RFC 3339 nor seconds since 1970.
func (m Moment) Time() time.Time {
	if seconds, err := strconv.ParseInt(string(m), 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC()
	}
	t, err := time.Parse(time.RFC3339, string(m))
	if err != nil {
		return time.Time{}
	}
	return t
}

// MomentOf is a time as most bodies spell it.
func MomentOf(t time.Time) Moment { return Moment(t.UTC().Format(time.RFC3339)) }

// Installation is the App's, on an account.
type Installation struct {
	ID      int64 `json:"id"`
	Account User  `json:"account"`
}

// User is a person, a bot or an organisation.
type User struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Type  string `json:"type"` // User, Bot or Organization
}

// Repository is known by its ID: names change hands.
type Repository struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
	Private       bool   `json:"private"`
	Fork          bool   `json:"fork"`
	Archived      bool   `json:"archived"`
	Owner         User   `json:"owner"`
	PushedAt      Moment `json:"pushed_at"`
}

// Commit is one of a push, with the paths that it touched. A push has at most
// 2,048 of them.
type Commit struct {
	ID       string   `json:"id"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
}

// PullRequest is one at the time of the event.
type PullRequest struct {
	Number    int     `json:"number"`
	Title     string  `json:"title"`
	State     string  `json:"state"`
	Draft     bool    `json:"draft"`
	Merged    bool    `json:"merged"`
	User      User    `json:"user"`
	Labels    []Label `json:"labels"`
	Head      Tip     `json:"head"`
	Base      Tip     `json:"base"`
	UpdatedAt Moment  `json:"updated_at"`
}

// Tip is one of the two branches of a pull request.
type Tip struct {
	Ref string `json:"ref"` // the branch's name
	SHA string `json:"sha"`
	// Repository is nil if it was deleted.
	Repository *Repository `json:"repo"`
}

// Fork says whether the pull request's code comes from another repository than
// the one that it is for. A repository that is gone is another.
func (p *PullRequest) Fork(repository int64) bool {
	head, base := p.Head.Repository, p.Base.Repository
	if base != nil && base.ID != 0 && base.ID != repository {
		return true
	}
	return head == nil || head.ID == 0 || head.ID != repository
}

// Label is one of a pull request's or an issue's.
type Label struct {
	Name string `json:"name"`
}

// MergeGroup is what a merge queue wants checked.
type MergeGroup struct {
	HeadSHA string `json:"head_sha"`
	HeadRef string `json:"head_ref"`
	BaseSHA string `json:"base_sha"`
	BaseRef string `json:"base_ref"` // full
	// Head is the commit that GitHub made of the queue.
	Head struct {
		Timestamp Moment `json:"timestamp"`
	} `json:"head_commit"`
}

// Release is one of a repository's.
type Release struct {
	ID          int64  `json:"id"`
	Tag         string `json:"tag_name"`
	Target      string `json:"target_commitish"`
	Name        string `json:"name"`
	Body        string `json:"body"`
	Draft       bool   `json:"draft"`
	Prerelease  bool   `json:"prerelease"`
	PublishedAt Moment `json:"published_at"`
	// UpdatedAt is not there in the bodies of older servers.
	UpdatedAt Moment `json:"updated_at"`
}

// digest is of all that people can edit.
func (r *Release) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %t %t", r.Tag, r.Target, r.Name, r.Body, r.Draft, r.Prerelease))
	return hex.EncodeToString(sum[:8])
}

// Deployment is a request to deploy.
type Deployment struct {
	ID          int64           `json:"id"`
	SHA         string          `json:"sha"`
	Ref         string          `json:"ref"`
	Task        string          `json:"task"`
	Environment string          `json:"environment"`
	Creator     User            `json:"creator"`
	Payload     json.RawMessage `json:"payload"`
	CreatedAt   Moment          `json:"created_at"`
}

// Package is one of a registry of GitHub's, with the version that the event is
// about.
type Package struct {
	ID        int64          `json:"id"`
	Name      string         `json:"name"`
	Namespace string         `json:"namespace"`
	Type      string         `json:"package_type"`
	Owner     User           `json:"owner"`
	Version   PackageVersion `json:"package_version"`
}

// PackageVersion is one version of a package.
type PackageVersion struct {
	ID      int64  `json:"id"`
	Version string `json:"version"`
	// Target is a commit, or for images sometimes the digest without its
	// algorithm.
	Target    string `json:"target_oid"`
	UpdatedAt Moment `json:"updated_at"`
	// URL is the reference of an image, with an empty tag if it has none.
	URL       string `json:"package_url"`
	Container struct {
		Tag struct {
			Name   string `json:"name"`
			Digest string `json:"digest"`
		} `json:"tag"`
	} `json:"container_metadata"`
}

// Issue is what a comment is on. Every pull request is an issue, too.
type Issue struct {
	Number      int              `json:"number"`
	State       string           `json:"state"`
	PullRequest *json.RawMessage `json:"pull_request"`
}

// Comment is one on an issue or pull request.
type Comment struct {
	ID        int64  `json:"id"`
	Body      string `json:"body"`
	User      User   `json:"user"`
	CreatedAt Moment `json:"created_at"`
}

// CheckRun is one of any App's.
type CheckRun struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	HeadSHA     string `json:"head_sha"`
	ExternalID  string `json:"external_id"` // for us, a run's ID
	App         App    `json:"app"`
	StartedAt   Moment `json:"started_at"`
	CompletedAt Moment `json:"completed_at"`
}

// CheckSuite is all check runs of one App on one commit.
type CheckSuite struct {
	ID        int64  `json:"id"`
	HeadSHA   string `json:"head_sha"`
	App       App    `json:"app"`
	UpdatedAt Moment `json:"updated_at"`
}

// App is a GitHub App.
type App struct {
	ID   int64  `json:"id"`
	Slug string `json:"slug"`
}

// WorkflowJob is a job of GitHub Actions.
type WorkflowJob struct {
	ID         int64    `json:"id"`
	RunID      int64    `json:"run_id"`
	RunAttempt int      `json:"run_attempt"`
	Name       string   `json:"name"`
	Status     string   `json:"status"`
	Conclusion string   `json:"conclusion"`
	Labels     []string `json:"labels"`
	RunnerID   int64    `json:"runner_id"`
	RunnerName string   `json:"runner_name"`
	HeadSHA    string   `json:"head_sha"`
}

// WorkflowRun is a run of GitHub Actions.
type WorkflowRun struct {
	ID           int64  `json:"id"`
	RunAttempt   int    `json:"run_attempt"`
	Event        string `json:"event"`
	Path         string `json:"path"`
	Status       string `json:"status"`
	Conclusion   string `json:"conclusion"`
	DisplayTitle string `json:"display_title"`
	HeadSHA      string `json:"head_sha"`
	HeadBranch   string `json:"head_branch"`
	UpdatedAt    Moment `json:"updated_at"`
}
