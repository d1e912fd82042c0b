package action

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The grammar of GITHUB_ENV and GITHUB_OUTPUT is the runner's FileCommandManager:
// UTF-8, lines end with "\n" alone, and a variable is either NAME=value or
//
//	NAME<<DELIMITER
//	value, of any number of lines
//	DELIMITER
//
// Only the second form holds every value. Its delimiter is random, because a
// value that knew it could set other variables.
//
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings

// ErrUnfit says that the runner could not read a name or a value back.
var ErrUnfit = errors.New("cannot be passed on")

const bom = "\ufeff" // taken off a file's beginning

// unfit says why a pair cannot be written, "" if it can.
func unfit(p Pair) string {
	switch {
	case p.Name == "":
		return "it has no name"
	case !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value):
		return "it is not UTF-8"
	case strings.Contains(p.Name, "=") || strings.Contains(p.Name, "<<") || strings.HasPrefix(p.Name, bom) || strings.ContainsFunc(p.Name, control):
		return "its name has characters in it that GitHub reads otherwise"
	case strings.Contains(p.Value, "\x00"):
		return "it has a null byte in it"
	}
	return ""
}

// unfitLine says why a line cannot be written to GITHUB_PATH, which knows no
// other form, "" if it can.
func unfitLine(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case strings.ContainsAny(s, "\r\n\x00") || strings.HasPrefix(s, bom):
		return "it has characters in it that GitHub reads otherwise"
	case !utf8.ValidString(s):
		return "it is not UTF-8"
	}
	return ""
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// delimiterPrefix is that of GitHub's own toolkit.
const delimiterPrefix = "ghadelimiter_"

// encode writes a pair in the second form. random is where the delimiter comes
// from.
func encode(p Pair, random io.Reader) (string, error) {
	if why := unfit(p); why != "" {
		return "", fmt.Errorf("%.80q %w: %s", p.Name, ErrUnfit, why)
	}
	var b [16]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("random delimiter: %w", err)
		}
		if delimiter := fmt.Sprintf("%s%x", delimiterPrefix, b); !strings.Contains(p.Value, delimiter) {
			return p.Name + "<<" + delimiter + "\n" + p.Value + "\n" + delimiter + "\n", nil
		}
	}
}

// decode reads what the runner would read; not ok where it would fail the step.
func decode(text string) (values map[string]string, ok bool) {
	values = map[string]string{}
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if line == "" {
			continue
		}
		name, delimiter, heredoc := strings.Cut(line, "<<")
		if plain, value, found := strings.Cut(line, "="); found && len(plain) < len(name) {
			values[plain] = value
			ok = plain != ""
		} else if ok = heredoc && name != "" && delimiter != ""; ok {
			values[name], text, ok = cutValue(text, delimiter)
		}
		if !ok {
			return nil, false
		}
	}
	return values, true
}

// cutValue cuts text at the first line that is the delimiter.
func cutValue(text, delimiter string) (value, rest string, ok bool) {
	if line, rest, _ := strings.Cut(text, "\n"); line == delimiter {
		return "", rest, true
	}
	if value, rest, ok = strings.Cut(text, "\n"+delimiter+"\n"); ok {
		return value, rest, true
	}
	value, ok = strings.CutSuffix(text, "\n"+delimiter)
	return value, "", ok
}
