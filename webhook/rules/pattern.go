package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Pattern is one of GitHub's filter patterns
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet):
//
//   - *      any characters but /
//   - **     any characters; **/ in front of a part, any parts or none
//   - ?      none or one of the character before it
//   - +      one or more of it
//   - [a-z]  one of them
//   - \      the next character as it is
//   - !      in front: what was chosen before is not, if it matches
//
// A pattern matches the whole. It becomes an expression that needs time in
// proportion to what is matched.
type Pattern struct {
	text string
	not  bool
	re   *regexp.Regexp
}

func (p Pattern) String() string { return p.text }

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	rest, not := strings.CutPrefix(text, "!")
	if rest == "" {
		return Pattern{}, errors.New("the pattern is empty")
	}
	expression, err := translate(rest)
	if err != nil {
		return Pattern{}, fmt.Errorf("the pattern %q %w", text, err)
	}
	re, err := regexp.Compile(`^(?s:` + expression + `)$`)
	if err != nil {
		return Pattern{}, fmt.Errorf("the pattern %q cannot be read", text)
	}
	return Pattern{text, not, re}, nil
}

// translate turns a pattern into an expression of package regexp.
func translate(pattern string) (string, error) {
	var b strings.Builder
	again := false // what stands last can be repeated
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case strings.HasPrefix(pattern[i:], "**/") && (i == 0 || pattern[i-1] == '/'):
			b.WriteString(`(?:.*/)?`)
			i += 2
			again = false
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(`.*`)
			i++
			again = false
		case c == '*':
			b.WriteString(`[^/]*`)
			again = false
		case c == '?' || c == '+':
			if !again {
				return "", fmt.Errorf("has a %c with no character before it", c)
			}
			b.WriteByte(c)
			again = false
		case c == '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 2 {
				return "", errors.New("has a [ without its ]")
			}
			class, err := characters(pattern[i+1 : i+end])
			if err != nil {
				return "", err
			}
			b.WriteString(class)
			i += end
			again = true
		case c == '\\':
			if i++; i == len(pattern) {
				return "", errors.New(`ends with \`)
			}
			fallthrough
		default:
			r, size := utf8.DecodeRuneInString(pattern[i:])
			if r == utf8.RuneError {
				return "", errors.New("is no UTF-8")
			}
			b.WriteString(regexp.QuoteMeta(string(r)))
			i += size - 1
			again = true
		}
	}
	return b.String(), nil
}

// characters is a class of [a-z0-9_]: letters, digits and ranges of them.
func characters(class string) (string, error) {
	for i := range len(class) {
		c := class[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.':
		case c == '-' && i > 0 && i < len(class)-1 && class[i-1] < class[i+1]:
		default:
			return "", fmt.Errorf("has [%s], where only letters, digits and ranges of them can be", class)
		}
	}
	return "[" + class + "]", nil
}

func (p *Pattern) parse(text string) (err error) {
	*p, err = ParsePattern(text)
	return err
}

func (Pattern) form() schema {
	return schema{"type": []any{"string", "number", "boolean"}, "minLength": 1}
}

// Matches says whether the pattern, without its !, matches.
func (p Pattern) Matches(text string) bool { return p.re.MatchString(text) }

// Patterns choose by the last of them that matches.
type Patterns []Pattern

// Choose says whether they choose the text, and by which of them: nil if none
// matches. No patterns at all choose everything.
func (p Patterns) Choose(text string) (bool, *Pattern) {
	if len(p) == 0 {
		return true, nil
	}
	for i := len(p) - 1; i >= 0; i-- {
		if p[i].Matches(text) {
			return !p[i].not, &p[i]
		}
	}
	return false, nil
}

// First is the first of some texts that the patterns choose.
func (p Patterns) First(texts []string) (string, bool) {
	for _, text := range texts {
		if chosen, _ := p.Choose(text); chosen {
			return text, true
		}
	}
	return "", false
}

func (p Patterns) String() string {
	texts := make([]string, len(p))
	for i, pattern := range p {
		texts[i] = pattern.text
	}
	return list(texts)
}

// onlyNots says that the patterns can choose nothing.
func (p Patterns) onlyNots() bool {
	for _, pattern := range p {
		if !pattern.not {
			return false
		}
	}
	return len(p) > 0
}
