package ecs

import "errors"

// Verb says what becomes of a member.
type Verb string

const (
	// Keep leaves it as it stands.
	Keep Verb = "keep"
	// Move takes it to where the runner reads it.
	Move Verb = "move"
	// Adapt changes its value, or adds it.
	Adapt Verb = "adapt"
	// Warn leaves it and says what is different now.
	Warn Verb = "warn"
	// Reject refuses the definition.
	Reject Verb = "reject"
)

// Change is one line of the report: what was done to a member, by which rule,
// and why. Its text shows no value of environment and no secret.
type Change struct {
	// Path of the member, containers by their names:
	// "containerDefinitions[web].healthCheck.startPeriod".
	Path string `json:"path"`
	Verb Verb   `json:"verb"`
	// Rule is the name under which Options.Allow and the README know it.
	Rule string `json:"rule"`
	Text string `json:"text"`
}

func (c Change) String() string { return c.Path + ": " + c.Text + " (" + c.Rule + ")" }

// ErrRefused says that the definition cannot run on the runner image as it
// stands; every Change with the verb Reject is a reason.
var ErrRefused = errors.New("the task definition is refused")

// ErrDefinition says that something is no task definition, or that its text
// cannot be read.
var ErrDefinition = errors.New("not a task definition")

// ErrOptions says that the options ask for what there is not.
var ErrOptions = errors.New("bad options")
