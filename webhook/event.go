package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrEvent is returned for a body that is not what its event's name says.
var ErrEvent = errors.New("no such event")

// Event is what a delivery says, as far as rules ask for it. All of it is from
// the body, which GitHub signs, and nothing from the headers, which it does
// not. A member that the body lacks, or has in another type, is zero: of what
// GitHub adds or bends, nothing makes an event unreadable that does not need
// it.
type Event struct {
	// Name is the kind of event: as X-GitHub-Event has it, held against the
	// body by [ParseEvent], or Schedule or Manual.
	Name string `json:"-"`
	// Nonce tells a request by hand from the one before.
	Nonce string `json:"-"`
	// Rule is the one that a schedule or a request by hand is for, "" is all.
	Rule string `json:"-"`
	// Due is when a schedule's event was to be.
	Due Moment `json:"-"`

	Action       string       `json:"action"`
	Installation Installation `json:"installation"`
	Repository   Repository   `json:"repository"`
	Sender       User         `json:"sender"`

	// Of a push. Ref is full, as in refs/heads/main; a commit of zeros is none.
	Ref     string   `json:"ref"`
	Before  string   `json:"before"`
	After   string   `json:"after"`
	Created bool     `json:"created"`
	Deleted bool     `json:"deleted"`
	Forced  bool     `json:"forced"`
	Commits []Commit `json:"commits"`

	PullRequest *PullRequest `json:"pull_request"`
	Label       *Label       `json:"label"` // that was put on or taken off
	MergeGroup  *MergeGroup  `json:"merge_group"`
	Release     *Release     `json:"release"`
	Deployment  *Deployment  `json:"deployment"`
	// Package is that of a package event or of a registry_package event:
	// GitHub sends both for one publication.
	Package *Package `json:"package"`

	Issue   *Issue   `json:"issue"`
	Comment *Comment `json:"comment"`

	CheckRun        *CheckRun   `json:"check_run"`
	CheckSuite      *CheckSuite `json:"check_suite"`
	RequestedAction struct {
		Identifier string `json:"identifier"`
	} `json:"requested_action"`

	WorkflowJob *WorkflowJob `json:"workflow_job"`
	WorkflowRun *WorkflowRun `json:"workflow_run"`

	// Of an installation's repositories.
	Repositories        []Repository `json:"repositories"`
	RepositoriesAdded   []Repository `json:"repositories_added"`
	RepositoriesRemoved []Repository `json:"repositories_removed"`
}

// Names of events that no delivery has: the service makes them itself.
const (
	Schedule = "schedule"
	Manual   = "manual"
)

// ParseEvent reads a body that came under an event's name. The name is in a
// header that nobody signs, so the body must have the form of that event:
// else one captured body could pass for many. An event that rules know nothing
// of has what all events have.
//
// It fails with ErrEvent.
func ParseEvent(name string, body []byte) (*Event, error) {
	if name == Schedule || name == Manual {
		return nil, fmt.Errorf("%w: GitHub delivers no %s", ErrEvent, name)
	}
	e := &Event{Name: name}
	if err := unmarshal(body, e); err != nil {
		return nil, fmt.Errorf("%w: the body of %s: %w", ErrEvent, name, err)
	}
	if err := checkForm(name, body); err != nil {
		return nil, err
	}
	if name == "registry_package" {
		var b struct {
			Package *Package `json:"registry_package"`
		}
		if err := unmarshal(body, &b); err != nil {
			return nil, fmt.Errorf("%w: the body of %s: %w", ErrEvent, name, err)
		}
		e.Package = b.Package
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("%w: the body of %s has no %w", ErrEvent, name, err)
	}
	return e, nil
}

// unmarshal is json.Unmarshal that passes over values of a type which was not
// expected: encoding/json reads all others first.
func unmarshal(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
		return nil
	}
	return err
}

// check says whether an event has what decisions need.
func (e *Event) check() error {
	f, known := forms[e.Name]
	if !known {
		return nil
	}
	if what := f.lacks(e); what != "" {
		return errors.New(what)
	}
	if e.Repository.ID == 0 && !f.account {
		return errors.New("repository.id")
	}
	return nil
}

// Commit returns the commit that the event is about, "" where the event names
// none: then it is to be asked for.
func (e *Event) Commit() string {
	switch {
	case e.PullRequest != nil:
		return e.PullRequest.Head.SHA
	case e.MergeGroup != nil:
		return e.MergeGroup.HeadSHA
	case e.Deployment != nil:
		return e.Deployment.SHA
	case e.Package != nil:
		if target := e.Package.Version.Target; len(target) == 40 { // as SHA-1 has digits
			return target
		}
		return ""
	case e.CheckRun != nil:
		return e.CheckRun.HeadSHA
	case e.CheckSuite != nil:
		return e.CheckSuite.HeadSHA
	case e.Deleted:
		return ""
	}
	return e.After
}

// Touched lists the paths that a push's commits touched, as its body has them.
// What the push as a whole changes can be less, and of a branch that is new or
// was forced, anything.
func (e *Event) Touched() []string {
	var paths []string
	for _, c := range e.Commits {
		paths = slices.Concat(paths, c.Added, c.Removed, c.Modified)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// At is when GitHub says that it happened, zero where the body does not tell.
// What people do at a check run happens whenever they like: the times of its
// body are the run's.
func (e *Event) At() time.Time {
	switch e.Name {
	case Schedule, Manual:
		return e.Due.Time()
	case "push":
		return e.Repository.PushedAt.Time()
	case "pull_request":
		return e.PullRequest.UpdatedAt.Time()
	case "merge_group":
		return e.MergeGroup.Head.Timestamp.Time()
	case "release":
		if e.Action == "published" {
			return e.Release.PublishedAt.Time()
		}
		return e.Release.UpdatedAt.Time() // long after it was published
	case "package", "registry_package":
		return e.Package.Version.UpdatedAt.Time()
	case "deployment":
		return e.Deployment.CreatedAt.Time()
	case "issue_comment":
		return e.Comment.CreatedAt.Time()
	case "workflow_run":
		return e.WorkflowRun.UpdatedAt.Time()
	}
	return time.Time{}
}

// Fork says whether the event's code comes from another repository. What
// cannot be told is from a fork.
func (e *Event) Fork() bool {
	return e.PullRequest != nil && e.PullRequest.Fork(e.Repository.ID)
}
