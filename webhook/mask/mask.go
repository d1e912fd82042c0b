// Package mask takes secrets out of texts that people read. In go a text, which
// may be a line of a log, and secrets that are known, or none; out comes the
// text with "***" for each of them, and for what looks like one. A text is taken
// as it is seen: escapes of terminals part no secret, and of them nothing but
// colours comes out.
package mask

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Mask hides secrets that are known, in every way that programs spell them: as
// they are, quoted, in URLs, and in Base64, whatever stands around them there.
// Of one that has several lines, each is hidden, and of a JSON object each
// member.
type Mask struct{ replacer *strings.Replacer }

// A shorter secret, or line of one, would take words out of every text.
const (
	shortestSecret = 6
	shortestLine   = 16
)

// New hides these.
func New(secrets ...string) *Mask {
	var all, pairs []string
	for _, secret := range secrets {
		for _, part := range parts(secret) {
			all = append(all, spellings(part)...)
		}
	}
	// The longest first: of a secret that begins with another, nothing stays.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, spelling := range all {
		pairs = append(pairs, spelling, "***")
	}
	return &Mask{strings.NewReplacer(pairs...)}
}

// Hide is the text without them.
func (m *Mask) Hide(text string) string { return hide(text, m.replacer.Replace) }

// parts are the secret and what of it is a secret by itself.
func parts(secret string) []string {
	if len(secret) < shortestSecret {
		return nil
	}
	all := []string{secret}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= shortestLine && line != secret && !strings.HasPrefix(line, "-----") {
			all = append(all, line)
		}
	}
	var members map[string]any
	if json.Unmarshal([]byte(secret), &members) == nil {
		for _, member := range members {
			if text, ok := member.(string); ok {
				all = append(all, parts(text)...)
			}
		}
	}
	return all
}

func spellings(part string) []string {
	all := []string{part, Plain(part), url.QueryEscape(part), url.PathEscape(part), strings.Trim(strconv.Quote(part), `"`)}
	if text, err := json.Marshal(part); err == nil {
		all = append(all, strings.Trim(string(text), `"`))
	}
	// Base64 has three bytes in four characters: what it makes of the part
	// depends on how many bytes are before it.
	for before := range 3 {
		text := append(make([]byte, before), part...)
		begin, end := (before*8+5)/6, len(text)*8/6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all = append(all, encoding.EncodeToString(text)[begin:end])
		}
	}
	return all
}
