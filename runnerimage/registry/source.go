package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// source knows where one blob's bytes are. It is safe for concurrent use.
type source struct {
	client *Client
	digest oci.Digest
	size   int64

	mu     sync.Mutex
	places []place // what is left to ask, the current one first
	// target is where the current place redirected to. Signed URLs are good for
	// many ranges, and run out.
	target *url.URL
	// plain says that ranges are not honoured.
	plain  bool
	missed []string
}

func (c *Client) newSource(ref oci.Reference, desc oci.Descriptor) *source {
	s := &source{client: c, digest: desc.Digest, size: desc.Size, places: c.places(ref)}
	for _, text := range desc.URLs {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			u.User = nil
			s.places = append(s.places, place{foreign: u})
		}
	}
	return s
}

// now is the state that one request goes by.
func (s *source) now() (p place, target *url.URL, plain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places[0], s.target, s.plain
}

func (s *source) place() place {
	p, _, _ := s.now()
	return p
}

func (s *source) isPlain() bool {
	_, _, plain := s.now()
	return plain
}

func (s *source) setPlain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = true
}

// setTarget replaces the target, unless another request has done so already or
// the place has changed.
func (s *source) setTarget(p place, from, to *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[0] == p && s.target == from {
		s.target = to
	}
}

// next gives p up for the place after it, and says whether there is one that
// err lets us go to: from a mirror always, from the registry to a foreign
// layer's URLs if it has no such blob.
func (s *source) next(p place, err error) bool {
	if !p.mirror && !s.client.isLasting(p, err) {
		return false
	}
	if _, kind := s.client.judge(p, err); !p.mirror && p.foreign == nil && kind != ErrNotFound {
		return false
	}
	var missed string
	if p.mirror {
		missed = s.client.missedMirror(p, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[0] != p {
		return true // another request has been here
	}
	if len(s.places) == 1 {
		return false
	}
	s.places, s.target, s.plain = s.places[1:], nil, false
	if missed != "" {
		s.missed = append(s.missed, missed)
	}
	return true
}

func (s *source) withMirrors(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return withMirrors(err, s.missed)
}

// open makes one request for the bytes [from, to) and returns them, from the
// first on, and how far they go: to, or the blob's size where ranges are not
// honoured. ranged refuses to be given more than the range, with errNoRanges.
func (s *source) open(ctx context.Context, from, to int64, ranged bool) (io.ReadCloser, int64, error) {
	for {
		p, _, _ := s.now()
		body, end, err := s.openAt(ctx, p, from, to, ranged)
		if err == nil || err == errNoRanges || ctx.Err() != nil || !s.next(p, err) {
			return body, end, err
		}
	}
}

func (s *source) openAt(ctx context.Context, p place, from, to int64, ranged bool) (io.ReadCloser, int64, error) {
	const mostRenewals = 3
	renewals := 0
	// Each repetition takes something away: a target that refuses, or the range.
	for {
		_, target, plain := s.now()
		header := http.Header{"Accept-Encoding": {"identity"}}
		asked := (from > 0 || to < s.size) && !plain
		if ranged && !asked {
			return nil, 0, errNoRanges
		}
		if asked {
			header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
		}
		u := p.url("blobs", s.digest.String())
		if target != nil {
			u = target
		}
		first := u.Host
		resp, at, err := s.client.get(ctx, p, u, header)
		if err != nil {
			return nil, 0, err
		}
		switch code := resp.StatusCode; {
		case code == http.StatusOK, code == http.StatusPartialContent && asked:
			if target == nil && (at.Host != first || at.Path != u.Path) {
				s.setTarget(p, nil, at)
			}
		case renewals < mostRenewals && (target != nil || at.Host != first) && isStale(code):
			// The signature has run out: the registry gives a new one. That
			// one can be stale as well, when other parts ask meanwhile.
			renewals++
			resp.Body.Close()
			s.setTarget(p, target, nil)
			continue
		case asked && (code == http.StatusRequestedRangeNotSatisfiable || code == http.StatusNotImplemented || code == http.StatusBadRequest):
			resp.Body.Close()
			s.setPlain()
			continue
		default:
			defer resp.Body.Close()
			return nil, 0, newAnswerError(resp)
		}
		if resp.StatusCode == http.StatusOK {
			return s.whole(resp, from, asked, ranged)
		}
		body, err := s.part(resp, from, to)
		if errors.Is(err, errNoRanges) {
			s.setPlain()
			continue
		}
		return body, to, err
	}
}

// isStale says of the answer of a redirect's target that the registry may have
// a better one.
func isStale(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// whole takes the answer that is the whole blob, and skips to the byte from.
func (s *source) whole(resp *http.Response, from int64, asked, ranged bool) (io.ReadCloser, int64, error) {
	if asked {
		s.setPlain()
	}
	if resp.ContentLength >= 0 && resp.ContentLength != s.size {
		resp.Body.Close()
		return nil, 0, fmt.Errorf("%w: the blob has %d bytes, its descriptor says %d", ErrMismatch, resp.ContentLength, s.size)
	}
	if ranged {
		resp.Body.Close()
		return nil, 0, errNoRanges
	}
	if _, err := io.CopyN(io.Discard, resp.Body, from); err != nil {
		resp.Body.Close()
		if err == io.EOF {
			err = errShort
		}
		return nil, 0, err
	}
	return resp.Body, s.size, nil
}

// part takes the answer that should be the bytes [from, to).
func (s *source) part(resp *http.Response, from, to int64) (io.ReadCloser, error) {
	first, last, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case ok && total >= 0 && total != s.size:
		resp.Body.Close()
		return nil, fmt.Errorf("%w: the blob has %d bytes, its descriptor says %d", ErrMismatch, total, s.size)
	case !ok || first != from || last != to-1:
		resp.Body.Close()
		return nil, errNoRanges
	}
	return resp.Body, nil
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
