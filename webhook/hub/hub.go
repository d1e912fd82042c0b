// Package hub is the service's one way to GitHub, as a GitHub App. In come the
// service's own words: a repository, a check that is to be shown, a workflow to
// start; out go what GitHub knows, or one of few kinds of errors. No type of
// GitHub's libraries leaves the room, and no token does but one that was asked
// for with [Hub.CheckoutToken] or [Hub.RunnersToken].
//
// What it promises:
//
//   - Nobody waits here for a limit to pass: who is to wait is told until when
//     (see [Limited]).
//   - Every call ends within [Config.Timeout] for each request that it makes.
//   - A token has the permissions that the call needs, in the one repository
//     that it is about, and none beside.
//   - Nothing is sent twice unless it makes no difference. What cannot be known
//     is said with [ErrLost]; the methods whose names begin with Put, and
//     JITConfig, look for what is there before they create it, so they may be
//     called again.
//   - What a commit holds is kept: it never changes. Answers are not, because
//     GitHub's ETags go with the hourly token.
//   - The machine's clock may be wrong: GitHub's own counts, from the answers.
package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says which App the hub is, and where GitHub is.
type Config struct {
	App    int64
	Signer Signer // has the App's private key
	// URL is that of the API: of an Enterprise Server https://HOST/api/v3. The
	// default is https://api.github.com.
	URL string
	// Transport makes the requests. The default is that of http.
	Transport http.RoundTripper
	// Timeout ends a request with its answer. The default is 30 s.
	Timeout time.Duration
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Hub asks GitHub. It is safe for concurrent use.
type Hub struct {
	app      int64
	url      *url.URL // ends with a slash
	http     *http.Client
	wire     *wire
	identity *identity
	timeout  time.Duration
	now      func() time.Time

	files *cache[fileKey, file]
	paths *cache[rangeKey, Paths]
	self  atomic.Pointer[App]

	mu            sync.Mutex
	installations map[int64]*installation
}

// New makes a hub. It asks GitHub for nothing.
func New(c Config) (*Hub, error) {
	if c.App <= 0 || c.Signer == nil {
		return nil, errors.New("a GitHub App has an id and a key")
	}
	base, err := url.Parse(strings.TrimSuffix(cmp.Or(c.URL, "https://api.github.com"), "/") + "/")
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("%q is no URL of an API", c.URL)
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &Hub{
		app: c.App, url: base, timeout: cmp.Or(c.Timeout, 30*time.Second), now: c.Now,
		wire:          &wire{next: c.Transport, now: c.Now},
		files:         newCache[fileKey, file](16 << 20),
		paths:         newCache[rangeKey, Paths](16 << 20),
		installations: map[int64]*installation{},
	}
	h.identity = &identity{app: c.App, signer: c.Signer, now: h.Now}
	h.http = &http.Client{Transport: h.wire, CheckRedirect: h.stay}
	return h, nil
}

// AppID is the App's.
func (h *Hub) AppID() int64 { return h.app }

// Skew is how far GitHub's clock is ahead of this machine's, by the latest
// answer; zero before the first.
func (h *Hub) Skew() time.Duration { return h.wire.lead() }

// Now is GitHub's time, as far as an answer has told it.
func (h *Hub) Now() time.Time { return h.now().Add(h.wire.lead()) }

// stay follows redirects, which repositories that were renamed have, and those
// to this API only.
func (h *Hub) stay(req *http.Request, via []*http.Request) error {
	if req.URL.Scheme != h.url.Scheme || req.URL.Host != h.url.Host || req.Method != via[0].Method || len(via) > 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// Repo is a repository in which the App is installed. Without an ID it goes by
// its name; with one it is found under a name that it had before.
type Repo struct {
	Installation int64
	ID           int64
	FullName     string
}

// of is a path below the repository's. Each argument is one part of it.
func (r Repo) of(format string, parts ...string) string {
	escaped := make([]any, len(parts))
	for i, part := range parts {
		escaped[i] = url.PathEscape(part)
	}
	return "repos/" + r.FullName + fmt.Sprintf(format, escaped...)
}

// in is what a token for the repository may, as "checks:write".
func (r Repo) in(permissions string) scope {
	s := scope{installation: r.Installation, repository: r.ID, permissions: permissions}
	if r.ID == 0 {
		_, s.name, _ = strings.Cut(r.FullName, "/")
	}
	return s
}

// valid refuses names that would lead a path elsewhere.
func (r Repo) valid() error {
	owner, name, _ := strings.Cut(r.FullName, "/")
	for _, part := range []string{owner, name} {
		if part == "" || part == "." || part == ".." || strings.Trim(part, nameLetters) != "" {
			return fmt.Errorf("%w: %q is no name of a repository", ErrInvalid, r.FullName)
		}
	}
	if r.Installation <= 0 {
		return fmt.Errorf("%w: the App is not installed in %s", ErrGone, r.FullName)
	}
	return nil
}

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// repo makes a call that is about a repository.
func (h *Hub) repo(ctx context.Context, r Repo, q request) error {
	if err := r.valid(); err != nil {
		return err
	}
	_, err := h.do(ctx, q)
	return err
}
