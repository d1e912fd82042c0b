package watch

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Seen is what of a task is known beside what ECS tells.
type Seen struct {
	// Healthy is when it was first seen healthy, zero if it was not.
	Healthy time.Time
	// Starts and Failures are what the runners in its containers said, by the
	// container's name.
	Starts   map[string]Start
	Failures map[string]Failure
}

// Start is what the runner in a container said about its start. Without
// CLIPPER_LOG=json its numbers are rounded, and Image and Digest not known.
type Start struct {
	Container    string `json:"container"`
	Image        string `json:"image,omitempty"`
	Digest       string `json:"digest,omitempty"`
	BytesPulled  int64  `json:"bytes_pulled"`
	BytesReused  int64  `json:"bytes_reused"`
	BytesWritten int64  `json:"bytes_written"`
	// Milliseconds by the runner's phases: resolve, clear, unpack, total.
	Milliseconds map[string]int64 `json:"ms"`
}

// Failure is what the runner in a container said about why it started no
// program.
type Failure struct {
	ExitCode int32
	Text     string
}

// Hear takes in a line of a container's log and returns it as people read it:
// a runner's is no JSON then. It is not ok for a runner's line about its start,
// which is in Starts; what comes after that one is the program's.
func (s *Seen) Hear(line Line) (told Line, ok bool) {
	_, started := s.Starts[line.Container]
	if start, ok := ParseStart(line); ok && !started {
		if s.Starts == nil {
			s.Starts = map[string]Start{}
		}
		s.Starts[line.Container] = start
		return line, false
	}
	failure, failed := ParseFailure(line)
	if failed {
		if s.Failures == nil {
			s.Failures = map[string]Failure{}
		}
		s.Failures[line.Container] = failure
	}
	if failed || !started {
		line.Text = plainLine(line.Text)
	}
	return line, true
}

// began says whether the container's program began, as far as its runner said:
// its exit code is its own then.
func (s Seen) began(container string) bool {
	_, started := s.Starts[container]
	_, failed := s.Failures[container]
	return started && !failed
}

// said is a runner's line other than that of its start, with CLIPPER_LOG=json.
type said struct {
	Level    string `json:"level"`
	Message  string `json:"msg"`
	ExitCode int32  `json:"exit_code"`
}

func parseSaid(text string) (s said, ok bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	ok = strings.HasPrefix(text, "{") && decoder.Decode(&s) == nil && s.Level != "" && s.Message != ""
	return s, ok
}

// plainLine is a runner's line as it is without CLIPPER_LOG=json, and any other
// as it stands.
func plainLine(text string) string {
	s, ok := parseSaid(text)
	switch {
	case !ok:
		return text
	case s.ExitCode != 0:
		return fmt.Sprintf("clipper-runner: %s: %s (exit code %d)", s.Level, s.Message, s.ExitCode)
	case s.Level != "info":
		return "clipper-runner: " + s.Level + ": " + s.Message
	}
	return "clipper-runner: " + s.Message
}

// ParseStart reads the line that a runner says when its image is laid out. It
// is not ok for every other line.
func ParseStart(line Line) (Start, bool) {
	text := strings.TrimSpace(line.Text)
	if !strings.HasPrefix(text, "{") {
		return parseReady(line.Container, text)
	}
	var s Start
	if !strings.Contains(text, `"bytes_pulled"`) || json.Unmarshal([]byte(text), &s) != nil || s.Digest == "" || s.Milliseconds == nil {
		return Start{}, false
	}
	s.Container = line.Container
	return s, true
}

// ready is that line where it is no JSON.
var ready = regexp.MustCompile(`^clipper-runner: ready in ([0-9.]+) s: [0-9]+ entries, ([0-9.]+ [kMG]?B) pulled, ([0-9.]+ [kMG]?B) reused, ([0-9.]+ [kMG]?B) written \(resolve ([0-9.]+) s, clear ([0-9.]+) s, unpack ([0-9.]+) s\)$`)

func parseReady(container, text string) (Start, bool) {
	found := ready.FindStringSubmatch(text)
	if found == nil {
		return Start{}, false
	}
	s := Start{Container: container, BytesPulled: size(found[2]), BytesReused: size(found[3]), BytesWritten: size(found[4]), Milliseconds: map[string]int64{}}
	for i, phase := range map[int]string{1: "total", 5: "resolve", 6: "clear", 7: "unpack"} {
		seconds, err := strconv.ParseFloat(found[i], 64)
		if err != nil {
			return Start{}, false
		}
		s.Milliseconds[phase] = int64(seconds * 1000)
	}
	return s, true
}

// size reads a number of bytes as a runner writes it, in powers of ten.
func size(text string) int64 {
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	return int64(n * map[string]float64{"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
}

// ParseFailure reads the line that a runner says before it ends without a
// program. It is not ok for every other line.
func ParseFailure(line Line) (Failure, bool) {
	text := strings.TrimSpace(line.Text)
	if s, ok := parseSaid(text); ok {
		return Failure{ExitCode: s.ExitCode, Text: s.Message}, s.Level == "error" && codes[s.ExitCode] != ""
	}
	told, ok := strings.CutPrefix(text, "clipper-runner: error: ")
	at := strings.LastIndex(told, " (exit code ")
	if !ok || at < 0 {
		return Failure{}, false
	}
	f := Failure{Text: told[:at]}
	_, err := fmt.Sscanf(told[at:], " (exit code %d)", &f.ExitCode)
	return f, err == nil && codes[f.ExitCode] != ""
}
