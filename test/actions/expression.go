package actions

import (
	"fmt"
	"strconv"
	"strings"
)

// scope is what an expression sees: contexts by name, and the functions on the
// job's status where they are allowed. Values are nil, bool, float64, string,
// map[string]any, envContext and []any.
//
// The language is GitHub's without the object filter (*) and hashFiles. What it
// does not know is an error; a property that is not there is null, as on GitHub.
type scope struct {
	contexts map[string]any
	status   func(function string) bool
}

// envContext is the env context, whose names have a case.
type envContext map[string]string

// expand replaces every ${{ expression }} in a text.
func (s scope) expand(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		source, after, err := cutExpression(rest)
		if err != nil {
			return "", fmt.Errorf("%w in %q", err, text)
		}
		value, _, err := s.evaluate(source)
		if err != nil {
			return "", err
		}
		b.WriteString(toText(value))
		text = after
	}
}

// cutExpression finds the end of an expression, which is not in a string.
func cutExpression(text string) (source, after string, err error) {
	quoted := false
	for n := range len(text) {
		switch {
		case text[n] == '\'':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[n:], "}}"):
			return text[:n], text[n+2:], nil
		}
	}
	return "", "", fmt.Errorf("the expression is not closed")
}

// condition evaluates an if:, in which success() stands before whatever does
// not ask for the status itself.
func (s scope) condition(text string) (bool, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "${{"); ok {
		source, after, err := cutExpression(inner)
		if err != nil || strings.TrimSpace(after) != "" {
			return false, fmt.Errorf("if: %q is not one expression", text)
		}
		text = source
	}
	if strings.TrimSpace(text) == "" {
		return s.status("success"), nil
	}
	value, asked, err := s.evaluate(text)
	if err != nil {
		return false, err
	}
	return truthy(value) && (asked || s.status("success")), nil
}

// evaluate evaluates one expression. asked says that it has a function on the
// job's status.
func (s scope) evaluate(source string) (value any, asked bool, err error) {
	p := &parser{scope: s, source: source}
	defer func() {
		// The parser is recursive, and an error ends it wherever it is.
		if r := recover(); r != nil {
			bad, ok := r.(badExpression)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s in the expression %q", string(bad), strings.TrimSpace(source))
		}
	}()
	p.next()
	value = p.or()
	if p.token != "" {
		p.fail("Unexpected symbol: '%s'", p.token)
	}
	return value, p.asked, nil
}

type badExpression string

// parser evaluates while it reads. Both sides of && and || are evaluated: there
// are no side effects.
type parser struct {
	scope  scope
	source string
	token  string // "" at the end
	asked  bool
}

func (p *parser) fail(format string, args ...any) { panic(badExpression(fmt.Sprintf(format, args...))) }

// next reads a token: an operator, a name, a number, or a string with its
// opening quote.
func (p *parser) next() {
	p.source = strings.TrimLeft(p.source, " \t\r\n")
	if p.source == "" {
		p.token = ""
		return
	}
	n := 1
	switch c := p.source[0]; {
	case c == '\'':
		n = p.stringEnd()
		p.token, p.source = "'"+strings.ReplaceAll(p.source[1:n-1], "''", "'"), p.source[n:]
		return
	case isName(c) || c == '-':
		for n < len(p.source) && (isName(p.source[n]) || p.source[n] == '-' || p.source[n] == '.' && isDigit(c)) {
			n++
		}
	case strings.HasPrefix(p.source, "=="), strings.HasPrefix(p.source, "!="), strings.HasPrefix(p.source, "&&"), strings.HasPrefix(p.source, "||"),
		strings.HasPrefix(p.source, "<="), strings.HasPrefix(p.source, ">="):
		n = 2
	case !strings.ContainsRune("!()[],.<>", rune(c)):
		p.fail("Unexpected symbol: '%c'", c)
	}
	p.token, p.source = p.source[:n], p.source[n:]
}

// stringEnd is the length of the string that the source begins with.
func (p *parser) stringEnd() int {
	for n := 1; n < len(p.source); n++ {
		if p.source[n] != '\'' {
			continue
		}
		if n+1 < len(p.source) && p.source[n+1] == '\'' {
			n++
			continue
		}
		return n + 1
	}
	p.fail("a string is not closed")
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isName(c byte) bool {
	return isDigit(c) || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *parser) take(token string) bool {
	if p.token != token {
		return false
	}
	p.next()
	return true
}

func (p *parser) need(token string) {
	if !p.take(token) {
		p.fail("'%s' is expected before '%s'", token, p.token)
	}
}

func (p *parser) or() any {
	value := p.and()
	for p.take("||") {
		if right := p.and(); !truthy(value) {
			value = right
		}
	}
	return value
}

func (p *parser) and() any {
	value := p.comparison()
	for p.take("&&") {
		if right := p.comparison(); truthy(value) {
			value = right
		}
	}
	return value
}

func (p *parser) comparison() any {
	value := p.unary()
	for {
		switch operator := p.token; operator {
		case "==", "!=":
			p.next()
			value = equal(value, p.unary()) == (operator == "==")
		case "<", ">", "<=", ">=":
			p.fail("the replay does not compare by '%s'", operator)
		default:
			return value
		}
	}
}

func (p *parser) unary() any {
	if p.take("!") {
		return !truthy(p.unary())
	}
	value := p.primary()
	for {
		switch {
		case p.take("."):
			name := p.token
			if name == "" || !isName(name[0]) {
				p.fail("the replay knows no '.%s'", name)
			}
			p.next()
			value = property(value, name)
		case p.take("["):
			index := p.or()
			p.need("]")
			value = property(value, toText(index))
		default:
			return value
		}
	}
}

func (p *parser) primary() any {
	token := p.token
	switch {
	case token == "":
		p.fail("Unexpected end of expression")
	case p.take("("):
		value := p.or()
		p.need(")")
		return value
	case token[0] == '\'':
		p.next()
		return token[1:]
	case isDigit(token[0]) || token[0] == '-':
		number, err := strconv.ParseFloat(token, 64)
		if err != nil {
			p.fail("'%s' is no number", token)
		}
		p.next()
		return number
	case !isName(token[0]):
		p.fail("Unexpected symbol: '%s'", token)
	}
	p.next()
	if p.take("(") {
		return p.call(strings.ToLower(token))
	}
	return p.name(token)
}

// name is a literal or a context.
func (p *parser) name(name string) any {
	switch name {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	value, ok := p.scope.contexts[strings.ToLower(name)]
	if !ok {
		p.fail("Unrecognized named-value: '%s'", name)
	}
	return value
}

func (p *parser) call(name string) any {
	var args []any
	for p.token != ")" {
		args = append(args, p.or())
		if !p.take(",") {
			break
		}
	}
	p.need(")")
	switch name {
	case "always", "success", "failure", "cancelled":
		if p.scope.status == nil || len(args) != 0 {
			break
		}
		p.asked = true
		return p.scope.status(name)
	}
	f, ok := functions[name]
	if !ok {
		p.fail("Unrecognized function: '%s'", name)
	}
	value, err := f(args)
	if err != nil {
		p.fail("%s: %v", name, err)
	}
	return value
}
