package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// source knows where one blob's bytes are. It is safe for concurrent use.
type source struct {
	client *Client
	name   string // for errors
	digest oci.Digest
	size   int64

	mu     sync.Mutex
	places []place // what is left to ask, the current one first
	// target is where the current place redirected to. Signed URLs are good for
	// many ranges, and run out.
	target *url.URL
	// ranges is what the current place has shown of them.
	ranges ranges
	// whole is an answer that was to be a range and is the whole blob, not read
	// yet: who asks for the blob next gets it.
	whole  *body
	missed []string
}

// ranges says whether a place answers a request for a range with the range.
type ranges int

const (
	untried ranges = iota
	honoured
	ignored
)

func (c *Client) newSource(ref oci.Reference, desc oci.Descriptor) *source {
	s := &source{
		client: c, name: fmt.Sprintf("blob %s of %s", desc.Digest, ref.Name()),
		digest: desc.Digest, size: desc.Size, places: c.places(ref),
	}
	for _, text := range desc.URLs {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			u.User = nil
			s.places = append(s.places, place{foreign: u})
		}
	}
	return s
}

// honoursRanges says that the current place has shown that it does.
func (s *source) honoursRanges() bool {
	_, ranges := s.known(s.place())
	return ranges == honoured
}

func (s *source) place() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places[0]
}

// known is what one request at p goes by. Of a place that was given up
// meanwhile nothing is known any more.
func (s *source) known(p place) (target *url.URL, ranges ranges) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[0] != p {
		return nil, untried
	}
	return s.target, s.ranges
}

// setRanges notes what p has shown. A place that once ignored a range is asked
// for no more of them.
func (s *source) setRanges(p place, seen ranges) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[0] == p {
		s.ranges = max(s.ranges, seen)
	}
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
	s.places, s.target, s.ranges = s.places[1:], nil, untried
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

// open gets the bytes [from, to) by one request, or from the answer that was
// kept, and returns them and how far they go: to, or the blob's size where
// ranges are not honoured. ranged refuses to be given more than was asked for,
// with ErrNoRanges.
func (s *source) open(ctx context.Context, from, to int64, ranged bool) (*body, int64, error) {
	if !ranged {
		if answer := s.takeWhole(ctx); answer != nil {
			return s.skip(answer, from)
		}
	}
	for {
		p := s.place()
		answer, end, err := s.openAt(ctx, p, from, to, ranged)
		if err == nil || errors.Is(err, ErrNoRanges) || ctx.Err() != nil || !s.next(p, err) {
			return answer, end, err
		}
	}
}

func (s *source) openAt(ctx context.Context, p place, from, to int64, ranged bool) (*body, int64, error) {
	const mostRenewals = 3
	renewals, refused := 0, false
	// Each repetition takes something away: a target that refuses, or the range.
	for {
		target, ranges := s.known(p)
		refused = refused || ranges == ignored
		if ranged && refused {
			return nil, 0, ErrNoRanges
		}
		header := http.Header{"Accept-Encoding": {"identity"}}
		asked := (from > 0 || to < s.size) && !refused
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
			s.setRanges(p, ignored)
			refused = true
			continue
		default:
			defer resp.Body.Close()
			return nil, 0, newAnswerError(resp)
		}
		if resp.StatusCode == http.StatusOK {
			return s.all(resp, p, from, asked, ranged)
		}
		answer, err := s.part(resp, from, to)
		if errors.Is(err, ErrNoRanges) {
			s.setRanges(p, ignored)
			refused = true
			continue
		}
		if err == nil {
			s.setRanges(p, honoured)
		}
		return answer, to, err
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
