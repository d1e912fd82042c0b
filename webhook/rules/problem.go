package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is a mistake in a configuration or policy.
type Problem struct {
	// Line and Column begin with 1.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is the member, as in rules[0].run.ecs.cpu; "" is the whole.
	Path   string `json:"path"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

func (p Problem) String() string {
	text := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
	if p.Path != "" {
		text += p.Path + ": "
	}
	text += p.Text
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// Problems are the mistakes of one file in the order of its lines, as many as
// a check run takes annotations with one request.
type Problems []Problem

// mostProblems is how many annotations GitHub takes with one request
// (https://docs.github.com/en/rest/checks/runs).
const mostProblems = 50

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p[:min(len(p), mostProblems)]
}

// nearest is the name that was probably meant, or "".
func nearest(name string, names []string) string {
	best, least := "", 3
	if len(name) > 64 {
		return ""
	}
	for _, n := range names {
		if d := distance(strings.ToLower(name), n); d < least && d < len(n) {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := last
			if a[i] != b[j] {
				replaced++
			}
			last = row[j+1]
			row[j+1] = min(replaced, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
