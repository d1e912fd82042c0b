// Package rules says what Amazon ECS takes as a task definition, and what runs
// as it is meant to. In goes a definition, out come findings: which rule is
// broken where, what its documentation says, and what to do about it.
//
// A rule is a row of a table: its documentation with the words that count, a
// check that asks nobody, and a remedy. Check is what `ecs verify` begins with,
// before any call; Refusals are those that ECS itself makes when a definition
// is registered, so that a fake of ECS refuses what ECS refuses. Rendered tells
// what of Render's own rules a rendered definition breaks, by now or since its
// images are known.
//
// No finding has a value of environment in it.
package rules

import (
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/ecs"
)

// Severity says what a finding means to whoever wants to deploy.
type Severity string

const (
	// Error: it does not work.
	Error Severity = "error"
	// Warning: it works, and not as people expect.
	Warning Severity = "warning"
	// Unchecked: nobody could tell, for want of a permission or a network.
	Unchecked Severity = "unchecked"
)

// Stage says when a broken rule is felt.
type Stage string

const (
	// Register: ECS refuses the definition.
	Register Stage = "register"
	// Start: tasks of it do not start, or their program does not.
	Start Stage = "start"
	// Run: tasks run, and differ from what the definition seems to say.
	Run Stage = "run"
)

// Rule is one thing that has to be so.
type Rule struct {
	// ID is the name under which findings and `ecs verify --accept` know it.
	ID       string
	Severity Severity
	Stage    Stage
	// Doc is the page that states it, Quote the words there.
	Doc, Quote string
	// Remedy is what to do about a breach.
	Remedy string

	check func(def *ecs.Definition, tell tell)
}

// tell reports a breach at a path.
type tell func(path, format string, args ...any) *Finding

// Finding is one breach of a rule.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Stage    Stage    `json:"stage"`
	// Path is the member, containers by their names, as in ecs.Change; "" is
	// the definition as a whole.
	Path   string `json:"path"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
	Doc    string `json:"doc"`
	// Answer is what ECS itself says to it, where that is known.
	Answer string `json:"-"`
}

func (f Finding) String() string {
	if f.Path == "" {
		return f.Text + " (" + f.Rule + ")"
	}
	return f.Path + ": " + f.Text + " (" + f.Rule + ")"
}

// Message is how ECS answers, or what comes close to it.
func (f Finding) Message() string {
	if f.Answer != "" {
		return f.Answer
	}
	return f.Path + ": " + f.Text
}

// Finding is a breach of r.
func (r Rule) Finding(path, format string, args ...any) Finding {
	return Finding{Rule: r.ID, Severity: r.Severity, Stage: r.Stage, Path: path, Text: fmt.Sprintf(format, args...), Remedy: r.Remedy, Doc: r.Doc}
}

// Check lists the breaches of r in a definition.
func (r Rule) Check(def *ecs.Definition) []Finding {
	var found []*Finding
	r.check(def, func(path, format string, args ...any) *Finding {
		f := r.Finding(path, format, args...)
		found = append(found, &f)
		return &f
	})
	list := make([]Finding, len(found))
	for i, f := range found {
		list[i] = *f
	}
	return list
}

// Table is all rules that need nothing but a definition.
func Table() []Rule {
	return slices.Concat(shapeRules, taskRules, containerRules, fargateRules, networkRules, healthRules, dependencyRules, secretRules, volumeRules, logRules)
}

// Check lists all breaches in a definition, rule by rule.
func Check(def *ecs.Definition) []Finding {
	var found []Finding
	for _, r := range Table() {
		found = append(found, r.Check(def)...)
	}
	return found
}

// Refusals lists the breaches for which RegisterTaskDefinition answers with a
// ClientException. ECS tells one, the first.
func Refusals(def *ecs.Definition) []Finding {
	var found []Finding
	for _, r := range Table() {
		if r.Stage == Register && r.Severity == Error {
			found = append(found, r.Check(def)...)
		}
	}
	return found
}

// Worst is the gravest severity of findings, "" without any.
func Worst(findings []Finding) Severity {
	for _, severity := range []Severity{Error, Warning, Unchecked} {
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == severity }) {
			return severity
		}
	}
	return ""
}

// The pages that rules cite.
const (
	docs  = "https://docs.aws.amazon.com/AmazonECS/latest/"
	api   = docs + "APIReference/API_"
	guide = docs + "developerguide/"

	registerDoc  = api + "RegisterTaskDefinition.html"
	containerDoc = api + "ContainerDefinition.html"
)
