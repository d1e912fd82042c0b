package setup

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
)

// ErrSecretsLost is returned where GitHub has made the App, and nobody has its
// secrets.
var ErrSecretsLost = errors.New("GitHub has made the App, and its secrets are lost")

// Maker makes an App as it is wished for.
type Maker struct {
	Wish
	// APIURL is GitHub's API. Default: that of github.com.
	APIURL string
	// Transport makes the requests. Default: that of http.
	Transport http.RoundTripper
	// Tell gets the page for the person who asked. Whoever knows it can have
	// the App made, once.
	Tell func(page string)
	// Keep puts the App's secrets where they stay. It is called once.
	Keep func(hub.Made) error
	// Pause is waited between attempts to have the secrets. Default: 2 s.
	Pause time.Duration
}

// Make serves the page on a listener of this machine until the App is made and
// kept, or ctx ends. It closes the listener.
func (m Maker) Make(ctx context.Context, listener net.Listener) (hub.Made, error) {
	defer listener.Close()
	if _, err := m.Manifest("http://127.0.0.1/"); err != nil {
		return hub.Made{}, err
	}
	if m.Pause == 0 {
		m.Pause = 2 * time.Second
	}
	s := &session{Maker: m, ctx: ctx, token: rand.Text(), cookie: rand.Text(), state: rand.Text(), done: make(chan outcome, 1)}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	m.Tell("http://" + listener.Addr().String() + "/?token=" + s.token)

	var result outcome
	select {
	case result = <-s.done:
	case <-ctx.Done():
		result.err = ctx.Err()
	case err := <-served:
		return hub.Made{}, err
	}
	// The browser gets its last page.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if server.Shutdown(last) != nil {
		server.Close()
	}
	<-served
	return result.made, result.err
}

type outcome struct {
	made hub.Made
	err  error
}

// session is one App's making, by the one browser that came with the token.
type session struct {
	Maker
	ctx  context.Context // of all of it: whoever closes the browser does not end a trade
	done chan outcome

	mu                   sync.Mutex
	token, cookie, state string // token and state are empty once they are used
}

const cookieName = "clipper-setup"

// ServeHTTP answers for the two pages. Other names of this machine than its
// own are somebody else's page that the browser is tricked with.
func (s *session) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' "+s.github()+"; frame-ancestors 'none'; base-uri 'none'")
	switch {
	case !loopbackHost(r.Host):
		refuse(w, http.StatusForbidden, "This page is for the machine that it is on, or a port that is forwarded to it.")
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "There is nothing to send here.")
	case r.URL.Path == "/":
		s.begin(w, r)
	case r.URL.Path == "/made":
		s.end(w, r)
	default:
		refuse(w, http.StatusNotFound, "There is no such page.")
	}
}

// begin shows the button to whoever brings the token, and from then on to that
// browser alone.
func (s *session) begin(w http.ResponseWriter, r *http.Request) {
	if !s.known(r) && !s.enter(w, r.URL.Query().Get("token")) {
		refuse(w, http.StatusForbidden, "Open the address that the terminal shows, whole. It serves one browser, once: for another one, run the command again.")
		return
	}
	if r.URL.RawQuery != "" { // the token is in it
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	manifest, err := s.Manifest("http://" + r.Host + "/made")
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	show(w, http.StatusOK, "begin", beginning{
		Manifest: manifest, Target: s.Settings("") + "/new?" + url.Values{"state": {state}}.Encode(), Used: state == "", Organization: s.Organization,
	})
}

// end takes the code that GitHub sent the browser back with.
func (s *session) end(w http.ResponseWriter, r *http.Request) {
	if !s.known(r) {
		refuse(w, http.StatusForbidden, "Another browser began this.")
		return
	}
	q := r.URL.Query()
	right, first := s.spend(q.Get("state"))
	switch {
	case !first:
		refuse(w, http.StatusForbidden, "GitHub's answer was here before.")
		return
	case !right:
		s.finish(w, hub.Made{}, errors.New("the browser came back with an answer to something that was not asked from here"))
		return
	case q.Get("code") == "":
		s.finish(w, hub.Made{}, errors.New("GitHub sent the browser back without a code"))
		return
	}
	made, err := s.trade(q.Get("code"))
	if err == nil {
		made, err = s.settle(made)
	}
	s.finish(w, made, err)
}

// settle keeps what GitHub gave. An App that has no secret for its webhook gets
// one: without, anybody could deliver.
func (s *session) settle(made hub.Made) (hub.Made, error) {
	given := made.WebhookSecret != ""
	if !given {
		made.WebhookSecret = newKey()
	}
	if err := s.Keep(made); err != nil {
		return made, fmt.Errorf("%w: %w", ErrSecretsLost, err)
	}
	if given {
		return made, nil
	}
	h, err := made.Hub(hub.Config{URL: s.APIURL, Transport: s.Transport})
	if err != nil {
		return made, err
	}
	target, err := url.Parse(s.Hook())
	if err != nil {
		return made, err
	}
	return made, h.SetWebhook(s.ctx, target, made.WebhookSecret)
}

func (s *session) finish(w http.ResponseWriter, made hub.Made, err error) {
	if err != nil {
		refuse(w, http.StatusBadGateway, err.Error())
	} else {
		show(w, http.StatusOK, "end", ending{made, InstallPage(made)})
	}
	s.done <- outcome{made, err}
}

// trade gets the secrets for the code. GitHub gives them once: after an answer
// that was lost, another attempt shows whether it had.
func (s *session) trade(code string) (hub.Made, error) {
	lost := false
	for attempt := 1; ; attempt++ {
		made, err := hub.Convert(s.ctx, hub.Config{URL: s.APIURL, Transport: s.Transport}, code)
		switch {
		case err == nil:
			return made, nil
		case errors.Is(err, hub.ErrGone) && lost:
			return hub.Made{}, fmt.Errorf("%w: its answer did not arrive, and it gives no second one", ErrSecretsLost)
		case errors.Is(err, hub.ErrGone), errors.Is(err, hub.ErrInvalid):
			return hub.Made{}, err
		case attempt == 5:
			return hub.Made{}, fmt.Errorf("%w: %w", ErrSecretsLost, err)
		}
		lost = lost || errors.Is(err, hub.ErrLost)
		select {
		case <-time.After(s.Pause):
		case <-s.ctx.Done():
			return hub.Made{}, fmt.Errorf("%w: %w", ErrSecretsLost, s.ctx.Err())
		}
	}
}

// known says whether it is the browser that came with the token.
func (s *session) known(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	s.mu.Lock()
	defer s.mu.Unlock()
	return err == nil && s.token == "" && same(c.Value, s.cookie)
}

// enter takes the token, once, for a cookie.
func (s *session) enter(w http.ResponseWriter, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !same(token, s.token) {
		return false
	}
	s.token = ""
	// Lax: the browser brings it along when GitHub sends it back.
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return true
}

// spend takes the state, once, right or wrong.
func (s *session) spend(state string) (right, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	right, first = same(state, s.state), s.state != ""
	s.state = ""
	return right, first
}

// same compares in constant time. What is used up is the same as nothing.
func same(given, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

// InstallPage is where accounts install the App.
func InstallPage(made hub.Made) string { return made.Page + "/installations/new" }
