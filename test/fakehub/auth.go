package fakehub

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// authenticate asks who calls: an App by its JSON Web Token, or who was given
// a token.
func (c *call) authenticate() error {
	scheme, credential, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	if credential == "" {
		if c.operation.by == anybody {
			return nil
		}
		return refuse(http.StatusUnauthorized, "Requires authentication")
	}
	if scheme = strings.ToLower(scheme); scheme != "bearer" && scheme != "token" {
		return refuse(http.StatusUnauthorized, "Bad credentials")
	}
	if strings.HasPrefix(credential, "gh") {
		t := c.hub.tokens[credential]
		if t == nil || !c.hub.now().Before(t.expires) {
			return refuse(http.StatusUnauthorized, "Bad credentials")
		}
		if c.operation.by == asApp {
			return refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
		}
		if t.install != nil && t.install.suspended {
			return refuse(http.StatusForbidden, "This installation has been suspended")
		}
		c.token = t
		return nil
	}
	app, err := c.hub.verify(credential)
	if err != nil {
		return err
	}
	if c.operation.by != asApp && c.operation.by != anybody {
		return refuse(http.StatusUnauthorized, "Bad credentials")
	}
	c.app = app
	return nil
}

// caller names who calls, for limits.
func (c *call) caller() string {
	switch {
	case c.app != nil:
		return "App ID " + strconv.FormatInt(c.app.ID, 10)
	case c.token != nil && c.token.install != nil:
		return c.token.install.caller()
	case c.token != nil:
		return "user ID " + strconv.FormatInt(c.token.user.id, 10)
	}
	return ""
}

// verify finds the App that signed a token
// (https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app).
func (h *Hub) verify(jwt string) (*App, error) {
	undecoded := refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
	signed, signature, ok := cutLast(jwt, ".")
	head, payload, two := strings.Cut(signed, ".")
	if !ok || !two {
		return nil, refuse(http.StatusUnauthorized, "Bad credentials")
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	var claims struct {
		Issuer  any      `json:"iss"`
		Issued  *float64 `json:"iat"`
		Expires *float64 `json:"exp"`
	}
	sum, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !decodePart(head, &header) || !decodePart(payload, &claims) || header.Algorithm != "RS256" {
		return nil, undecoded
	}
	app := h.issuer(claims.Issuer)
	if app == nil {
		return nil, refuse(http.StatusNotFound, "Integration not found")
	}
	digest := sha256.Sum256([]byte(signed))
	if rsa.VerifyPKCS1v15(&app.key.PublicKey, crypto.SHA256, digest[:], sum) != nil {
		return nil, undecoded
	}
	now := h.now()
	switch {
	case claims.Issued == nil || seconds(*claims.Issued).After(now):
		return nil, refuse(http.StatusUnauthorized, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case claims.Expires == nil || !seconds(*claims.Expires).After(now):
		return nil, refuse(http.StatusUnauthorized, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case seconds(*claims.Expires).Sub(now) > 10*time.Minute:
		return nil, refuse(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	return app, nil
}

// issuer is the App that a token says it is from, by its id or client id.
func (h *Hub) issuer(iss any) *App {
	for _, app := range h.apps {
		switch v := iss.(type) {
		case float64:
			if int64(v) == app.ID {
				return app
			}
		case string:
			if v == strconv.FormatInt(app.ID, 10) || v == app.ClientID {
				return app
			}
		}
	}
	return nil
}

func seconds(s float64) time.Time { return time.UnixMilli(int64(s * 1000)) }

func decodePart(part string, into any) bool {
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(decoded, into) == nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}
