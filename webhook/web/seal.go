package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// seal encrypts and signs what browsers keep for the service, AES-256-GCM, for
// one purpose each.
type seal struct {
	ciphers []cipher.AEAD // the first seals, all open
	tokens  []byte        // key of forms' tokens
}

func newSeal(key []byte, old ...[]byte) (*seal, error) {
	s := &seal{}
	for _, k := range append([][]byte{key}, old...) {
		if len(k) < 32 {
			return nil, errors.New("serve pages: the key of cookies has less than 32 bytes")
		}
		derived, err := hkdf.Key(sha256.New, k, nil, "clipper cookies", 32)
		if err != nil {
			return nil, fmt.Errorf("serve pages: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("serve pages: %w", err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("serve pages: %w", err)
		}
		s.ciphers = append(s.ciphers, gcm)
	}
	var err error
	if s.tokens, err = hkdf.Key(sha256.New, key, nil, "clipper forms", 32); err != nil {
		return nil, fmt.Errorf("serve pages: %w", err)
	}
	return s, nil
}

// box is what is sealed: a value until a time.
type box struct {
	Until time.Time       `json:"until"`
	Value json.RawMessage `json:"value"`
}

// close seals a value for a purpose until a time.
func (s *seal) close(purpose string, value any, until time.Time) string {
	inner, err := json.Marshal(value)
	if err == nil {
		inner, err = json.Marshal(box{until, inner})
	}
	if err != nil {
		panic(err) // strings and times
	}
	return base64.RawURLEncoding.EncodeToString(s.ciphers[0].Seal(nil, nil, inner, []byte(purpose)))
}

// open opens what was sealed for a purpose, unless its time is over.
func (s *seal) open(purpose, sealed string, now time.Time, value any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return false
	}
	for _, c := range s.ciphers {
		inner, err := c.Open(nil, nil, raw, []byte(purpose))
		if err != nil {
			continue
		}
		var b box
		return json.Unmarshal(inner, &b) == nil && now.Before(b.Until) && json.Unmarshal(b.Value, value) == nil
	}
	return false
}

// token is what a form of a session has that posts to a path: no other page
// knows it, and it is good for no other form.
func (s *seal) token(session, path string) string {
	mac := hmac.New(sha256.New, s.tokens)
	fmt.Fprintf(mac, "%s\n%s", session, path)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// posted says whether a form came with its token.
func (s *seal) posted(session string, r *http.Request) bool {
	return hmac.Equal([]byte(s.token(session, r.URL.Path)), []byte(r.PostFormValue("csrf")))
}

// session is who has signed in.
type session struct {
	ID    string `json:"id"`
	Login string `json:"login"`
	// Token is GitHub's for the person, with which it is asked what they may
	// see.
	Token string `json:"token"`
}

// Purposes of cookies.
const (
	sessionCookie = "clipper-session"
	signInCookie  = "clipper-sign-in"
)

// cookieName has the prefix for which browsers refuse cookies of other hosts
// and of plain HTTP.
func (s *Server) cookieName(purpose string) string {
	if s.secure {
		return "__Host-" + purpose
	}
	return purpose
}

// keep puts a value into the browser until a time. Lax: a link from a check on
// GitHub finds the person signed in, a form from elsewhere does not.
func (s *Server) keep(w http.ResponseWriter, purpose string, value any, until time.Time) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(purpose), Value: s.seal.close(purpose, value, until), Path: "/",
		MaxAge: int(until.Sub(s.Now()).Seconds()), Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// kept reads a value back.
func (s *Server) kept(r *http.Request, purpose string, value any) bool {
	for _, c := range r.CookiesNamed(s.cookieName(purpose)) {
		if s.seal.open(purpose, c.Value, s.Now(), value) {
			return true
		}
	}
	return false
}

// drop takes it out of the browser.
func (s *Server) drop(w http.ResponseWriter, purpose string) {
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(purpose), Path: "/", MaxAge: -1, Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// newID is what nobody can guess.
func newID() string { return rand.Text() }
