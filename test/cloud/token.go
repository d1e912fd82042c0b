package cloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	issuer  = "https://token.actions.githubusercontent.com"
	subject = "repo:" + Repository + ":ref:refs/heads/main"
)

type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Expires  int64  `json:"exp"`
}

// idToken is GitHub's endpoint for a job's ID tokens.
func (c *Cloud) idToken(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	q := r.URL.Query()
	switch {
	case r.PathValue("path") != "a/b/idtoken" || q.Get("api-version") != "2.0":
		http.NotFound(w, r)
	case !c.good(token, "id tokens"):
		answer(w, http.StatusUnauthorized, map[string]string{"message": "not allowed: " + token})
	default:
		audience := q.Get("audience")
		if audience == "" {
			audience = "https://github.com/acme"
		}
		answer(w, http.StatusOK, map[string]string{"value": c.IDToken(audience)})
	}
}

// IDToken is a job's ID token, as GitHub would issue it.
func (c *Cloud) IDToken(audience string) string {
	const lasts = 5 * time.Minute
	payload, _ := json.Marshal(claims{issuer, audience, subject, c.Now().Add(lasts).Unix()})
	signed := segment([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + segment(payload)
	token := signed + "." + c.signature(signed)
	c.remember(token, lasts)
	return token
}

// checkIDToken says what is wrong with an ID token for an audience.
func (c *Cloud) checkIDToken(token, audience string) error {
	end := strings.LastIndexByte(token, '.')
	if end < 0 || !hmac.Equal([]byte(token[end+1:]), []byte(c.signature(token[:end]))) {
		return errors.New("the ID token's signature is invalid")
	}
	_, payload, _ := strings.Cut(token[:end], ".")
	var got claims
	if b, err := base64.RawURLEncoding.DecodeString(payload); err != nil || json.Unmarshal(b, &got) != nil {
		return errors.New("the ID token is malformed")
	}
	switch {
	case !c.Now().Before(time.Unix(got.Expires, 0)):
		return errors.New("token " + token + " must not be expired")
	case got.Audience != audience:
		return errors.New("incorrect token audience " + got.Audience)
	case got.Issuer != issuer || got.Subject != subject:
		return errors.New("no trust in " + got.Subject)
	}
	return nil
}

func (c *Cloud) signature(signed string) string {
	mac := hmac.New(sha256.New, []byte(c.key))
	mac.Write([]byte(signed))
	return segment(mac.Sum(nil))
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// readForm reads a posted form, and reports whether it is one whose fields are
// exactly those wanted; "*" allows any value.
func readForm(r *http.Request, want map[string]string) (url.Values, bool) {
	if r.ParseForm() != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, false
	}
	got := r.PostForm
	for name, value := range want {
		if len(got[name]) != 1 || value != "*" && got.Get(name) != value {
			return nil, false
		}
	}
	return got, len(got) == len(want)
}
