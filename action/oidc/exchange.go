package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/google/go-containerregistry/pkg/authn"
)

// exchangeLogin asks CLIPPER_OIDC_URL for a login at host by the token exchange of RFC 8693. The ID
// token is the bearer token of the request, too, which is where some services
// look for it. The answer is that of the RFC, or {"token"}, each with the user
// name "clipper", or {"username","password"}.
//
// https://www.rfc-editor.org/rfc/rfc8693.html
func (c *Client) exchangeLogin(ctx context.Context, a *asker, token, host string) (authn.AuthConfig, error) {
	u, err := url.Parse(c.Identity.URL)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("%w: %s is not a URL", credentials.ErrSettings, envURL)
	}
	body, header := form(url.Values{
		"grant_type":         {grantExchange},
		"audience":           {host},
		"subject_token_type": {typeJWT},
		"subject_token":      {token},
	})
	header.Set("Authorization", "Bearer "+token)
	var out struct {
		AccessToken string `json:"access_token"`
		Token       string `json:"token"`
		Username    string `json:"username"`
		Password    string `json:"password"`
	}
	err = a.post(ctx, u.Host, c.Identity.URL, body, header, &out)
	a.secret(out.AccessToken, out.Token, out.Password)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	return newLogin(cmp.Or(out.Username, "clipper"), cmp.Or(out.Password, out.AccessToken, out.Token))
}

// newLogin is the end of every trade: what cannot be sent to a registry is not
// taken for a login.
func newLogin(user, password string) (authn.AuthConfig, error) {
	if password == "" || strings.Contains(user, ":") || strings.ContainsFunc(user+password, notPrintable) {
		return authn.AuthConfig{}, fmt.Errorf("%w: it holds no login", ErrUnreachable)
	}
	return authn.AuthConfig{Username: user, Password: password}, nil
}

// hint says what to grant where a service knows the request and refuses it.
func hint(err error, advice string) string {
	if !errors.Is(err, credentials.ErrRefused) {
		return ""
	}
	return " (" + advice + ")"
}
