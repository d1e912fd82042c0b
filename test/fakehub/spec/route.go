package spec

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// segment is a part of a path between slashes.
type segment struct {
	text string // the literal, or the parameter's name
	kind kind
}

type kind int

// The kinds, the more particular first.
const (
	literal kind = iota
	one          // parameter
	several      // a parameter of several segments, as a file's path
)

// split reads a path. What may have several segments is the end of a path.
func (op *Operation) split() []segment {
	long := map[string]bool{}
	for _, p := range op.parameters(openapi3.ParameterInPath) {
		long[p.Name], _ = p.Extensions["x-multi-segment"].(bool)
	}
	var segments []segment
	for text := range strings.SplitSeq(strings.Trim(op.Path, "/"), "/") {
		name, isParameter := strings.CutPrefix(text, "{")
		name = strings.TrimSuffix(name, "}")
		switch {
		case !isParameter:
			segments = append(segments, segment{text, literal})
		case long[name] && strings.HasSuffix(op.Path, text):
			segments = append(segments, segment{name, several})
		default:
			segments = append(segments, segment{name, one})
		}
	}
	return segments
}

// match reads a path's parameters from its escaped segments.
func (op *Operation) match(path []string) (map[string]string, bool) {
	params := map[string]string{}
	for i, s := range op.segments {
		if i >= len(path) && s.kind != several {
			return nil, false
		}
		switch s.kind {
		case literal:
			if path[i] != s.text {
				return nil, false
			}
		case one, several:
			text := strings.Join(path[min(i, len(path)):], "/")
			if s.kind == one {
				text = path[i]
			}
			value, err := url.PathUnescape(text)
			if err != nil || s.kind == one && value == "" {
				return nil, false
			}
			params[s.text] = value
		}
		if s.kind == several {
			return params, true
		}
	}
	return params, len(path) == len(op.segments)
}

// compare puts the more particular of two paths first.
func (op *Operation) compare(other *Operation) int {
	for i := range min(len(op.segments), len(other.segments)) {
		if c := cmp.Compare(op.segments[i].kind, other.segments[i].kind); c != 0 {
			return c
		}
	}
	return len(other.segments) - len(op.segments)
}

// Find finds the operation that a request is for, and what its path says; nil:
// there is none.
func Find(operations map[string]*Operation, r *http.Request) (found *Operation, params map[string]string) {
	path := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for _, op := range operations {
		if op.Method != r.Method || op.Event() {
			continue
		}
		if values, ok := op.match(path); ok && (found == nil || op.compare(found) < 0) {
			found, params = op, values
		}
	}
	return found, params
}
