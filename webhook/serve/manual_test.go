package serve

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const manualYAML = `version: 1
rules:
  - id: deploy
    on: { manual: {} }
    run: { workflow: { file: deploy.yml } }
  - id: release
    on: { manual: { require: admin } }
    run: { workflow: { file: deploy.yml } }
`

// TestByHand has people start rules on the pages: who may, and once for each
// form, however often it is sent.
func TestByHand(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		w := newWorld(t, s)
		w.repo.Commit(map[string]string{".github/clipper.yml": manualYAML})
		w.User("rita")
		w.repo.Permit("rita", "read")
		page := fmt.Sprintf("/repositories/%d", w.repo.ID)

		if status, text := w.browser("rita").get(page); status != http.StatusOK || strings.Contains(text, "/start/") {
			t.Errorf("who may only read gets %d\n%s", status, text)
		}
		mona := w.browser("mona")
		status, text := mona.get(page)
		forms := aStart.FindAllStringSubmatch(text, -1)
		if status != http.StatusOK || len(forms) != 2 {
			t.Fatalf("the page is %d\n%s", status, text)
		}
		deploy, release := forms[0], forms[1]
		if status, text := mona.post(deploy[1], ""); status != http.StatusForbidden {
			t.Errorf("without a token: %d\n%s", status, text)
		}
		if status, text := mona.post(release[1], release[2]); status != http.StatusConflict || !strings.Contains(text, "mona has the permission write, and admin is required") {
			t.Errorf("without the rule's permission: %d\n%s", status, text)
		}
		for range 2 {
			if status, text := mona.post(deploy[1], deploy[2]); status != http.StatusOK || !strings.Contains(text, "started by hand") || !strings.Contains(text, "deploy.yml") {
				t.Errorf("start: %d\n%s", status, text)
			}
		}
		w.until("a workflow runs", func() bool { return len(w.repo.Runs()) > 0 })
		w.repo.Runs()[0].Complete("success")
		w.until("nothing waits", func() bool {
			_, body, _ := w.get(w.admin + "/readyz")
			return strings.Contains(body, `"unsent":0,"unended":0`)
		})
		if n := len(w.repo.Runs()); n != 1 {
			t.Errorf("%d workflows run", n)
		}
	})
}

// aStart is a form that starts a rule: its address and its token.
var aStart = regexp.MustCompile(`action="([^"]*/start/[^"]*)"><input type="hidden" name="csrf" value="([^"]*)">`)

// visitor is the browser of somebody who has signed in.
type visitor struct {
	w *world
	http.Client
}

// browser signs somebody in. The name of the service's pages leads to it.
func (w *world) browser(login string) *visitor {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "clipper.example:80" {
			address = strings.TrimPrefix(w.public, "http://")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	v := &visitor{w, http.Client{Jar: jar, Transport: &http.Transport{DialContext: dial}}}
	w.t.Cleanup(v.CloseIdleConnections)
	w.SignIn(login)
	if status, text := v.get("/sign-in/github"); status != http.StatusOK || !strings.Contains(text, login) {
		w.t.Fatalf("%s was not let in: %d %s", login, status, text)
	}
	return v
}

func (v *visitor) get(path string) (status int, text string) {
	v.w.t.Helper()
	return v.read(v.Get(pagesURL + path))
}

func (v *visitor) post(path, token string) (status int, text string) {
	v.w.t.Helper()
	return v.read(v.PostForm(pagesURL+path, url.Values{"csrf": {token}}))
}

func (v *visitor) read(resp *http.Response, err error) (status int, text string) {
	v.w.t.Helper()
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
