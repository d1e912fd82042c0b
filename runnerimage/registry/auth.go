package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

type sessionKey struct{ host, repository string }

// sessionSlot holds the session of one repository; turn is held by who makes it.
type sessionSlot struct {
	turn    chan struct{}
	session *session
}

// session is a login that lasts: its transport adds credentials to requests to
// the place's own host, to no other, and renews bearer tokens that run out.
type session struct{ transport http.RoundTripper }

// session returns the session for p, logging in if there is none or if the one
// there is old, which then has been refused. fresh says that it was made now.
func (c *Client) session(ctx context.Context, p place, old *session) (s *session, fresh bool, err error) {
	key := sessionKey{p.host, p.repository}
	c.mu.Lock()
	slot := c.sessions[key]
	if slot == nil {
		slot = &sessionSlot{turn: make(chan struct{}, 1)}
		c.sessions[key] = slot
	}
	c.mu.Unlock()

	select {
	case slot.turn <- struct{}{}:
		defer func() { <-slot.turn }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if slot.session != nil && slot.session != old {
		return slot.session, false, nil
	}
	transport, err := c.login(ctx, p)
	if err != nil {
		return nil, true, err
	}
	slot.session = &session{transport}
	return slot.session, true, nil
}

func (c *Client) login(ctx context.Context, p place) (http.RoundTripper, error) {
	var options []name.Option
	if c.plainAllowed(p.host) {
		options = append(options, name.Insecure)
	}
	host, err := name.NewRegistry(p.host, options...)
	if err != nil {
		return nil, err
	}
	authenticator := authn.Anonymous
	if c.keychain != nil && !p.mirror {
		login, err := c.keychain.Login(ctx, p.host, p.repository)
		if err != nil {
			return nil, &failure{kind: ErrDenied, text: fmt.Sprintf("credentials for %s: %v", p, err), cause: err}
		}
		if login != (authn.AuthConfig{}) {
			c.keepLogin(p.host, login)
			authenticator = authn.FromConfig(login)
		}
	}
	scope := host.Repo(p.repository).Scope(transport.PullScope)
	return transport.NewWithContext(ctx, host, authenticator, c.door, []string{scope})
}

// get sends one GET on behalf of p, following redirects. It returns the URL
// that answered. Redirect targets on other hosts get no credentials of p's.
func (c *Client) get(ctx context.Context, p place, u *url.URL, header http.Header) (*http.Response, *url.URL, error) {
	const mostRedirects = 10
	for range mostRedirects {
		resp, err := c.getOne(ctx, p, u, header)
		if err != nil {
			return nil, nil, err
		}
		if resp.Request != nil {
			u = resp.Request.URL // the login has settled the scheme
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return resp, u, nil
		}
		resp.Body.Close()
		next, err := u.Parse(resp.Header.Get("Location"))
		if err != nil || next.Host == "" {
			return nil, nil, errors.New("redirected to something that is no URL")
		}
		next.User = nil
		u = next
	}
	return nil, nil, fmt.Errorf("more than %d redirects", mostRedirects)
}

func (c *Client) getOne(ctx context.Context, p place, u *url.URL, header http.Header) (*http.Response, error) {
	// go-containerregistry's transports change the request they are given.
	newRequest := func() *http.Request {
		copied := *u
		return (&http.Request{Method: http.MethodGet, URL: &copied, Host: u.Host, Header: header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	}
	if p.foreign != nil {
		return c.door.RoundTrip(newRequest())
	}
	s, fresh, err := c.session(ctx, p, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.transport.RoundTrip(newRequest())
	if fresh || p.mirror || c.keychain == nil || u.Host != p.host || !isRefusal(resp, err) {
		return resp, err
	}
	// The credentials may have run out: ask the keychain for new ones, once.
	if resp != nil {
		resp.Body.Close()
	}
	if s, _, err = c.session(ctx, p, s); err != nil {
		return nil, err
	}
	return s.transport.RoundTrip(newRequest())
}

func isRefusal(resp *http.Response, err error) bool {
	code := 0
	if err == nil {
		code = resp.StatusCode
	} else if answer, ok := asAnswer(err); ok {
		code = answer.code
	}
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}

// keepLogin remembers whom the credentials are for, and what error texts must
// not show.
func (c *Client) keepLogin(host string, login authn.AuthConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins[host] = true
	basic := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
	for _, secret := range []string{login.Password, login.Auth, login.IdentityToken, login.RegistryToken, basic} {
		if len(secret) >= 4 { // shorter ones would blot out ordinary words
			c.secrets[secret] = true
		}
	}
}

// hasLogin says whether there were credentials for the host.
func (c *Client) hasLogin(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logins[host]
}
