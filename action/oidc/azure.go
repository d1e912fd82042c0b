package oidc

import (
	"context"
	"fmt"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// azureUser is the user name beside every token of an Azure registry.
	azureUser = "00000000-0000-0000-0000-000000000000"
	// azureScope is good for registries only; one for the Resource Manager would
	// be accepted as well, and could do more.
	azureScope = "https://containerregistry.azure.net/.default"
)

// azureLogin signs in with the ID token in place of a client secret, and trades
// the access token for a refresh token of the registry, which is a password
// there.
//
// https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
// https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
func (c *Client) azureLogin(ctx context.Context, a *asker, token, host string) (authn.AuthConfig, error) {
	cloud, _ := azureCloudOf(host)
	body, header := form(url.Values{
		"grant_type":            {"client_credentials"},
		"client_id":             {c.Identity.AzureClientID},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {token},
		"scope":                 {azureScope},
	})
	var signedIn struct {
		AccessToken string `json:"access_token"`
	}
	tenant := c.Identity.AzureTenantID
	err := a.post(ctx, cloud.login, "https://"+cloud.login+"/"+url.PathEscape(tenant)+"/oauth2/v2.0/token", body, header, &signedIn)
	a.secret(signedIn.AccessToken)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("%w%s", err, hint(err, "the application needs a federated credential for this repository with the audience "+c.Identity.audience(azure, host)))
	}

	body, header = form(url.Values{
		"grant_type":   {"access_token"},
		"service":      {host},
		"tenant":       {tenant},
		"access_token": {signedIn.AccessToken},
	})
	var exchanged struct {
		RefreshToken string `json:"refresh_token"`
	}
	err = a.post(ctx, host, "https://"+host+"/oauth2/exchange", body, header, &exchanged)
	a.secret(exchanged.RefreshToken)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("%w%s", err, hint(err, "give the application the role AcrPull on the registry"))
	}
	return newLogin(azureUser, exchanged.RefreshToken)
}
