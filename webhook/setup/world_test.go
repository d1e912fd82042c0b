package setup_test

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/setup"
)

// world is a GitHub at which acme-owner sits, and a Make that waits for them.
type world struct {
	*fakehub.Hub
	t     *testing.T
	page  string // that the terminal was told
	kept  []hub.Made
	ended chan error
}

// begin starts a Make.
func begin(t *testing.T, wish setup.Wish, change func(*setup.Maker)) *world {
	t.Helper()
	return beginOn(t, fakehub.Config{}, wish, change)
}

// beginOn starts a Make on a GitHub of some kind. At its end GitHub may not have
// been asked for anything that it does not describe.
func beginOn(t *testing.T, config fakehub.Config, wish setup.Wish, change func(*setup.Maker)) *world {
	t.Helper()
	h := fakehub.New(t, config)
	w := &world{Hub: h, t: t, ended: make(chan error, 1)}
	h.SignIn("acme-owner")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wish.GitHubURL = h.URL
	told := make(chan string, 1)
	m := setup.Maker{
		Wish: wish, APIURL: h.APIURL, Pause: time.Millisecond, Tell: func(page string) { told <- page },
		Keep: func(made hub.Made) error { w.kept = append(w.kept, made); return nil },
	}
	if change != nil {
		change(&m)
	}
	go func() {
		made, err := m.Make(t.Context(), listener)
		if err == nil && made.ID == 0 {
			err = errors.New("no App and no error")
		}
		w.ended <- err
	}()
	w.page = <-told
	return w
}

// browser is one with cookies that follows redirects, as browsers do.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// get opens a page.
func (w *world) get(b *http.Client, page string) (int, string) {
	w.t.Helper()
	resp, err := b.Get(page)
	if err != nil {
		w.t.Fatal(err)
	}
	return read(w.t, resp)
}

func read(t *testing.T, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// form is the button of a page.
type form struct {
	action   string
	manifest string
}

var inForm = regexp.MustCompile(`(?s)<form method="post" action="([^"]+)"><input type="hidden" name="manifest" value="([^"]+)">`)

func (w *world) form(page string) form {
	w.t.Helper()
	found := inForm.FindStringSubmatch(page)
	if found == nil {
		w.t.Fatalf("no form in %s", page)
	}
	return form{html.UnescapeString(found[1]), html.UnescapeString(found[2])}
}

// press presses the button, without following GitHub back.
func (w *world) press(f form) (back *url.URL) {
	w.t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.PostForm(f.action, url.Values{"manifest": {f.manifest}})
	if err != nil {
		w.t.Fatal(err)
	}
	status, text := read(w.t, resp)
	back, err = resp.Location()
	if err != nil {
		w.t.Fatalf("GitHub answers %d: %s", status, text)
	}
	return back
}

// is fails the test unless a page has a status and a text.
func (w *world) is(what string, status int, page string, wantStatus int, wantText string) {
	w.t.Helper()
	if status != wantStatus || !strings.Contains(page, wantText) {
		w.t.Errorf("%s: %d, want %d with %q:\n%s", what, status, wantStatus, wantText, page)
	}
}

// secretsIn lists what a text tells that it should not.
func secretsIn(text string, made hub.Made) (found []string) {
	for _, secret := range [][]byte{[]byte(made.ClientSecret), []byte(made.WebhookSecret), made.PrivateKey[40:80], []byte("PRIVATE KEY")} {
		if bytes.Contains([]byte(text), secret) {
			found = append(found, fmt.Sprintf("%.4s…", secret))
		}
	}
	return found
}
