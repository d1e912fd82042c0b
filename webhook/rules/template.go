package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperregistry/runner/webhook"
)

// Template is a string with expressions in it, as in
//
//	pr-${{ event.pull_request.number || event.ref }}
//
// An expression is a field of the event, or several of which the first counts
// that is not empty; the last may be a 'string'. There is nothing else: no
// functions, no nesting, no other fields than those of the list. What comes
// out is a value, never a part of a program: where a shell would read it, the
// configuration is refused.
type Template struct {
	text  string
	parts []part
}

// part is a literal, or an expression.
type part struct {
	literal string
	fields  []string // the first that is not empty
	other   string   // if all are
}

func (t Template) String() string { return t.text }

// ParseTemplate reads a template.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "${{")
		if before != "" {
			t.parts = append(t.parts, part{literal: before})
		}
		if !found {
			break
		}
		expression, following, closed := strings.Cut(after, "}}")
		if !closed {
			return Template{}, errors.New("it has a ${{ without its }}")
		}
		p, err := parseExpression(expression)
		if err != nil {
			return Template{}, err
		}
		t.parts = append(t.parts, p)
		rest = following
	}
	if len(t.parts) > 50 {
		return Template{}, errors.New("it has more than 50 parts")
	}
	return t, nil
}

func parseExpression(text string) (part, error) {
	var p part
	operands := strings.Split(text, "||")
	for i, operand := range operands {
		operand = strings.TrimSpace(operand)
		if n := len(operand); n >= 2 && operand[0] == '\'' && operand[n-1] == '\'' {
			if i < len(operands)-1 {
				return p, fmt.Errorf("${{%s}} has || behind a string, which is never empty", text)
			}
			if p.other = operand[1 : n-1]; strings.Contains(p.other, "'") {
				return p, fmt.Errorf("${{%s}} has a ' in a string", text)
			}
			continue
		}
		if _, known := fields[operand]; !known {
			return p, unknownField(operand)
		}
		p.fields = append(p.fields, operand)
	}
	return p, nil
}

func unknownField(name string) error {
	known := FieldNames()
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("there is no %q; did you mean %s?", name, near)
	}
	if !slices.ContainsFunc(known, func(n string) bool { return strings.HasPrefix(name, strings.SplitAfter(n, ".")[0]) }) {
		return fmt.Errorf("%q is no expression: name fields as in event.ref, with || between them", name)
	}
	return fmt.Errorf("there is no %q; there are %s", name, list(known))
}

func (t *Template) parse(text string) (err error) {
	*t, err = ParseTemplate(text)
	return err
}

func (Template) form() schema { return schema{"type": []any{"string", "number", "boolean"}} }

// Given says whether the template was written at all.
func (t Template) Given() bool { return t.text != "" }

// free is a field of the template that strangers can write into, or "".
func (t Template) free() string {
	for _, p := range t.parts {
		for _, name := range p.fields {
			if fields[name].free {
				return name
			}
		}
	}
	return ""
}

// has says whether the template has a field.
func (t Template) has(name string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return slices.Contains(p.fields, name) })
}

// longestValue is how much of a field is taken, in bytes.
const longestValue = 255

// expand puts the fields' values in.
func (t Template) expand(s *scope) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		value := p.other
		for _, name := range p.fields {
			if v := clean(fields[name].value(s)); v != "" {
				value = v
				break
			}
		}
		b.WriteString(value)
	}
	return b.String()
}

// clean is a value on one line, of a bounded length.
func clean(value string) string {
	value = oneLine(value)
	if len(value) > longestValue {
		end := longestValue
		for !utf8.RuneStart(value[end]) {
			end--
		}
		value = value[:end]
	}
	return strings.TrimSpace(value)
}

// oneLine has spaces for the signs that end lines or steer terminals.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// scope is what expressions can see.
type scope struct {
	event *webhook.Event
	facts Facts
	run   *webhook.Run
}

// pull is the pull request that the event is about, nil if there is none.
func (s *scope) pull() *webhook.PullRequest {
	if s.event.PullRequest != nil {
		return s.event.PullRequest
	}
	return s.facts.PullRequest
}
