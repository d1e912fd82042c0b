package ecs

import (
	"fmt"
	"strings"
)

// Report is what a call of Render did, for people and, as JSON, for machines.
type Report struct {
	Family  string   `json:"family"`
	Changes []Change `json:"changes"`
}

// Text is a line for each change.
func (r Report) Text() string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%-6s  %s\n", c.Verb, c)
	}
	return b.String()
}

// Markdown is a table for the summary of a GitHub step.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Task definition %s on Clipper Runner\n\n", Cell(r.Family))
	if len(r.Changes) == 0 {
		b.WriteString("Nothing changed.\n")
		return b.String()
	}
	b.WriteString("| | member | what and why | rule |\n|---|---|---|---|\n")
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Verb, Cell(c.Path), Cell(c.Text), Cell(c.Rule))
	}
	return b.String()
}

// Cell keeps text that is not ours from being read as Markdown or HTML in a
// table, of which a line break would end the row.
func Cell(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < ' ':
			b.WriteByte(' ')
		case strings.ContainsRune("|`*_[]<>&\\~#!@", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
