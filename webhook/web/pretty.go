package web

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a body as it is shown.
const (
	mostOfBody  = 256 << 10
	deepestBody = 32 // levels that are indented
)

// pretty spreads JSON over lines, at most so many bytes, and says whether that
// is not all of it. It does not parse: what is not JSON comes out too, only
// uglier. What would steer a reader's eye is spelt as JSON spells it.
func pretty(body []byte, most int) (text string, cut bool) {
	var b strings.Builder
	depth, quoted := 0, false
	line := func() {
		b.WriteByte('\n')
		b.WriteString(strings.Repeat("  ", min(max(depth, 0), deepestBody)))
	}
	for i := 0; i < len(body); {
		if b.Len() >= most {
			return b.String(), true
		}
		r, n := utf8.DecodeRune(body[i:])
		switch {
		case quoted && r == '\\' && i+1 < len(body) && body[i+1] < utf8.RuneSelf && !unicode.IsControl(rune(body[i+1])):
			b.Write(body[i : i+2])
			n = 2
		case r == '"':
			quoted = !quoted
			b.WriteByte('"')
		case hidden(r) && !quoted && unicode.IsSpace(r), !quoted && r == ' ':
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case quoted:
			b.WriteRune(r)
		case r == '{' || r == '[':
			b.WriteRune(r)
			depth++
			rest := i + 1
			for rest < len(body) && strings.IndexByte(" \t\r\n", body[rest]) >= 0 {
				rest++
			}
			if rest < len(body) && (body[rest] == '}' || body[rest] == ']') {
				depth--
				b.WriteByte(body[rest])
				n = rest + 1 - i
				break
			}
			line()
		case r == '}' || r == ']':
			depth--
			line()
			b.WriteRune(r)
		case r == ',':
			b.WriteByte(',')
			line()
		case r == ':':
			b.WriteString(": ")
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String(), false
}
