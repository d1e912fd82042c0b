package cloud

import (
	"net/http"
	"time"
)

// exchange is a token service of RFC 8693 of somebody's own.
func (c *Cloud) exchange(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(r, map[string]string{
		"grant_type":         "urn:ietf:params:oauth:grant-type:token-exchange",
		"audience":           Registry,
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"subject_token":      "*",
	})
	if !ok || r.URL.Query().Get("team") != "acme" || r.Header.Get("Authorization") != "Bearer "+form.Get("subject_token") {
		oauthError(w, http.StatusBadRequest, "invalid_request", "not a token exchange")
		return
	}
	if err := c.checkIDToken(form.Get("subject_token"), ExchangeHost); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"access_token":      c.grant("clp_", time.Hour, "registry "+Registry+" clipper"),
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer",
	})
}
