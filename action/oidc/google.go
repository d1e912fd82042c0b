package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	googleSTS   = "https://sts.googleapis.com/v1/token"
	googleIAM   = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
	googleScope = "https://www.googleapis.com/auth/cloud-platform"

	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// googleLogin trades the ID token for a federated access token, and that for
// one of a service account where one is named.
//
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (c *Client) googleLogin(ctx context.Context, a *asker, token string) (authn.AuthConfig, error) {
	body, header := form(url.Values{
		"grant_type":           {grantExchange},
		"audience":             {"//iam.googleapis.com/" + c.Identity.GCPProvider},
		"scope":                {googleScope},
		"requested_token_type": {typeAccessToken},
		"subject_token_type":   {typeJWT},
		"subject_token":        {token},
	})
	var federated struct {
		AccessToken string `json:"access_token"`
	}
	err := a.post(ctx, "sts.googleapis.com", googleSTS, body, header, &federated)
	a.secret(federated.AccessToken)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("%w%s", err, hint(err, "the provider must accept the issuer https://token.actions.githubusercontent.com, this audience, and this repository by its attribute condition"))
	}
	access := federated.AccessToken
	if c.Identity.GCPServiceAccount != "" {
		if access, err = c.impersonate(ctx, a, access); err != nil {
			return authn.AuthConfig{}, err
		}
	}
	return newLogin("oauth2accesstoken", access)
}

// impersonate needs roles/iam.workloadIdentityUser on the service account.
//
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (c *Client) impersonate(ctx context.Context, a *asker, federated string) (string, error) {
	// Strings always marshal.
	body, _ := json.Marshal(map[string]any{"scope": []string{googleScope}, "lifetime": "3600s"})
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + federated}}
	var out struct {
		AccessToken string `json:"accessToken"`
	}
	account := c.Identity.GCPServiceAccount
	err := a.post(ctx, "iamcredentials.googleapis.com", googleIAM+url.PathEscape(account)+":generateAccessToken", body, header, &out)
	a.secret(out.AccessToken)
	if err != nil {
		return "", fmt.Errorf("%w%s", err, hint(err, "grant roles/iam.workloadIdentityUser on "+account+" to the provider's principal set"))
	}
	return out.AccessToken, nil
}
