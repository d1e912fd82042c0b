package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/sethvargo/go-githubactions"
)

// ErrUnreachable says that a service gave no usable answer. One that refused
// is credentials.ErrRefused, bad or missing settings are
// credentials.ErrSettings.
var ErrUnreachable = errors.New("no usable answer")

// The variables of a job that may ask for ID tokens.
const (
	requestURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	requestToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// Client asks for logins. It is used for one job and is safe for concurrent
// use.
type Client struct {
	// Identity is who the job is.
	Identity Identity
	// Env looks up the job's variables: ACTIONS_ID_TOKEN_REQUEST_URL and
	// _TOKEN, GITHUB_RUN_ID.
	Env func(string) string
	// Mask is called with every secret before anything else is done with it.
	Mask func(secret string)
	// HTTP is the client to ask with. Redirects are never followed. Default:
	// http.DefaultTransport.
	HTTP *http.Client
}

// Login returns credentials for a registry host, for which Identity.For must
// be ok.
func (c *Client) Login(ctx context.Context, host string) (authn.AuthConfig, error) {
	a := &asker{mask: c.Mask, http: c.client()}
	a.secret(c.Env(requestToken))
	host = credentials.NormalizeHost(host)
	s := c.Identity.service(host)
	if s == noService {
		return authn.AuthConfig{}, fmt.Errorf("%w: no identity is set that %s accepts", credentials.ErrSettings, host)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, asking, fmt.Errorf("%w within %s", ErrUnreachable, asking))
	defer cancel()
	login, err := c.login(bounded, a, s, host)
	switch {
	case err != nil && ctx.Err() != nil:
		return authn.AuthConfig{}, ctx.Err()
	case err != nil && bounded.Err() != nil:
		err = context.Cause(bounded)
	}
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("trade the job's identity for a login at %s: %w", host, err)
	}
	return login, nil
}

// login is the trade with one service.
func (c *Client) login(ctx context.Context, a *asker, s service, host string) (login authn.AuthConfig, err error) {
	token, err := c.idToken(ctx, a, c.Identity.audience(s, host))
	if err != nil {
		return login, fmt.Errorf("ask GitHub for an ID token: %w", err)
	}
	switch s {
	case amazon:
		login, err = c.amazonLogin(ctx, a, token, host)
	case google:
		login, err = c.googleLogin(ctx, a, token)
	case azure:
		login, err = c.azureLogin(ctx, a, token, host)
	default:
		login, err = c.exchangeLogin(ctx, a, token, host)
	}
	if err == nil {
		// Registries are sent the pair in this form.
		a.secret(base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password)))
	}
	return login, err
}

// client follows no redirect: it would carry a token to another host.
func (c *Client) client() *http.Client {
	client := &http.Client{}
	if c.HTTP != nil {
		client = new(*c.HTTP)
	}
	client.Timeout = answering
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// idToken asks GitHub for a token that says which job this is.
//
// https://docs.github.com/en/actions/reference/security/oidc
func (c *Client) idToken(ctx context.Context, a *asker, audience string) (string, error) {
	if u := c.Env(requestURL); u != "" && !isService(u) {
		return "", fmt.Errorf("%w: %s is not an https URL", credentials.ErrSettings, requestURL)
	}
	job := githubactions.New(githubactions.WithGetenv(c.Env), githubactions.WithHTTPClient(a.http), githubactions.WithWriter(io.Discard))
	var token string
	err := a.retry(ctx, func() (time.Duration, error) {
		answer, err := job.GetIDToken(ctx, audience)
		a.secret(answer)
		token = answer
		return 0, idTokenFault(err)
	})
	if err == nil && (token == "" || strings.ContainsFunc(token, notPrintable)) {
		err = fmt.Errorf("%w: it holds no token", ErrUnreachable)
	}
	return token, err
}

// idTokenFault tells a failure of GetIDToken in words that quote neither the
// URL nor the answer.
func idTokenFault(err error) error {
	var missing *githubactions.EnvMissingError
	var refused *githubactions.RequestFailedError
	var withURL *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return fmt.Errorf("%w: %s is not set; give the job \"permissions: id-token: write\" (GitHub never gives it to pull requests from forks)", credentials.ErrSettings, missing.Name)
	case errors.As(err, &refused):
		return &refusal{status: refused.StatusCode}
	case errors.As(err, &withURL):
		return fmt.Errorf("%w: %w", ErrUnreachable, withURL.Err)
	}
	return fmt.Errorf("%w: it is not understood", ErrUnreachable)
}
