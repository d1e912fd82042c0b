package fakehub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// consent is what a person gave, to be traded for a token once.
type consent struct {
	app       *App
	user      *account
	redirect  string
	challenge string // PKCE's, "" without
	until     time.Time
}

// authorizePage lets the person at the browser in without asking
// (https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app).
func (h *Hub) authorizePage(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts["login/authorize"]++
	q := r.URL.Query()
	i := slices.IndexFunc(h.apps, func(a *App) bool { return a.ClientID == q.Get("client_id") })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	app, redirect := h.apps[i], q.Get("redirect_uri")
	if redirect == "" && len(app.callbacks) > 0 {
		redirect = app.callbacks[0]
	}
	if !slices.ContainsFunc(app.callbacks, func(allowed string) bool { return redirect == allowed || strings.HasPrefix(redirect, allowed+"/") }) {
		http.Error(w, "The redirect_uri is not associated with this application.", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}}
	switch method := q.Get("code_challenge_method"); {
	case h.browser == nil:
		back.Set("error", "access_denied")
	case q.Get("code_challenge") != "" && method != "S256":
		back.Set("error", "invalid_request")
	default:
		code := strings.ToLower(rand.Text())[:20]
		h.consents[code] = consent{app, h.browser, redirect, q.Get("code_challenge"), h.now().Add(10 * time.Minute)}
		back.Set("code", code)
	}
	http.Redirect(w, r, withQuery(redirect, back), http.StatusFound)
}

func withQuery(target string, query url.Values) string {
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	return target + separator + query.Encode()
}

// exchange trades a code, or a refresh token, for a token of the person's. Its
// errors have the status 200, as GitHub's.
func (h *Hub) exchange(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts["login/access_token"]++
	in := parameters(w, r)
	out := h.grant(in)
	if strings.Contains(r.Header.Get("Accept"), "json") {
		w.Header().Set("Content-Type", jsonType)
		_ = json.NewEncoder(w).Encode(out)
		return
	}
	form := url.Values{}
	for name, value := range out {
		form.Set(name, fmt.Sprint(value))
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(form.Encode()))
}

// parameters reads a form or JSON, and client credentials from the header.
func parameters(w http.ResponseWriter, r *http.Request) map[string]string {
	in := map[string]string{}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		_ = json.NewDecoder(r.Body).Decode(&in) // what is missing is refused
	} else if r.ParseForm() == nil {
		for name := range r.Form {
			in[name] = r.Form.Get(name)
		}
	}
	if id, secret, ok := r.BasicAuth(); ok {
		in["client_id"], in["client_secret"] = id, secret
	}
	return in
}

func (h *Hub) grant(in map[string]string) object {
	i := slices.IndexFunc(h.apps, func(a *App) bool { return a.ClientID == in["client_id"] && a.ClientSecret == in["client_secret"] })
	if i < 0 {
		return object{"error": "incorrect_client_credentials", "error_description": "The client_id and/or client_secret passed are incorrect."}
	}
	key := in["code"]
	if in["grant_type"] == "refresh_token" {
		key = in["refresh_token"]
	}
	given, ok := h.consents[key]
	delete(h.consents, key)
	sum := sha256.Sum256([]byte(in["code_verifier"]))
	switch {
	case !ok || given.app != h.apps[i] || !h.now().Before(given.until),
		given.challenge != "" && given.challenge != base64.RawURLEncoding.EncodeToString(sum[:]):
		return object{"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
	case in["redirect_uri"] != "" && in["redirect_uri"] != given.redirect:
		return object{"error": "redirect_uri_mismatch", "error_description": "The redirect_uri MUST match the registered callback URL for this application."}
	}
	const lasts, refreshable = 8 * time.Hour, 184 * 24 * time.Hour
	t := &token{value: "ghu_" + (rand.Text() + rand.Text())[:36], expires: h.now().Add(lasts), user: given.user, app: given.app}
	h.tokens[t.value] = t
	refresh := "ghr_" + rand.Text() + rand.Text()
	h.consents[refresh] = consent{given.app, given.user, given.redirect, "", h.now().Add(refreshable)}
	return object{"access_token": t.value, "token_type": "bearer", "scope": "", "expires_in": int(lasts.Seconds()),
		"refresh_token": refresh, "refresh_token_expires_in": int(refreshable.Seconds())}
}
