package mask

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// control are the sequences of terminals: those of CSI, strings until BEL or ST,
// and the short ones (ECMA-48, 5.3 to 5.6). One that is broken off ends with the
// line.
var control = regexp.MustCompile(`(?m)(?:\x1b\[|\x{9b})[ -?]*[@-~]?` +
	`|(?:\x1b[PX\]^_]|[\x{90}\x{98}\x{9d}-\x{9f}]).*?(?:\x07|\x1b\\|\x{9c}|$)` +
	`|\x1b[ -/]*[0-~]?`)

// colour is the one of them that changes how characters look and neither moves
// nor hides them.
var colour = regexp.MustCompile(`^\x1b\[[0-9;:]*m$`)

// Plain is what people see of a text: its characters, without what sets
// colours, moves cursors or turns the text around. The ends of lines and tabs
// stay, and so do carriage returns, on which what was before them is gone.
func Plain(text string) string {
	plain, _ := seen(text)
	return plain
}

// seen is what people see of a text, without its colours and with them.
func seen(text string) (plain, coloured string) {
	if !strings.ContainsFunc(text, steers) {
		return text, text
	}
	var p, c strings.Builder
	end := 0
	for _, at := range append(control.FindAllStringIndex(text, -1), []int{len(text), len(text)}) {
		piece, sequence := still(text[end:at[0]]), text[at[0]:at[1]]
		p.WriteString(piece)
		c.WriteString(piece)
		if colour.MatchString(sequence) {
			c.WriteString(sequence)
		}
		end = at[1]
	}
	return p.String(), c.String()
}

// still is a text without the single characters that steer. What is no UTF-8
// stays.
func still(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if !steers(r) {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// steers says whether a character steers instead of showing something.
func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// hide has something hidden in what people see of a text: a colour in the midst
// of a secret hides it from nobody. Where nothing is to be hidden, the colours
// stay.
func hide(text string, in func(plain string) string) string {
	plain, coloured := seen(text)
	if hidden := in(plain); hidden != plain {
		return hidden
	}
	return coloured
}
