package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
)

// Report is what Verify found, the gravest first.
type Report struct {
	Family   string          `json:"family"`
	Findings []rules.Finding `json:"findings"`
}

// Unrendered is the report on a definition that Render refuses, by what Render
// says of it: nobody is asked about what cannot be.
func Unrendered(def *ecs.Definition, changes []ecs.Change) *Report {
	return newReport(def, append(rules.Check(def), rules.Changes(changes, true)...))
}

// newReport sorts findings, each of them once.
func newReport(def *ecs.Definition, found []rules.Finding) *Report {
	report := &Report{Family: def.Family(), Findings: []rules.Finding{}}
	for _, severity := range []rules.Severity{rules.Error, rules.Warning, rules.Unchecked} {
		for _, f := range found {
			if f.Severity == severity && !slices.Contains(report.Findings, f) {
				report.Findings = append(report.Findings, f)
			}
		}
	}
	return report
}

// report is what was found, without secrets, and with warnings in place of the
// errors that are accepted.
func (v *verification) report() *Report {
	for i := range v.found {
		f := &v.found[i]
		f.Text = v.hide(f.Text)
		if f.Severity == rules.Error && slices.Contains(v.Accept, f.Rule) {
			f.Severity = rules.Warning
		}
	}
	return newReport(v.def, v.found)
}

func (v *verification) hide(text string) string {
	for _, secret := range v.hidden {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// Refused says whether the definition is not to be deployed.
func (r *Report) Refused() bool { return rules.Worst(r.Findings) == rules.Error }

// Err is an ecs.ErrRefused that counts the errors, nil without any.
func (r *Report) Err() error {
	if n := r.count(rules.Error); n > 0 {
		return fmt.Errorf("%w: errors: %d", ecs.ErrRefused, n)
	}
	return nil
}

func (r *Report) count(severity rules.Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-9s  %s\n           %s\n           %s\n", f.Severity, f, f.Remedy, f.Doc)
	}
	fmt.Fprintf(&b, "%s: errors: %d, warnings: %d, unchecked: %d\n", r.Family, r.count(rules.Error), r.count(rules.Warning), r.count(rules.Unchecked))
	return b.String()
}

// Markdown is the report for the summary of a GitHub step.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Task definition %s: errors: %d, warnings: %d, unchecked: %d\n\n", ecs.Cell(r.Family), r.count(rules.Error), r.count(rules.Warning), r.count(rules.Unchecked))
	if len(r.Findings) == 0 {
		return b.String()
	}
	b.WriteString("| | member | what and remedy | rule |\n|---|---|---|---|\n")
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "| %s | %s | %s: %s | [%s](%s) |\n", f.Severity, ecs.Cell(f.Path), ecs.Cell(f.Text), ecs.Cell(f.Remedy), f.Rule, f.Doc)
	}
	return b.String()
}
