package webhook

import (
	"regexp"
	"strings"
)

// secrets are what looks like one: tokens of GitHub's, of whatever length, AWS
// access keys, JSON Web Tokens, and private keys.
var secrets = regexp.MustCompile(`gh[a-z]_[A-Za-z0-9._-]{36,}|github_pat_[A-Za-z0-9_]{20,}|\b(AKIA|ASIA)[A-Z0-9]{16}\b|` +
	`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?`)

// Redact takes out of a text what looks like a secret.
func Redact(text string) string { return secrets.ReplaceAllString(text, "***") }

// longestKey is how many lines a private key may have.
const longestKey = 200

// RedactLines is Redact for the lines of a log, the oldest first, of which any
// may be missing at both ends: a private key has several, each of which looks
// like nothing. Lines of others may stand between them, and all may have names
// in front, as in "run | MIIE".
func RedactLines(lines []string) []string {
	clean := make([]string, len(lines))
	left := 0 // lines that the key may still have
	for i, line := range lines {
		clean[i] = Redact(line)
		switch begins, ends := marks(line, "BEGIN"), marks(line, "END"); {
		case ends && left == 0 && !begins:
			for k := i - 1; k >= 0 && k >= i-longestKey && inKey(lines[k]); k-- {
				clean[k] = "***"
			}
			clean[i] = "***"
		case ends:
			clean[i], left = "***", 0
		case begins:
			clean[i], left = "***", longestKey
		case left > 0:
			if left--; inKey(line) {
				clean[i] = "***"
			}
		}
	}
	return clean
}

func marks(line, word string) bool {
	return strings.Contains(line, "-----"+word+" ") && strings.Contains(line, "PRIVATE KEY-----")
}

// keyLine is one between a key's first and last.
var keyLine = regexp.MustCompile(`^(.*\| )?[A-Za-z0-9+/=]+\s*$`)

func inKey(line string) bool { return keyLine.MatchString(line) }
