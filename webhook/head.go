package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
)

// ParseHead reads what deliveries are filed by. A body that is no JSON, or
// lacks everything, has a zero Head. Every delivery waits for this, so it looks
// into four members and passes over the others: what is broken there shows when
// the event is read.
func ParseHead(body []byte) Head {
	var h Head
	var installation, repository struct {
		ID       int64
		FullName string `json:"full_name"`
	}
	var sender struct{ Login string }
	for name, value := range members(body) {
		var into any
		switch {
		case strings.EqualFold(name, "action"):
			into = &h.Action
		case strings.EqualFold(name, "installation"):
			into = &installation
		case strings.EqualFold(name, "repository"):
			into = &repository
		case strings.EqualFold(name, "sender"):
			into = &sender
		default:
			continue
		}
		err := json.Unmarshal(value, into)
		if wrong := new(json.UnmarshalTypeError); err != nil && !errors.As(err, &wrong) {
			return Head{}
		}
	}
	h.Installation, h.Repository, h.FullName, h.Sender = installation.ID, repository.ID, repository.FullName, sender.Login
	return h
}

// members are those of the object that a JSON text is, each with its value as
// it is written. A text that is no object has none; one that is broken has those
// before that.
func members(text []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		s := scanner{text}
		for more := s.take('{') && !s.take('}'); more; more = s.take(',') {
			key := s.value()
			var name string
			if json.Unmarshal(key, &name) != nil || !s.take(':') {
				return
			}
			value := s.value()
			if value == nil || !yield(name, value) {
				return
			}
		}
	}
}

// scanner goes over a JSON text.
type scanner struct{ rest []byte }

// take goes over a character, if it is the next one behind white space.
func (s *scanner) take(c byte) bool {
	s.rest = bytes.TrimLeft(s.rest, " \t\r\n")
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// value goes over a value and returns it, nil if the text ends before it does.
// Whether it is one inside is not looked at.
func (s *scanner) value() []byte {
	text := bytes.TrimLeft(s.rest, " \t\r\n")
	end, depth := 0, 0
	for end < len(text) {
		switch c := text[end]; c {
		case '"':
			n := stringEnd(text[end:])
			if n < 0 {
				return nil
			}
			end += n
		case '{', '[':
			depth++
			end++
		case '}', ']', ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 { // of a number or word, the end
				s.rest = text[end:]
				return text[:end:end]
			}
			if end++; c == '}' || c == ']' {
				depth--
			}
		default:
			end++
			continue
		}
		if depth == 0 {
			s.rest = text[end:]
			return text[:end:end]
		}
	}
	return nil
}

// stringEnd is where a string ends that a text begins with, -1 is nowhere.
func stringEnd(text []byte) int {
	for end := 1; ; {
		n := bytes.IndexByte(text[end:], '"')
		if n < 0 {
			return -1
		}
		end += n + 1
		if before := text[1 : end-1]; (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 0 {
			return end
		}
	}
}
