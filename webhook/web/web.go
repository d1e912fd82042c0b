// Package web has the pages for people. In come requests of browsers, out goes
// HTML that the server has rendered: the inbox and what the rules said about
// each delivery, runs with their logs, the rules of repositories, and health.
//
// A person signs in through the App's GitHub OAuth and sees what belongs to
// repositories that GitHub says they can read; whatever else there is does not
// exist for them. What they ask for (replay, approve, re-run, cancel, start) takes
// the right to write, asked of GitHub at that moment, a token of their session for
// that one form, and a request that the browser says comes from these pages.
//
// Nothing is kept here but answers of GitHub's, for a minute: sessions are in
// cookies that only the service can read. Every page can be read without
// JavaScript; with it, lists, states and logs stay current by server-sent events
// whose payload is the same HTML. All that strangers wrote (bodies, logs, names)
// is escaped, bounded, and loses what could steer a terminal or a reader's eye.
package web

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// Books is what pages are made of. *database.DB has it.
type Books interface {
	Deliveries(ctx context.Context, f database.DeliveryFilter) iter.Seq2[database.Record, error]
	Delivery(ctx context.Context, app int64, guid string) (database.Record, error)
	Runs(ctx context.Context, f database.RunFilter) iter.Seq2[webhook.Run, error]
	Run(ctx context.Context, id string) (webhook.Run, error)
	Shown(ctx context.Context, run string) ([]database.Item, error)
	HealthOf(ctx context.Context, app int64, repositories []int64) (database.Health, error)
}

// Orders are what people ask for. That the person may write in the repository
// was asked of GitHub just before. An error that wraps ErrRefused is told to
// them.
type Orders interface {
	Replay(ctx context.Context, app int64, guid, by string) error
	// Approve lets a run go that waits; it is void for another commit.
	Approve(ctx context.Context, run, commit, by string) error
	// Rerun does a run again and returns the new one's ID.
	Rerun(ctx context.Context, run, by string) (id string, err error)
	Cancel(ctx context.Context, run, by string) error
	// Start has a rule run by hand and returns the run's ID.
	Start(ctx context.Context, s Start) (id string, err error)
}

// Start is a person's wish that a rule of a repository runs.
type Start struct {
	App, Installation, Repository int64
	FullName                      string
	Rule                          string
	By                            string
	// Nonce is that of a form: sent twice, it makes one run.
	Nonce string
}

// ErrRefused is wrapped by errors of [Orders] that people can do something
// about, as that somebody else was faster.
var ErrRefused = errors.New("refused")

// Logs are what runs say. Secrets are taken out of lines before they come here.
type Logs interface {
	// Tail has the last lines of a run, at most n, the oldest first; none if
	// nothing was said.
	Tail(ctx context.Context, run webhook.Run, n int) ([]Line, error)
	// Follow tells lines from a time on, while they are written, until the run
	// is over and all is told. Lines of that very time are told again. tell is
	// called by one goroutine.
	Follow(ctx context.Context, run webhook.Run, since time.Time, tell func(Line)) error
}

// Line is one of a log. The text is whatever a program wrote.
type Line struct {
	At        time.Time
	Container string // "run", or the name of a service
	Text      string
}

// Rulebook says what the rules of repositories are, and what they made of a
// delivery.
type Rulebook interface {
	Rules(ctx context.Context, installation, repository int64, fullName string) (Rules, error)
	Explain(ctx context.Context, d database.Record) (Explanation, error)
}

// Rules are those of a repository at its default branch.
type Rules struct {
	Branch, Commit string
	// Config is nil where there is none; Text is the repository's file.
	Config   *rules.Config
	Text     string
	Problems rules.Problems
}

// Explanation is what every rule makes of a delivery, and why. Nothing has to
// follow from it.
type Explanation struct {
	// Branch and Commit are where the rules were read.
	Branch, Commit string
	Decisions      []rules.Decision
	// Reason says why there are no decisions.
	Reason string
}

// Config is what a Server is made of.
type Config struct {
	// URL is where people reach the pages, https://host; over https, cookies
	// travel over nothing else.
	URL string
	// App is the App's ID; only what came through it is shown. ClientID and
	// ClientSecret are those of its OAuth.
	App                    int64
	ClientID, ClientSecret string
	// GitHubURL is where people sign in, APIURL is GitHub's API. The defaults
	// are github.com's.
	GitHubURL, APIURL string
	// Key seals cookies: at least 32 bytes that nobody can guess, the same on
	// all replicas. OldKeys are still opened, while Key replaces them.
	Key     []byte
	OldKeys [][]byte

	Books    Books
	Orders   Orders
	Logs     Logs
	Rulebook Rulebook

	// Client asks GitHub. The default has a timeout and follows no redirects.
	Client *http.Client
	// Every is how often live pages look for news. The default is a second.
	Every time.Duration
	// Log is told what went wrong. The default is slog.Default.
	Log *slog.Logger
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Server answers for all pages. It is safe for concurrent use.
type Server struct {
	Config
	secure  bool
	seal    *seal
	people  *people
	streams *streams
	handler http.Handler
}

// New makes a server. It fails for a configuration with which nobody could
// sign in, or anybody.
func New(c Config) (*Server, error) {
	at, err := url.Parse(c.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || strings.Trim(at.Path, "/") != "":
		return nil, errors.New("serve pages: the address is to be https://host")
	case c.ClientID == "" || c.ClientSecret == "" || c.App == 0:
		return nil, errors.New("serve pages: the App's ID, client ID and client secret are needed to sign people in")
	case c.Books == nil || c.Orders == nil || c.Logs == nil || c.Rulebook == nil:
		return nil, errors.New("serve pages: nothing to show")
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	c.defaults()
	s := &Server{Config: c, secure: at.Scheme == "https", streams: newStreams()}
	if s.seal, err = newSeal(c.Key, c.OldKeys...); err != nil {
		return nil, err
	}
	s.people = newPeople(c)
	s.handler = s.routes()
	return s, nil
}

func (c *Config) defaults() {
	if c.GitHubURL == "" {
		c.GitHubURL = "https://github.com"
	}
	if c.APIURL == "" {
		c.APIURL = "https://api.github.com"
	}
	c.GitHubURL, c.APIURL = strings.TrimSuffix(c.GitHubURL, "/"), strings.TrimSuffix(c.APIURL, "/")
	if c.Client == nil {
		c.Client = &http.Client{
			Timeout: 10 * time.Second,
			// A redirect could take a person's token to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Drain ends all streams: those who listen come back to another replica, or
// later. Call it before the server is shut down, which waits for requests.
func (s *Server) Drain() { s.streams.drain() }

// ServeHTTP answers for a page.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// routes are all pages. Those with somebody need one who has signed in.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /sign-in", s.signInPage)
	mux.HandleFunc("GET /sign-in/github", s.toGitHub)
	mux.HandleFunc("GET /sign-in/callback", s.fromGitHub)
	mux.HandleFunc("POST /sign-out", s.somebody(s.signOut))

	mux.HandleFunc("GET /{$}", s.somebody(func(v *visit) error { return v.redirect("/deliveries") }))
	mux.HandleFunc("GET /deliveries", s.somebody(s.inbox))
	mux.HandleFunc("GET /deliveries/live", s.somebody(s.liveInbox))
	mux.HandleFunc("GET /deliveries/{guid}", s.somebody(s.delivery))
	mux.HandleFunc("GET /deliveries/{guid}/body", s.somebody(s.body))
	mux.HandleFunc("POST /deliveries/{guid}/replay", s.somebody(s.replay))

	mux.HandleFunc("GET /runs", s.somebody(s.runs))
	mux.HandleFunc("GET /runs/live", s.somebody(s.liveRuns))
	mux.HandleFunc("GET /runs/{id}", s.somebody(s.run))
	mux.HandleFunc("GET /runs/{id}/live", s.somebody(s.liveRun))
	mux.HandleFunc("GET /runs/{id}/log", s.somebody(s.liveLog))
	mux.HandleFunc("POST /runs/{id}/approve", s.somebody(s.approve))
	mux.HandleFunc("POST /runs/{id}/rerun", s.somebody(s.rerun))
	mux.HandleFunc("POST /runs/{id}/cancel", s.somebody(s.cancel))

	mux.HandleFunc("GET /repositories", s.somebody(s.repositories))
	mux.HandleFunc("GET /repositories/{id}", s.somebody(s.repository))
	mux.HandleFunc("POST /repositories/{id}/rules/{rule}/start/{nonce}", s.somebody(s.start))
	mux.HandleFunc("GET /health", s.somebody(s.health))
	mux.HandleFunc("/", s.somebody(func(*visit) error { return errNoPage }))

	safe := http.NewCrossOriginProtection()
	safe.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, nil, errForeign)
	}))
	return s.guard(safe.Handler(mux))
}

// guard sets what browsers are to hold every page to: nothing inline, nothing
// from elsewhere, in nobody's frame, and in no cache that others share.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		h.Set("Cache-Control", "no-store")
		if s.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// maxForm is the largest form: a commit and a token.
const maxForm = 16 << 10
