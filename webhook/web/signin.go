package web

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// signInLasts is how long a person may take on GitHub's pages.
	signInLasts = 10 * time.Minute
	// sessionLasts is how long a session lasts at most; GitHub's token does,
	// too, unless it says otherwise.
	sessionLasts = 8 * time.Hour
)

// attempt is somebody on their way to GitHub and back. That its state comes
// back shows that the browser which returns is the one that left.
type attempt struct {
	State    string `json:"state"`
	Verifier string `json:"verifier"` // PKCE's
	Next     string `json:"next"`
}

func (s *Server) oauth() *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, RedirectURL: s.URL + "/sign-in/callback",
		Endpoint: oauth2.Endpoint{
			AuthURL: s.GitHubURL + "/login/oauth/authorize", TokenURL: s.GitHubURL + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// local is where to go after signing in: a path of these pages, nothing else.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return "/deliveries"
	}
	return next
}

func (s *Server) signInPage(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, nil, http.StatusOK, "sign-in", page{Title: "Sign in", Data: local(r.FormValue("next"))})
}

// toGitHub sends a person off.
func (s *Server) toGitHub(w http.ResponseWriter, r *http.Request) {
	a := attempt{State: newID(), Verifier: oauth2.GenerateVerifier(), Next: local(r.FormValue("next"))}
	s.keep(w, signInCookie, a, s.Now().Add(signInLasts))
	http.Redirect(w, r, s.oauth().AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier)), http.StatusSeeOther)
}

// fromGitHub takes them in.
func (s *Server) fromGitHub(w http.ResponseWriter, r *http.Request) {
	var a attempt
	known := s.kept(r, signInCookie, &a)
	s.drop(w, signInCookie)
	if !known || subtle.ConstantTimeCompare([]byte(a.State), []byte(r.FormValue("state"))) != 1 {
		s.refuse(w, r, nil, errState)
		return
	}
	if r.FormValue("code") == "" {
		s.refuse(w, r, nil, errDenied)
		return
	}
	in, until, err := s.enter(r.Context(), r.FormValue("code"), a.Verifier)
	if err != nil {
		s.refuse(w, r, nil, err)
		return
	}
	s.keep(w, sessionCookie, in, until)
	s.Log.Info("signed in", "login", in.Login)
	http.Redirect(w, r, a.Next, http.StatusSeeOther)
}

// enter trades a code for a session.
func (s *Server) enter(ctx context.Context, code, verifier string) (session, time.Time, error) {
	token, err := s.oauth().Exchange(context.WithValue(ctx, oauth2.HTTPClient, s.Client), code, oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode != "" {
		// Its text could have what GitHub was sent.
		return session{}, time.Time{}, fmt.Errorf("%w: GitHub says %s", errCode, refused.ErrorCode)
	}
	if err != nil {
		return session{}, time.Time{}, fmt.Errorf("%w: trade the code for a token: %w", errGitHub, err)
	}
	login, err := s.people.login(ctx, token.AccessToken)
	if err != nil {
		return session{}, time.Time{}, err
	}
	until := s.Now().Add(sessionLasts)
	if !token.Expiry.IsZero() && token.ExpiresIn > 0 {
		until = s.Now().Add(min(sessionLasts, time.Duration(token.ExpiresIn)*time.Second))
	}
	return session{ID: newID(), Login: login, Token: token.AccessToken}, until, nil
}

func (s *Server) signOut(v *visit) error {
	if !s.seal.posted(v.session.ID, v.r) {
		return errToken
	}
	s.people.forget(v.session.Token)
	s.drop(v.w, sessionCookie)
	return v.redirect("/sign-in")
}
