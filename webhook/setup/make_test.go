package setup_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/setup"
)

var acme = setup.Wish{Organization: "acme", URL: "https://clipper.example"}

// TestMake: two buttons, and the App is there, as it was wished for.
func TestMake(t *testing.T) {
	w := begin(t, acme, nil)
	b := browser(t)
	status, page := w.get(b, w.page)
	w.is("the first page", status, page, http.StatusOK, "Make the App on GitHub")
	f := w.form(page)
	resp, err := b.PostForm(f.action, url.Values{"manifest": {f.manifest}})
	if err != nil {
		t.Fatal(err)
	}
	status, page = read(t, resp)
	if err := <-w.ended; err != nil {
		t.Fatal(err)
	}
	if len(w.kept) != 1 {
		t.Fatalf("kept %d times", len(w.kept))
	}
	made := w.kept[0]
	w.is("the last page", status, page, http.StatusOK, setup.InstallPage(made))
	if found := secretsIn(page+made.String(), made); found != nil {
		t.Errorf("the last page tells %q", found)
	}
	app := w.FindApp("clipper-acme")
	if app == nil || made.ID != app.ID || made.Owner != "acme" || made.ClientID != app.ClientID || made.ClientSecret != app.ClientSecret ||
		made.WebhookSecret != app.WebhookSecret || string(made.PrivateKey) != app.PrivateKey {
		t.Errorf("made %v, and GitHub has %+v", made, app)
	}
	var m setup.Manifest
	if err := json.Unmarshal([]byte(f.manifest), &m); err != nil {
		t.Fatal(err)
	}
	if m.Hook.URL != "https://clipper.example/webhook" || !m.Hook.Active || m.Callbacks[0] != "https://clipper.example/sign-in/callback" || m.Public {
		t.Errorf("the manifest is %s", f.manifest)
	}
	if m.Permissions["contents"] != "read" || m.Permissions["administration"] != "" || slices.Contains(m.Events, "workflow_job") {
		t.Errorf("more than the least: %s", f.manifest)
	}
	// Where it can be installed is a page that is there.
	h, err := made.Hub(hub.Config{URL: w.APIURL})
	if err != nil {
		t.Fatal(err)
	}
	await, stop := context.WithCancel(t.Context())
	stop()
	if _, err := setup.Await(await, h, time.Millisecond); !errors.Is(err, context.Canceled) {
		t.Errorf("installed already? %v", err)
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if status, page = w.get(b, setup.InstallPage(made)); status != http.StatusFound {
		t.Errorf("nobody can install it: %d %s", status, page)
	}
	if i, err := setup.Await(t.Context(), h, time.Millisecond); err != nil || i.Account.Login != "acme" {
		t.Errorf("installed on %v, %v", i, err)
	}
}

// TestEnterprise: an Enterprise Server has other addresses, and a person may
// own an App.
func TestEnterprise(t *testing.T) {
	w := beginOn(t, fakehub.Config{Enterprise: true}, setup.Wish{URL: "https://clipper.example", Name: "Mine"}, nil)
	b := browser(t)
	_, page := w.get(b, w.page)
	w.is("the first page", http.StatusOK, page, http.StatusOK, "on your account")
	status, text := w.get(b, w.press(w.form(page)).String())
	w.is("the last page", status, text, http.StatusOK, "is made")
	if err := <-w.ended; err != nil || len(w.kept) != 1 || w.kept[0].Owner != "acme-owner" || w.kept[0].Slug != "mine" {
		t.Fatalf("kept %v, %v", w.kept, err)
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if status, page = w.get(b, setup.InstallPage(w.kept[0])); status != http.StatusFound {
		t.Errorf("nobody can install it: %d %s", status, page)
	}
}

// TestToken: it serves one browser, once, and that browser as often as it
// likes.
func TestToken(t *testing.T) {
	w := begin(t, acme, nil)
	home, _, _ := strings.Cut(w.page, "?")
	stranger, person := browser(t), browser(t)
	for _, page := range []string{home, home + "?token=", home + "?token=x", home + "made?state=x&code=y", home + "made"} {
		status, text := w.get(stranger, page)
		w.is(page, status, text, http.StatusForbidden, "")
	}
	status, text := w.get(person, w.page)
	w.is("with the token", status, text, http.StatusOK, "Make the App")
	status, text = w.get(person, home)
	w.is("again, by the cookie", status, text, http.StatusOK, "Make the App")
	status, text = w.get(stranger, w.page)
	w.is("the token again", status, text, http.StatusForbidden, "once")
	if strings.Contains(text, "manifest") {
		t.Error("a stranger has the form")
	}
	if w.Count("apps/create-from-manifest") != 0 {
		t.Error("GitHub was asked for a stranger")
	}
}

// TestState: an answer counts once, and only that to what was asked here.
func TestState(t *testing.T) {
	t.Run("wrong", func(t *testing.T) {
		w := begin(t, acme, nil)
		b := browser(t)
		_, page := w.get(b, w.page)
		back := w.press(w.form(page))
		q := back.Query()
		q.Set("state", q.Get("state")+"x")
		status, text := w.get(b, back.Scheme+"://"+back.Host+back.Path+"?"+q.Encode())
		w.is("a wrong state", status, text, http.StatusBadGateway, "not asked from here")
		if err := <-w.ended; err == nil {
			t.Error("no error")
		}
		if w.Count("apps/create-from-manifest") != 0 || len(w.kept) != 0 {
			t.Error("the code was traded all the same")
		}
	})
	t.Run("another browser", func(t *testing.T) {
		w := begin(t, acme, nil)
		b := browser(t)
		_, page := w.get(b, w.page)
		back := w.press(w.form(page))
		status, text := w.get(browser(t), back.String())
		w.is("the right state, elsewhere", status, text, http.StatusForbidden, "Another browser")
		status, text = w.get(b, back.String())
		w.is("then in its own", status, text, http.StatusOK, "is made")
		if err := <-w.ended; err != nil || len(w.kept) != 1 {
			t.Errorf("kept %v, %v", w.kept, err)
		}
	})
	t.Run("denied", func(t *testing.T) {
		w := begin(t, acme, nil)
		b := browser(t)
		_, page := w.get(b, w.page)
		back := w.press(w.form(page))
		status, text := w.get(b, back.Scheme+"://"+back.Host+back.Path+"?state="+back.Query().Get("state"))
		w.is("without a code", status, text, http.StatusBadGateway, "without a code")
		if err := <-w.ended; err == nil {
			t.Error("no error")
		}
	})
}

// TestHost: a page of somebody else's, whose name leads here, gets nothing.
func TestHost(t *testing.T) {
	w := begin(t, acme, nil)
	for host, want := range map[string]int{"evil.example": 403, "127.0.0.1.evil.example": 403, "evil.example:80": 403, "localhost:9": 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.page, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want && (want != 200 || resp.StatusCode != http.StatusSeeOther) {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
	resp, err := http.Post(w.page, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}

// TestForwarded: whoever forwards another port to this one comes back there.
func TestForwarded(t *testing.T) {
	w := begin(t, acme, nil)
	at, err := url.Parse(w.page)
	if err != nil {
		t.Fatal(err)
	}
	b := browser(t)
	b.Transport = &http.Transport{DialContext: (&forward{at.Host}).dial}
	status, page := w.get(b, "http://localhost:7/"+"?"+at.RawQuery)
	w.is("forwarded", status, page, http.StatusOK, "http://localhost:7/made")
}

// TestFaults: what can go wrong between GitHub's making and our keeping.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fakehub.Fault
		times int
		keep  error
		want  string
		lost  bool
	}{
		{name: "out of reach for a moment", fault: fakehub.Fault{Reset: true}, times: 2},
		{name: "trouble for a moment", fault: fakehub.Fault{Status: 502, Message: "Bad Gateway"}, times: 3},
		{name: "the answer is lost", fault: fakehub.Fault{Reset: true, Committed: true}, times: 1, want: "gives no second one", lost: true},
		{name: "half of the answer is lost", fault: fakehub.Fault{Truncate: true, Committed: true}, times: 1, want: "gives no second one", lost: true},
		{name: "trouble that does not end", fault: fakehub.Fault{Status: 500, Message: "Oops"}, times: -1, want: "500", lost: true},
		{name: "nowhere to keep it", keep: errors.New("the disk is full"), want: "the disk is full", lost: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := begin(t, acme, func(m *setup.Maker) {
				if c.keep != nil {
					m.Keep = func(hub.Made) error { return c.keep }
				}
			})
			if c.times != 0 {
				w.Fail("apps/create-from-manifest", c.fault, c.times)
			}
			b := browser(t)
			_, page := w.get(b, w.page)
			back := w.press(w.form(page))
			status, text := w.get(b, back.String())
			err := <-w.ended
			if c.want == "" {
				w.is("in the end", status, text, http.StatusOK, "is made")
				if err != nil || len(w.kept) != 1 {
					t.Errorf("kept %v, %v", w.kept, err)
				}
				return
			}
			w.is("in the end", status, text, http.StatusBadGateway, "")
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, setup.ErrSecretsLost) != c.lost {
				t.Errorf("the error is %v", err)
			}
			if code := back.Query().Get("code"); strings.Contains(text+err.Error(), code) {
				t.Error("it tells the code")
			}
			if len(w.kept) != 0 {
				t.Errorf("kept %v", w.kept)
			}
		})
	}
}

// TestSecond: a code that is used up is not taken for a loss.
func TestSecond(t *testing.T) {
	w := begin(t, acme, nil)
	b := browser(t)
	_, page := w.get(b, w.page)
	back := w.press(w.form(page))
	if _, err := hub.Convert(t.Context(), hub.Config{URL: w.APIURL}, back.Query().Get("code")); err != nil {
		t.Fatal(err)
	}
	status, text := w.get(b, back.String())
	w.is("somebody was faster", status, text, http.StatusBadGateway, "used up")
	if err := <-w.ended; !errors.Is(err, hub.ErrGone) || errors.Is(err, setup.ErrSecretsLost) {
		t.Errorf("the error is %v", err)
	}
}

// TestWishes: what cannot be is said before anybody is asked.
func TestWishes(t *testing.T) {
	for text, w := range map[string]setup.Wish{
		"say where":           {},
		"has to be https":     {URL: "http://clipper.example"},
		"is not as in https":  {URL: "https://clipper.example/path"},
		"no name of an":       {URL: "https://clipper.example", Organization: "acme/../x"},
		"no feature":          {URL: "https://clipper.example", Features: []string{"everything"}},
		"at most 34":          {URL: "https://clipper.example", Name: strings.Repeat("x", 35)},
		"GitHub's URL: \"git": {URL: "https://clipper.example", GitHubURL: "github.example"},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, err = setup.Maker{Wish: w, Tell: func(string) { t.Error("a page is told") }}.Make(t.Context(), listener)
		if !errors.Is(err, setup.ErrWish) || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q", w, err, text)
		}
	}
}

// TestFeatures: an App for more may do more, and one that is asked has a
// webhook that is nobody's.
func TestFeatures(t *testing.T) {
	m, err := setup.Wish{Pull: true, Features: []string{"dispatch", "runners"}}.Manifest("http://127.0.0.1:1/made")
	if err != nil {
		t.Fatal(err)
	}
	if m.Permissions["contents"] != "write" || m.Permissions["administration"] != "write" || m.Permissions["issues"] != "" || !slices.Contains(m.Events, "workflow_job") {
		t.Errorf("%v, %v", m.Permissions, m.Events)
	}
	if m.Hook.URL != "https://clipper.invalid/webhook" || !m.Hook.Active || m.SetupURL != "" || m.Callbacks[0] != "http://127.0.0.1:8080/sign-in/callback" {
		t.Errorf("%+v", m)
	}
	m, err = setup.Wish{Organization: "acme", URL: "https://clipper.example", Features: []string{"runners"}}.Manifest("http://127.0.0.1:1/made")
	if err != nil || m.Permissions["administration"] != "" || m.Permissions["organization_self_hosted_runners"] != "write" {
		t.Errorf("%v, %v", m.Permissions, err)
	}
}

// TestNoSecret: an App whose webhook has no secret gets one.
func TestNoSecret(t *testing.T) {
	w := begin(t, acme, func(m *setup.Maker) { m.Transport = forgetful{} })
	b := browser(t)
	_, page := w.get(b, w.page)
	status, text := w.get(b, w.press(w.form(page)).String())
	w.is("in the end", status, text, http.StatusOK, "is made")
	if err := <-w.ended; err != nil || len(w.kept) != 1 || len(w.kept[0].WebhookSecret) < 32 {
		t.Fatalf("kept %v, %v", w.kept, err)
	}
	if w.Count("apps/update-webhook-config-for-app") != 1 {
		t.Error("GitHub does not know it")
	}
}
