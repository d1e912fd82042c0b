package cloud

import (
	"net/http"
	"time"
)

const entraUse = "entra access"

// entra is the client credentials grant with a federated credential.
func (c *Cloud) entra(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(r, map[string]string{
		"grant_type":            "client_credentials",
		"client_id":             "*",
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		"client_assertion":      "*",
		"scope":                 "https://containerregistry.azure.net/.default",
	})
	switch {
	case !ok:
		oauthError(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: The request body must contain other parameters")
	case form.Get("client_id") != Client:
		oauthError(w, http.StatusBadRequest, "unauthorized_client", "AADSTS700016: Application was not found in the directory")
	default:
		if err := c.checkIDToken(form.Get("client_assertion"), "api://AzureADTokenExchange"); err != nil {
			oauthError(w, http.StatusUnauthorized, "invalid_client", "AADSTS700212: "+err.Error())
			return
		}
		answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": c.grant("entra-", time.Hour, entraUse)})
	}
}

// azureExchange is where the registry trades an access token of Entra ID for a
// refresh token of its own.
func (c *Cloud) azureExchange(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(r, map[string]string{"grant_type": "access_token", "service": Azure, "tenant": Tenant, "access_token": "*"})
	if !ok || !c.good(form.Get("access_token"), entraUse) {
		answer(w, http.StatusUnauthorized, map[string]any{"errors": []any{
			map[string]string{"code": "UNAUTHORIZED", "message": "authentication required for " + form.Get("access_token")},
		}})
		return
	}
	answer(w, http.StatusOK, map[string]string{
		"refresh_token": c.grant("acr-", 3*time.Hour, "registry "+Azure+" 00000000-0000-0000-0000-000000000000"),
	})
}
