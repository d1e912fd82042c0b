package action

import (
	"io"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// Log is a step's log, as GitHub reads it: groups, masks, annotations. Writing
// to it never fails: a step whose log is gone has nobody to tell.
type Log struct {
	w      io.Writer
	action *githubactions.Action
}

// NewLog makes the log of a step from its standard output.
func NewLog(w io.Writer) *Log {
	w = untold{w}
	title := githubactions.CommandProperties{"title": "Clipper Runner"}
	return &Log{w: w, action: githubactions.New(githubactions.WithWriter(w), githubactions.WithFields(title))}
}

// untold keeps errors to itself: the library panics over them.
type untold struct{ w io.Writer }

func (u untold) Write(p []byte) (int, error) {
	_, _ = u.w.Write(p)
	return len(p), nil
}

// Group begins a part of the log that is folded away; the function returned
// ends it. Groups do not nest.
func (l *Log) Group(title string) (end func()) {
	l.action.Group(title)
	return l.action.EndGroup
}

// shortest is the length from which a value is a secret: masking "-" or "no"
// would make the log unreadable.
const shortest = 4

// Mask has a secret replaced by "***" in the whole job's log from here on.
func (l *Log) Mask(secret string) {
	trimmed := strings.TrimSpace(secret)
	if len(trimmed) < shortest {
		return
	}
	l.action.AddMask(secret)
	if trimmed != secret {
		l.action.AddMask(trimmed)
	}
}

// Notice, Warning and Error are annotations, which GitHub shows beside the job.
func (l *Log) Notice(text string)  { l.action.Noticef("%s", text) }
func (l *Log) Warning(text string) { l.action.Warningf("%s", text) }
func (l *Log) Error(text string)   { l.action.Errorf("%s", text) }

// Text is where others may write lines: whatever they say, it is no command.
func (l *Log) Text() io.Writer { return text{l.w} }

// text is a writer of whole lines.
type text struct{ w io.Writer }

func (t text) Write(p []byte) (int, error) {
	_, _ = io.WriteString(t.w, tame(string(p)))
	return len(p), nil
}

// tame makes lines that the runner does not take for commands. It takes a line
// for one that begins with "::" behind white space, or that has "##[" in it
// anywhere; lines end with "\n" and with "\r". It compares as people do, so that
// characters without a width may stand between.
func tame(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexAny(s, "\r\n") + 1
		if end == 0 {
			end = len(s)
		}
		line := s[:end]
		s = s[end:]
		if strings.Count(line, "#") > 1 {
			line = strings.ReplaceAll(line, "[", "(")
		}
		if strings.Contains(line, ":") && !word(line[0]) {
			b.WriteString("| ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// word reports whether c may begin a line of plain text.
func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Report tells in the log what a plan does not pass on.
func (p Plan) Report(l *Log) {
	if len(p.Kept) > 0 {
		_, _ = io.WriteString(l.Text(), "the workflow's value is kept for "+strings.Join(p.Kept, ", ")+"\n")
	}
	report(l.Notice, p.Filtered)
	report(l.Warning, p.Warned)
}

// report tells notices of one reason as one: GitHub shows ten.
func report(tell func(string), notices []Notice) {
	var reasons []string
	names := map[string][]string{}
	for _, n := range notices {
		if names[n.Reason] == nil {
			reasons = append(reasons, n.Reason)
		}
		names[n.Reason] = append(names[n.Reason], n.Name)
	}
	for _, reason := range reasons {
		tell("The image's " + strings.Join(names[reason], ", ") + " is not passed to later steps: " + reason + ".")
	}
}
