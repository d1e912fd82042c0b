package rules

import "github.com/clipperregistry/runner/webhook"

// Expand puts the fields of an event and its run into a template.
func (t Template) Expand(e *webhook.Event, run *webhook.Run, facts Facts) string {
	return t.expand(&scope{e, facts, run})
}

// FargateProblem is what is wrong with a pair of CPU units and MiB.
var FargateProblem = fargateProblem
