package hub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/google/go-github/v60/github"
)

// request is one request of the API.
type request struct {
	scope  scope
	method string
	path   string // below the API's URL
	query  url.Values
	in     any // is sent as JSON, if not nil
	out    any // is read from JSON, if not nil
	// again: to do it twice is to do it once.
	again bool
}

// harmless says whether a request may be sent again whatever became of it.
func (q request) harmless() bool { return q.method == http.MethodGet || q.again }

// next is where the next page of a list is.
type next struct {
	page   int
	cursor string
}

// do makes a request and reads its answer. A token that GitHub does not know
// any more is replaced once: what it refused, it did not do.
func (h *Hub) do(ctx context.Context, q request) (next, error) {
	n, renew, err := h.try(ctx, q)
	if statusOf(err) == http.StatusUnauthorized {
		renew()
		n, _, err = h.try(ctx, q)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	return n, err
}

func (h *Hub) try(ctx context.Context, q request) (n next, renew func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	credential, renew, err := h.credential(ctx, q.scope)
	if err != nil {
		return next{}, renew, err
	}
	client := h.client(q.scope)
	path := q.path
	if len(q.query) > 0 {
		path += "?" + q.query.Encode()
	}
	req, err := client.NewRequest(q.method, path, q.in)
	if err != nil {
		return next{}, renew, err
	}
	req.Header.Set("Authorization", credential)
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	resp, err := client.Do(ctx, req, q.out)
	if resp != nil {
		h.spent(q.scope.installation, resp.Rate)
	}
	if err == nil {
		return next{resp.NextPage, resp.Cursor}, renew, nil
	}
	return next{}, renew, h.failed(q, resp, err, sent.Load())
}

// failed says what an error of the library's comes to.
func (h *Hub) failed(q request, resp *github.Response, err error, sent bool) error {
	var (
		accepted *github.AcceptedError
		primary  *github.RateLimitError
		abuse    *github.AbuseRateLimitError
	)
	switch {
	case errors.As(err, &accepted): // it begins with it: success
		return nil
	case errors.As(err, &primary) && !sent: // the library knows of a limit
		return &Limited{Until: h.reset(primary.Rate.Reset.Time)}
	case errors.As(err, &abuse) && !sent:
		until := h.now().Add(leastPause)
		if abuse.RetryAfter != nil {
			until = h.now().Add(*abuse.RetryAfter)
		}
		return &Limited{Until: until, Secondary: true}
	case resp != nil && resp.StatusCode >= 300:
		return h.refused(resp.Response, q)
	}
	// There is no answer, or none that can be read.
	if sent && !q.harmless() {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// pages asks for a list, page after page. P is what a page is read into.
func pages[P any](ctx context.Context, h *Hub, q request) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		query := url.Values{"per_page": {"100"}}
		for name, values := range q.query {
			query[name] = values
		}
		for {
			var page P
			q.method, q.query, q.out = http.MethodGet, query, &page
			n, err := h.do(ctx, q)
			if !yield(page, err) || err != nil {
				return
			}
			switch {
			case n.cursor != "" && n.cursor != query.Get("cursor"):
				query.Set("cursor", n.cursor)
			case n.page != 0:
				query.Set("page", strconv.Itoa(n.page))
			default:
				return
			}
		}
	}
}
