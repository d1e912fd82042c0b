package web_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/web"
)

// TestForms posts what no form of the session would, to all that people can ask
// for.
func TestForms(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		rec := w.push(w.repo, map[string]string{"a": "1"})
		w.run(rec, "waits", webhook.AwaitingApproval)
		w.run(rec, "over", webhook.Failed)
		w.run(rec, "goes", webhook.Running)
		mona, again, rita := w.signedIn("mona"), w.signedIn("mona"), w.signedIn("rita")
		repository := fmt.Sprintf("/repositories/%d", w.repo.ID)
		orders := []struct{ page, path string }{
			{"/deliveries/" + rec.GUID, "/deliveries/" + rec.GUID + "/replay"},
			{"/runs/waits", "/runs/waits/approve"},
			{"/runs/over", "/runs/over/rerun"},
			{"/runs/goes", "/runs/goes/cancel"},
			{repository, ""},
		}
		forms := make([]url.Values, len(orders))
		for i := range orders {
			o := &orders[i]
			if o.page == repository { // its form has an address of its own each time
				o.path, forms[i] = mona.start(repository)
				continue
			}
			forms[i] = mona.form(o.page, o.path)
		}
		const token, origin, readOnly = "not of this session", "from another site", "takes the right to write"
		for i, o := range orders {
			good, other := forms[i], forms[(i+1)%len(orders)]
			with := func(name, value string) url.Values {
				form := maps.Clone(good)
				form[name] = []string{value}
				return form
			}
			for name, c := range map[string]struct {
				by     *visitor
				form   url.Values
				header []string
				status int
				says   string
			}{
				"no token":          {mona, with("csrf", ""), nil, http.StatusForbidden, token},
				"another form's":    {mona, with("csrf", other.Get("csrf")), nil, http.StatusForbidden, token},
				"another session's": {again, good, nil, http.StatusForbidden, token},
				"another person's":  {rita, good, nil, http.StatusForbidden, token},
				"another site":      {mona, good, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden, origin},
				"another origin":    {mona, good, []string{"Origin", "https://evil.example"}, http.StatusForbidden, origin},
				"nobody":            {w.browser(), good, nil, http.StatusUnauthorized, "session is over"},
				"too large":         {mona, with("x", strings.Repeat("x", 20<<10)), nil, http.StatusForbidden, token},
			} {
				if status, text := c.by.post(o.path, c.form, c.header...); status != c.status || !strings.Contains(text, c.says) {
					t.Errorf("%s, %s: %d, want %d\n%s", o.path, name, status, c.status, text)
				}
			}
		}
		moved := maps.Clone(forms[1])
		moved.Set("commit", "abc")
		if status, _ := mona.post("/runs/waits/approve", moved); status != http.StatusConflict {
			t.Errorf("another commit: %d", status)
		}
		w.repo.Permit("mona", "read") // just now: nothing remembered counts
		for i, o := range orders {
			if status, text := mona.post(o.path, forms[i]); status != http.StatusForbidden || !strings.Contains(text, readOnly) {
				t.Errorf("%s without the right to write: %d\n%s", o.path, status, text)
			}
		}
		if asked := w.orders.asked(); asked != "" {
			t.Errorf("asked was %q", asked)
		}
	})
}

func TestSignIn(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	b := w.browser()
	if _, text := b.get("/runs?state=failed"); !strings.Contains(text, "Sign in with GitHub") || !strings.Contains(text, "%2fruns%3fstate%3dfailed") {
		t.Errorf("nobody sees %s", text)
	}
	if status, text := b.get("/sign-in/github"); status != http.StatusForbidden || !strings.Contains(text, "not told") {
		t.Errorf("whom GitHub does not let in: %d %s", status, text)
	}
	w.SignIn("mona")
	for name, path := range map[string]string{"no attempt": "/sign-in/callback?code=x&state=y", "no state": "/sign-in/callback?code=x"} {
		if status, _ := w.browser().get(path); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	// An attempt of this browser, and the answer of another's.
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.get("/sign-in/github")
	if status, _ := b.get("/sign-in/callback?code=x&state=wrong"); status != http.StatusBadRequest {
		t.Errorf("wrong state: %d", status)
	}
	resp, err := b.Get(w.url + "/sign-in/github")
	w.must(err)
	resp.Body.Close()
	to, err := resp.Location()
	w.must(err)
	if q := to.Query(); q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" {
		t.Errorf("GitHub is asked %s", to)
	}
	if status, _ := b.get("/sign-in/callback?code=wrong&state=" + to.Query().Get("state")); status != http.StatusBadRequest {
		t.Errorf("wrong code: %d", status)
	}
	if status, _ := b.get("/sign-in/callback?code=wrong&state=" + to.Query().Get("state")); status != http.StatusBadRequest {
		t.Errorf("an attempt twice: %d", status)
	}
	w.Fail("users/get-authenticated", fakehub.Fault{Status: 502}, 1)
	if status, text := w.browser().get("/sign-in/github"); status != http.StatusBadGateway || strings.Contains(text, "ghu_") {
		t.Errorf("without an answer of GitHub's: %d %s", status, text)
	}
}

func TestNext(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	w.SignIn("mona")
	for next, want := range map[string]string{"/runs?state=failed": "/runs?state=failed", "//evil.example": "/deliveries", `/\evil.example`: "/deliveries", "https://evil.example": "/deliveries", "": "/deliveries"} {
		b := w.browser()
		resp, _ := b.do(httptestRequest(t, w.url+"/sign-in/github?next="+url.QueryEscape(next)))
		if got := resp.Request.URL.RequestURI(); got != want || !strings.HasPrefix(resp.Request.URL.String(), w.url) {
			t.Errorf("next %q leads to %s", next, resp.Request.URL)
		}
	}
}

func httptestRequest(t *testing.T, address string) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestSession(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	b := w.signedIn("mona")
	at, err := url.Parse(w.url)
	w.must(err)
	c := b.Jar.Cookies(at)
	if len(c) != 1 || strings.Contains(c[0].Value, "ghu_") || strings.Contains(c[0].Value, "mona") {
		t.Errorf("the browser has %v", c)
	}
	// One bit of it, and what was sealed for another purpose.
	bad := []byte(c[0].Value)
	bad[len(bad)/2] ^= 1
	for name, value := range map[string]string{"a changed cookie": string(bad), "garbage": "x"} {
		other := w.browser()
		other.Jar.SetCookies(at, []*http.Cookie{{Name: c[0].Name, Value: value}})
		if _, text := other.get("/deliveries"); !strings.Contains(text, "Sign in with GitHub") {
			t.Errorf("%s is good", name)
		}
	}
	w.clock.pass(9 * time.Hour)
	if _, text := b.get("/deliveries"); !strings.Contains(text, "Sign in with GitHub") {
		t.Error("a session has no end")
	}
	if got := b.events("/deliveries/live", "put", 1, ""); got != nil {
		t.Errorf("an ended session hears %q", got)
	}
	b = w.signedIn("mona")
	if status, _ := b.post("/sign-out", nil); status != http.StatusForbidden {
		t.Errorf("sign out without token: %d", status)
	}
	if status, text := b.post("/sign-out", b.form("/health", "/sign-out")); status != http.StatusOK || !strings.Contains(text, "Sign in with GitHub") {
		t.Errorf("signed out: %d", status)
	}
	if _, text := b.get("/deliveries"); !strings.Contains(text, "Sign in with GitHub") {
		t.Error("signed out, and still in")
	}
}

// TestCookies looks at what is set behind TLS.
func TestCookies(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	c := w.configuration
	c.URL = "https://clipper.example"
	s, err := web.New(c)
	w.must(err)
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "https://clipper.example/sign-in/github", nil))
	for _, want := range []string{"__Host-clipper-sign-in=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
		if got := rec.Header().Get("Set-Cookie"); !strings.Contains(got, want) {
			t.Errorf("cookie %s lacks %s", got, want)
		}
	}
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age", "Cache-Control": "no-store", "Referrer-Policy": "same-origin"} {
		if got := rec.Header().Get(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestNew(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	for name, change := range map[string]func(*web.Config){
		"no address": func(c *web.Config) { c.URL = "" }, "a path": func(c *web.Config) { c.URL += "/x" }, "no secret": func(c *web.Config) { c.ClientSecret = "" },
		"short key": func(c *web.Config) { c.Key = []byte("short") }, "nothing": func(c *web.Config) { c.Logs = nil },
	} {
		c := w.configuration
		change(&c)
		if _, err := web.New(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestHostile stores what strangers could send, and looks for it on the pages.
func TestHostile(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		body := []byte(`{"a":"<script>alert(1)</script>","b":"` + "\u202e\u2066" + `","c":"</pre>` + "\x1b[31m" + `"}`)
		d := webhook.Delivery{App: w.app.ID, GUID: "hostile", Event: "<img src=x>\u202e", Source: webhook.Pushed, Received: time.Now(), Body: body, Head: webhook.Head{Action: "\x1b]0;x\a\u2028", Installation: w.install.ID, Repository: w.repo.ID, FullName: "<i>", Sender: `" onclick="x`}}
		_, err := w.db.Accept(t.Context(), d)
		w.must(err)
		rec, err := w.db.Delivery(t.Context(), w.app.ID, "hostile")
		w.must(err)
		w.run(rec, "loud", webhook.Running, func(r *webhook.Run) {
			r.Rule, r.Reason, r.Ref, r.Job = "<rule>", "<b>\x1b[2J", "refs/heads/\u202e<x>", []byte(`{"ecs":{"image":"<img>"}}`)
		})
		w.logs.say("loud", "<script>alert(1)</script>", "\x1b]8;;javascript:alert(1)\aclick\x1b]8;;\a", "\x1b[2J\x1b[H\x1b[?25lclean", "\u009b31mred", "a\u202eb", "50%\r100%", "\x1bP+q544e\x1b\\x\x07", "bad \xff byte", strings.Repeat("long ", 10_000), "\x1b[31")
		b := w.signedIn("mona")
		for _, path := range []string{"/deliveries", "/deliveries/hostile", "/runs", "/runs/loud"} {
			text := b.has(path, "!<script>a", "!<img src=x", "!<b>", "!<i>", "!<x>", "!<rule>", "!onclick=\"x", "!javascript:", "!\x1b", "!\u202e", "!\u2066", "!\u2028", "!\x07", "!\u009b")
			if len(text) > 64<<10 {
				t.Errorf("%s has %d bytes", path, len(text))
			}
		}
		b.has("/runs/loud", "click", "clean", ">red<", ">ab<", ">100%<", "!50%", "bad \ufffd byte", "cut here", "&lt;script&gt;alert(1)")
		b.has("/deliveries/hostile", `\u202e\u2066`, `\u001b[31m`, "&lt;/pre&gt;")
		if got := b.events("/deliveries/live?guid=hostile", "put", 1, ""); len(got) != 1 || strings.ContainsAny(got[0], "\x1b\u202e") {
			t.Errorf("live: %q", got)
		}
		if _, text := b.get("/deliveries/hostile/body"); !bytes.Equal([]byte(text), body) {
			t.Errorf("the body is %q", text)
		}
		w.push(w.repo, map[string]string{"a": "1"})
	})
}

// TestGitHubAway: without GitHub's word, nobody sees anything.
func TestGitHubAway(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	b := w.signedIn("mona")
	w.clock.pass(2 * time.Minute)
	w.Fail("apps/list-installations-for-authenticated-user", fakehub.Fault{Status: 500}, 1)
	if status, text := b.get("/deliveries"); status != http.StatusBadGateway || !strings.Contains(text, "GitHub could not be asked") {
		t.Errorf("without GitHub: %d %s", status, text)
	}
	b.has("/deliveries", "Deliveries")
	w.clock.pass(2 * time.Minute)
	w.Fail("apps/list-installations-for-authenticated-user", fakehub.Fault{Status: 401, Message: "Bad credentials"}, 1)
	if _, text := b.get("/deliveries"); !strings.Contains(text, "Sign in with GitHub") {
		t.Error("a token that was revoked is good")
	}
}

// TestStreams counts who listens.
func TestStreams(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	b := w.signedIn("mona")
	var open []*http.Response
	for i := range 21 {
		req := httptestRequest(t, w.url+"/deliveries/live")
		req.Header.Set("Accept", "text/event-stream")
		resp, err := b.Do(req)
		w.must(err)
		open = append(open, resp)
		if want := map[bool]int{true: 200, false: 429}[i < 20]; resp.StatusCode != want {
			t.Errorf("stream %d: %d", i, resp.StatusCode)
		}
	}
	w.web.Drain()
	for _, resp := range open {
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
	}
}
