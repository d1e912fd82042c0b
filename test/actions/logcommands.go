package actions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Annotation is an error, a warning or a notice of a step.
type Annotation struct {
	Level, Message string
	// Properties are title, file, line and so on.
	Properties map[string]string
}

// jobLog is what a person would read. It is safe for concurrent use.
type jobLog struct {
	mu     sync.Mutex
	text   strings.Builder
	masks  []string
	resume string // the token that ends ::stop-commands::
	output func(line string)
}

// addMask hides a value, and each of its lines, from now on. The runner hides
// some encodings of it, too; the replay does not, so that a test sees more.
func (l *jobLog) addMask(value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range append(strings.FieldsFunc(value, func(r rune) bool { return r == '\r' || r == '\n' }), value) {
		if v = strings.TrimSpace(v); v != "" && !slices.Contains(l.masks, v) {
			l.masks = append(l.masks, v)
		}
	}
	slices.SortFunc(l.masks, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

func (l *jobLog) mask(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.masked(text)
}

func (l *jobLog) masked(text string) string {
	for _, value := range l.masks {
		text = strings.ReplaceAll(text, value, "***")
	}
	return text
}

// print writes a line.
func (l *jobLog) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line = l.masked(line)
	l.text.WriteString(line + "\n")
	if l.output != nil {
		l.output(line)
	}
}

func (l *jobLog) printf(format string, args ...any) { l.print(fmt.Sprintf(format, args...)) }

func (l *jobLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logCommands are the names that a line may begin with.
var logCommands = []string{
	"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice",
	"remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
}

// logCommand is a line such as "::error title=x::message".
type logCommand struct {
	name, data string
	properties map[string]string
}

// parseLogCommand reads a line (ActionCommand.cs). The older form
// "##[error]message" has no properties here.
func parseLogCommand(line, resume string) (c logCommand, ok bool) {
	known := func(name string) bool {
		return slices.Contains(logCommands, strings.ToLower(name)) || resume != "" && strings.EqualFold(name, resume)
	}
	if rest, found := strings.CutPrefix(strings.TrimLeft(line, " \t"), "::"); found {
		if head, data, found := strings.Cut(rest, "::"); found {
			name, properties, _ := strings.Cut(head, " ")
			data = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(data)
			return logCommand{strings.ToLower(name), data, parseProperties(properties)}, known(name)
		}
	}
	if _, rest, found := strings.Cut(line, "##["); found {
		name, data, found := strings.Cut(rest, "]")
		return logCommand{name: strings.ToLower(name), data: data}, found && known(name)
	}
	return c, false
}

func parseProperties(text string) map[string]string {
	properties := map[string]string{}
	unescape := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	for pair := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" && value != "" {
			properties[strings.ToLower(name)] = unescape.Replace(value)
		}
	}
	return properties
}

// output takes a line that a step printed.
func (s *running) output(line string) {
	l := s.job.log
	c, ok := parseLogCommand(line, l.resume)
	switch {
	case !ok:
		l.print(line)
	case l.resume != "":
		if c.name == strings.ToLower(l.resume) {
			l.resume = ""
		}
		l.print(line)
	default:
		s.command(c, line)
	}
}

// command does what a log command asks for.
func (s *running) command(c logCommand, line string) {
	l := s.job.log
	fail := func(err string) {
		s.annotate("error", fmt.Sprintf("Unable to process command '%s' successfully.", line), nil)
		s.annotate("error", err, nil)
		s.failed = true
	}
	switch c.name {
	case "add-mask":
		if strings.TrimSpace(c.data) == "" {
			s.annotate("warning", "Can't add secret mask for empty string in ##[add-mask] command.", nil)
			return
		}
		l.addMask(c.data)
	case "error", "warning", "notice":
		s.annotate(c.name, c.data, c.properties)
	case "group", "debug":
		l.printf("##[%s]%s", c.name, c.data)
	case "endgroup":
		l.print("##[endgroup]")
	case "stop-commands":
		if c.data == "" || slices.Contains(logCommands, strings.ToLower(c.data)) {
			fail("Invoked ::stop-commands:: with an unsafe token")
			return
		}
		l.resume = c.data
		if len(c.data) > 6 {
			l.addMask(c.data)
		}
		l.print(line)
	case "set-output", "save-state":
		if c.properties["name"] == "" {
			fail("Required field 'name' is missing in ##[" + c.name + "] command.")
			return
		}
		name := map[string]string{"set-output": "output", "save-state": "state"}[c.name]
		if err := s.set(name, Pair{c.properties["name"], c.data}); err != nil {
			fail(err.Error())
		}
	case "set-env", "add-path":
		fail("The `" + c.name + "` command is disabled. Please upgrade to using Environment Files")
	}
}

// annotate notes an annotation and writes it to the log.
func (s *running) annotate(level, message string, properties map[string]string) {
	message = s.job.log.mask(message)
	for name, value := range properties {
		properties[name] = s.job.log.mask(value)
	}
	s.job.result.Annotations = append(s.job.result.Annotations, Annotation{level, message, properties})
	s.job.log.printf("##[%s]%s", level, message)
}
