package fakehub_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"
	"golang.org/x/oauth2"

	"github.com/clipperregistry/runner/test/fakehub"
)

// status is that of a call which was refused.
func status(err error) int {
	var refused *github.ErrorResponse
	var limited *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var accepted *github.AcceptedError
	switch {
	case errors.As(err, &refused):
		return refused.Response.StatusCode
	case errors.As(err, &limited):
		return limited.Response.StatusCode
	case errors.As(err, &abuse):
		return abuse.Response.StatusCode
	case errors.As(err, &accepted):
		return http.StatusAccepted
	}
	return 0
}

// browser follows the hub's pages up to the first address that is not the
// hub's, and returns that.
func browser(t *testing.T, w *world, method, target string, form url.Values) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), w.URL) {
			return nil
		}
		return http.ErrUseLastResponse
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("%s: %s, %v", target, resp.Status, err)
	}
	return back
}

// people makes an App from a manifest, installs it, and signs a person in.
func people(ctx context.Context, t *testing.T, w *world) {
	w.SignIn("acme-owner")
	manifest, err := json.Marshal(map[string]any{
		"name": "Clipper Two", "url": "https://clipper.example", "hook_attributes": map[string]any{"url": "http://127.0.0.1:9/webhook"},
		"redirect_url": "http://127.0.0.1:9/setup", "callback_urls": []string{"http://127.0.0.1:9/callback"}, "setup_url": "http://127.0.0.1:9/installed",
		"default_permissions": map[string]string{"checks": "write", "metadata": "read"}, "default_events": []string{"push"}})
	if err != nil {
		t.Fatal(err)
	}
	back := browser(t, w, http.MethodPost, w.URL+"/organizations/acme/settings/apps/new?state=st", url.Values{"manifest": {string(manifest)}})
	if back.Query().Get("state") != "st" {
		t.Errorf("back at %s", back)
	}
	made := check[*github.AppConfig](t)(w.client.Apps.CompleteAppManifest(ctx, back.Query().Get("code")))
	if made.GetSlug() != "clipper-two" || made.GetPEM() == "" || made.GetWebhookSecret() == "" {
		t.Errorf("the App is %v", made)
	}
	if _, _, err := w.client.Apps.CompleteAppManifest(ctx, back.Query().Get("code")); status(err) != http.StatusNotFound {
		t.Errorf("the code again: %v", err)
	}
	if back = browser(t, w, http.MethodGet, w.URL+"/apps/clipper-two/installations/new", nil); back.Query().Get("installation_id") == "" {
		t.Errorf("installed: %s", back)
	}

	w.repo.Permit("mona", "read")
	w.SignIn("mona")
	config := oauth2.Config{ClientID: made.GetClientID(), ClientSecret: made.GetClientSecret(), RedirectURL: "http://127.0.0.1:9/callback",
		Endpoint: oauth2.Endpoint{AuthURL: w.URL + "/login/oauth/authorize", TokenURL: w.URL + "/login/oauth/access_token"}}
	verifier := oauth2.GenerateVerifier()
	back = browser(t, w, http.MethodGet, config.AuthCodeURL("st2", oauth2.S256ChallengeOption(verifier)), nil)
	if back.Path != "/callback" || back.Query().Get("state") != "st2" {
		t.Errorf("back at %s", back)
	}
	if _, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier+"x")); err == nil {
		t.Error("a wrong verifier got a token")
	}
	back = browser(t, w, http.MethodGet, config.AuthCodeURL("st2", oauth2.S256ChallengeOption(verifier)), nil)
	token, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	mona := github.NewClient(nil).WithAuthToken(token.AccessToken)
	mona.BaseURL = w.client.BaseURL
	if u := check[*github.User](t)(mona.Users.Get(ctx, "")); u.GetLogin() != "mona" {
		t.Errorf("the person is %v", u)
	}
	all := check[[]*github.Installation](t)(mona.Apps.ListUserInstallations(ctx, nil))
	if len(all) != 1 {
		t.Fatalf("installations %v", all)
	}
	repos := check[*github.ListRepositories](t)(mona.Apps.ListUserRepos(ctx, all[0].GetID(), nil))
	if repos.GetTotalCount() != 1 || !repos.Repositories[0].GetPermissions()["pull"] || repos.Repositories[0].GetPermissions()["push"] {
		t.Errorf("repositories %v", repos)
	}
	hookOf(ctx, t, w)
}

// hookOf asks for deliveries, one of which it has sent again.
func hookOf(ctx context.Context, t *testing.T, w *world) {
	received := make(chan string, 4)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.Header.Get("X-GitHub-Delivery") }))
	defer server.Close()
	w.app.SetWebhook(server.URL)
	guid := w.app.DeliverNow(fakehub.Message{Event: "ping", Payload: []byte(`{"zen":"Speak like a human."}`)}).GUID
	all := check[[]*github.HookDelivery](t)(w.asApp.Apps.ListHookDeliveries(ctx, nil))
	if len(all) == 0 || all[0].GetGUID() != guid || all[0].GetStatus() != "OK" {
		t.Fatalf("deliveries %v", all)
	}
	one := check[*github.HookDelivery](t)(w.asApp.Apps.GetHookDelivery(ctx, all[0].GetID()))
	if string(*one.Request.RawPayload) != `{"zen":"Speak like a human."}` || one.Request.Headers["X-GitHub-Event"] != "ping" {
		t.Errorf("delivery %v", one)
	}
	if _, _, err := w.asApp.Apps.RedeliverHookDelivery(ctx, all[0].GetID()); status(err) != http.StatusAccepted {
		t.Errorf("redelivery: %v", err)
	}
	if err := w.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	w.app.SetWebhook("")
	if first, second := <-received, <-received; first != guid || second != guid {
		t.Errorf("received %s and %s, want %s", first, second, guid)
	}
}
