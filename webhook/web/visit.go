package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/clipperregistry/runner/webhook/database"
)

// Refusals. What a person is told is in refusals, and no more.
var (
	errNoPage   = errors.New("no such page")
	errForeign  = errors.New("the request comes from another site")
	errToken    = errors.New("the form has no token of this session")
	errState    = errors.New("the sign-in was not begun in this browser, or too long ago")
	errDenied   = errors.New("GitHub was not told to let the person in")
	errCode     = errors.New("the code is not good")
	errSession  = errors.New("the session is over")
	errReadOnly = errors.New("the person may not write")
	errTooMany  = errors.New("too many")
	errGitHub   = errors.New("ask GitHub")
)

// refusal is what a person is told of an error.
type refusal struct {
	err         error
	status      int
	Title, Text string
}

var refusals = []refusal{
	{errNoPage, http.StatusNotFound, "Not found", "There is no such page, or it belongs to a repository that you cannot read."},
	{database.ErrNotFound, http.StatusNotFound, "Not found", "There is no such page, or it belongs to a repository that you cannot read."},
	{errForeign, http.StatusForbidden, "Refused", "The request came from another site. Open the page here and try again."},
	{errToken, http.StatusForbidden, "Refused", "The form is not of this session any more. Go back, reload the page and try again."},
	{errState, http.StatusBadRequest, "Not signed in", "This sign-in was not begun in this browser, or too long ago. Please begin again."},
	{errDenied, http.StatusForbidden, "Not signed in", "GitHub was not told to let you in."},
	{errCode, http.StatusBadRequest, "Not signed in", "GitHub does not know this sign-in any more. Please begin again."},
	{errSession, http.StatusUnauthorized, "Signed out", "Your session is over. Please sign in again."},
	{errReadOnly, http.StatusForbidden, "Refused", "This takes the right to write in the repository, and you can only read it."},
	{errTooMany, http.StatusTooManyRequests, "Too much", "That is more than the service does at once. Close other pages of it, and try again."},
	{errGitHub, http.StatusBadGateway, "GitHub does not answer", "GitHub could not be asked what you may see. Please try again in a minute."},
	{ErrRefused, http.StatusConflict, "Not done", ""},
}

// refuse tells a person that there is no answer, and the log why, if that is
// news to the operator.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, in *session, err error) {
	told := refusal{status: http.StatusInternalServerError, Title: "Something went wrong", Text: "The service could not answer. Its log says why."}
	for _, known := range refusals {
		if errors.Is(err, known.err) {
			told = known
			break
		}
	}
	if told.Text == "" { // what orders refuse is for people
		told.Text = err.Error()
	}
	if told.status >= 500 && r.Context().Err() == nil {
		s.Log.Error("no answer for a page", "path", r.URL.Path, "error", err)
	}
	s.show(w, r, in, told.status, "refusal", page{Title: told.Title, Data: told})
}

// visit is a request of somebody who has signed in.
type visit struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	session session
	view    view // what they can read
}

// somebody lets those in who have signed in, and sends others to do so. What
// they may do is asked anew for what changes something.
func (s *Server) somebody(answer func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Server: s, w: w, r: r}
		err := errSession
		if s.kept(r, sessionCookie, &v.session) {
			if v.view, err = s.people.view(r.Context(), v.session.Token, r.Method != http.MethodGet); err == nil {
				err = answer(v)
			}
		}
		switch {
		case err == nil || r.Context().Err() != nil:
		case errors.Is(err, errSession) && r.Method == http.MethodGet && !listens(r):
			s.drop(w, sessionCookie)
			http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		case errors.Is(err, errSession):
			s.drop(w, sessionCookie)
			s.refuse(w, r, nil, err)
		default:
			s.refuse(w, r, &v.session, err)
		}
	}
}

// listens says whether a request is for server-sent events.
func listens(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

func (v *visit) ctx() context.Context { return v.r.Context() }

func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

func (v *visit) show(name, title string, data any) error {
	v.Server.show(v.w, v.r, &v.session, http.StatusOK, name, page{Title: title, Said: said[v.r.FormValue("said")], Data: data})
	return nil
}

// said is what a page says behind a form: it is named in the address, which
// anybody can write.
var said = map[string]string{
	"replayed":  "The delivery is decided again.",
	"approved":  "The run is approved.",
	"rerun":     "This run does the other one again.",
	"cancelled": "The run is being cancelled.",
	"started":   "This run was started by hand.",
}
