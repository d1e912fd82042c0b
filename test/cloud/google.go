package cloud

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const federatedUse = "google federated"

// googleSTS is the token exchange of a workload identity pool.
func (c *Cloud) googleSTS(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(r, map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"audience":             "//iam.googleapis.com/" + Provider,
		"scope":                "https://www.googleapis.com/auth/cloud-platform",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt",
		"subject_token":        "*",
	})
	if !ok {
		oauthError(w, http.StatusBadRequest, "invalid_request", "Invalid value for one of the fields")
		return
	}
	if err := c.checkIDToken(form.Get("subject_token"), "https://iam.googleapis.com/"+Provider); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	// Artifact Registry takes the federated token itself as well.
	token := c.grant("ya29.d.", time.Hour, federatedUse, "registry "+Google+" oauth2accesstoken")
	answer(w, http.StatusOK, map[string]any{
		"access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600,
	})
}

// impersonate is generateAccessToken of a service account.
func (c *Cloud) impersonate(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Scope    []string `json:"scope"`
		Lifetime string   `json:"lifetime"`
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case json.NewDecoder(r.Body).Decode(&body) != nil || len(body.Scope) != 1 || body.Scope[0] != "https://www.googleapis.com/auth/cloud-platform" || body.Lifetime != "3600s":
		googleError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "Request contains an invalid argument.")
	case !c.good(token, federatedUse):
		googleError(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials "+token)
	case r.PathValue("call") != ServiceAccount+":generateAccessToken":
		googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
	default:
		answer(w, http.StatusOK, map[string]string{
			"accessToken": c.grant("ya29.c.", time.Hour, "registry "+Google+" oauth2accesstoken"),
			"expireTime":  c.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		})
	}
}

func oauthError(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]string{"error": code, "error_description": description})
}

func googleError(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": status, "message": message, "status": code}})
}
