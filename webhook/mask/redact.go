package mask

import (
	"regexp"
	"strings"
)

// secrets are what looks like one: tokens of GitHub's, of whatever length, AWS
// access keys, JSON Web Tokens, and private keys.
var secrets = regexp.MustCompile(`gh[a-z]_[A-Za-z0-9._-]{36,}|github_pat_[A-Za-z0-9_]{20,}|\b(AKIA|ASIA)[A-Z0-9]{16}\b|` +
	`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?`)

// Redact takes out of a text what looks like a secret.
func Redact(text string) string {
	return hide(text, func(plain string) string { return secrets.ReplaceAllString(plain, "***") })
}

// LongestKey is how many lines a private key may have: as many before a line
// say whether it is one of a key.
const LongestKey = 200

// Lines redacts the lines of a log, one after the other, from the zero value on:
// a private key has several, each of which looks like nothing. Lines of others
// may stand between them, and all may have names in front, as in "run | MIIE".
type Lines struct{ left int } // lines that a key may still have

// Redact is the next line without secrets.
func (l *Lines) Redact(line string) string {
	plain := Plain(line)
	switch begins, ends := marks(plain, "BEGIN"), marks(plain, "END"); {
	case ends:
		l.left = 0
		return "***"
	case begins:
		l.left = LongestKey
		return "***"
	case l.left > 0:
		if l.left--; inKey(plain) {
			return "***"
		}
	}
	return Redact(line)
}

// RedactLines redacts lines of a log, the oldest first, of which any may be
// missing at both ends: of a key whose first line is not there, none is shown
// either.
func RedactLines(lines []string) []string {
	clean := make([]string, len(lines))
	var l Lines
	for i, line := range lines {
		if plain := Plain(line); l.left == 0 && marks(plain, "END") && !marks(plain, "BEGIN") {
			for k := i - 1; k >= max(0, i-LongestKey) && !marks(Plain(lines[k]), "END"); k-- {
				if inKey(Plain(lines[k])) {
					clean[k] = "***"
				}
			}
		}
		clean[i] = l.Redact(line)
	}
	return clean
}

func marks(line, word string) bool {
	return strings.Contains(line, "-----"+word+" ") && strings.Contains(line, "PRIVATE KEY-----")
}

// keyLine is one between a key's first and last.
var keyLine = regexp.MustCompile(`^(.*\| )?[A-Za-z0-9+/=]+\s*$`)

func inKey(line string) bool { return keyLine.MatchString(line) }
