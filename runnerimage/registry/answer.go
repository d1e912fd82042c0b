package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What a source makes of the answer to a request for a blob or a part of it.

// all takes the answer that is the whole blob.
func (s *source) all(resp *http.Response, p place, from int64, asked, ranged bool) (*body, int64, error) {
	answer := resp.Body.(*body) // every answer comes through the door
	if asked {
		s.setRanges(p, ignored)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != s.size {
		resp.Body.Close()
		return nil, 0, fmt.Errorf("%w: the blob has %d bytes, its descriptor says %d", ErrMismatch, resp.ContentLength, s.size)
	}
	if asked && ranged {
		s.keepWhole(answer)
		return nil, 0, ErrNoRanges
	}
	return s.skip(answer, from)
}

// skip reads an answer that is the whole blob up to the byte from.
func (s *source) skip(answer *body, from int64) (*body, int64, error) {
	if _, err := io.CopyN(io.Discard, answer, from); err != nil {
		answer.Close()
		if err == io.EOF {
			err = errShort
		}
		return nil, 0, err
	}
	return answer, s.size, nil
}

// part takes the answer that should be the bytes [from, to).
func (s *source) part(resp *http.Response, from, to int64) (*body, error) {
	first, last, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case ok && total >= 0 && total != s.size:
		resp.Body.Close()
		return nil, fmt.Errorf("%w: the blob has %d bytes, its descriptor says %d", ErrMismatch, total, s.size)
	case !ok || first != from || last != to-1:
		resp.Body.Close()
		return nil, ErrNoRanges
	}
	return resp.Body.(*body), nil
}

// parseContentRange parses "bytes first-last/total"; total is -1 for "*".
func parseContentRange(s string) (first, last, total int64, ok bool) {
	unit, rest, _ := strings.Cut(s, " ")
	span, size, _ := strings.Cut(rest, "/")
	from, to, _ := strings.Cut(span, "-")
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return -1
		}
		return int64(n)
	}
	first, last, total = number(from), number(to), number(size)
	ok = unit == "bytes" && first >= 0 && last >= first && (total > last || size == "*")
	return first, last, total, ok
}

// keepWhole keeps an answer that nobody has read of, or closes it.
func (s *source) keepWhole(answer *body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole != nil || !answer.unbind() {
		answer.Close()
		return
	}
	s.whole = answer
}

// takeWhole is the answer that was kept, governed by ctx now, or nil.
func (s *source) takeWhole(ctx context.Context) *body {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.whole
	if answer == nil {
		return nil
	}
	s.whole = nil
	answer.bind(ctx)
	return answer
}

// close closes the answer that was kept, if nobody came for it.
func (s *source) close() {
	if answer := s.takeWhole(context.Background()); answer != nil {
		answer.Close()
	}
}
