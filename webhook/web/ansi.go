package web

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostOfLine is how many bytes of a line are shown.
const mostOfLine = 4 << 10

// span is a piece of a line in one style, which is classes of the style sheet.
type span struct{ Class, Text string }

// style is what SGR has set (ECMA-48, 8.3.117), as far as it is shown.
type style struct {
	fore, back                     int // 1 to 16; 0 is the default
	bold, faint, italic, underline bool
}

func (s style) class() string {
	var classes []string
	for _, c := range []struct {
		on   bool
		name string
	}{{s.bold, "bold"}, {s.faint, "faint"}, {s.italic, "italic"}, {s.underline, "underline"},
		{s.fore > 0, "f" + strconv.Itoa(s.fore-1)}, {s.back > 0, "b" + strconv.Itoa(s.back-1)}} {
		if c.on {
			classes = append(classes, c.name)
		}
	}
	return strings.Join(classes, " ")
}

// spans reads a line that any program wrote: colours become classes, all other
// control sequences go, and so does what turns text around. Each line stands
// for itself: no colour runs into the next.
func spans(line string) []span {
	cut := len(line) > mostOfLine
	if cut {
		line = line[:mostOfLine]
	}
	line = strings.TrimRight(line, "\r\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 { // a progress bar that went over itself
		line = line[i+1:]
	}
	var out []span
	var now style
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, span{now.class(), text.String()})
			text.Reset()
		}
	}
	for len(line) > 0 {
		r, n := utf8.DecodeRuneInString(line)
		switch {
		case r == 0x1b || r == 0x9b || r == 0x9d || r == 0x90 || r == 0x98 || r == 0x9e || r == 0x9f:
			var sgr string
			var is bool
			n, sgr, is = sequence(line, r, n)
			if next := now; is {
				if next.set(sgr); next != now {
					flush()
					now = next
				}
			}
		case r == '\t':
			text.WriteByte('\t')
		case hidden(r):
		default:
			text.WriteRune(r) // of what is not UTF-8, U+FFFD
		}
		line = line[n:]
	}
	flush()
	if cut {
		out = append(out, span{"faint", " … cut here"})
	}
	return out
}

// hidden says whether a character is one that steers instead of showing
// something: controls, and those that turn the direction of text around.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// sequence is how long a control sequence is that begins with r, of n bytes,
// and its parameters if it is SGR. One that does not end takes all.
func sequence(line string, r rune, n int) (length int, sgr string, is bool) {
	if r == 0x1b {
		if len(line) == n {
			return n, "", false
		}
		switch kind := line[n]; {
		case kind == '[':
			r, n = 0x9b, n+1
		case strings.IndexByte("]P^_X", kind) >= 0:
			r, n = 0x9d, n+1
		case kind >= ' ' && kind < '0': // intermediates and a final one
			for n < len(line) && line[n] >= ' ' && line[n] < '0' {
				n++
			}
			return min(n+1, len(line)), "", false
		case kind < ' ' || kind >= 0x7f: // nothing of its own
			return n, "", false
		default:
			return n + 1, "", false
		}
	}
	if r != 0x9b { // a string, until BEL or ST
		rest := line[n:]
		end := len(rest)
		for _, stop := range []string{"\a", "\x1b\\", "\u009c"} {
			if i := strings.Index(rest, stop); i >= 0 {
				end = min(end, i+len(stop))
			}
		}
		return n + end, "", false
	}
	start := n
	for n < len(line) && line[n] >= ' ' && line[n] < '@' {
		n++
	}
	if n == len(line) || line[n] > '~' || line[n] < '@' { // broken off
		return n, "", false
	}
	return n + 1, line[start:n], line[n] == 'm'
}

// set applies the parameters of an SGR.
func (s *style) set(parameters string) {
	p := strings.FieldsFunc(";"+strings.ReplaceAll(parameters, ":", ";"), func(r rune) bool { return r == ';' })
	if len(p) == 0 {
		p = []string{"0"}
	}
	for i := 0; i < len(p); i++ {
		n, err := strconv.Atoi(p[i])
		if err != nil {
			return // private, as in ?25
		}
		switch {
		case n == 0:
			*s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 3:
			s.italic = true
		case n == 4:
			s.underline = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 23:
			s.italic = false
		case n == 24:
			s.underline = false
		case n >= 30 && n < 38:
			s.fore = n - 30 + 1
		case n >= 90 && n < 98:
			s.fore = n - 90 + 9
		case n == 39:
			s.fore = 0
		case n >= 40 && n < 48:
			s.back = n - 40 + 1
		case n >= 100 && n < 108:
			s.back = n - 100 + 9
		case n == 49:
			s.back = 0
		case n == 38 || n == 48:
			i += s.extended(n == 38, p[i+1:])
		}
	}
}

// extended applies a colour of the 256, of which the first 16 have classes; of
// the others, and of true colours, there are none, and it says how many
// parameters it took.
func (s *style) extended(fore bool, p []string) int {
	switch {
	case len(p) > 1 && p[0] == "5":
		colour := 0
		if n, err := strconv.Atoi(p[1]); err == nil && n >= 0 && n < 16 {
			colour = n + 1
		}
		if fore {
			s.fore = colour
		} else {
			s.back = colour
		}
		return 2
	case len(p) > 3 && p[0] == "2":
		return 4
	}
	return len(p)
}
