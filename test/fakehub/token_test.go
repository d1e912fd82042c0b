package fakehub_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/fakehub/spec"
)

// TestJWT takes only tokens that GitHub takes.
func TestJWT(t *testing.T) {
	w := start(t, fakehub.Config{})
	other := w.App(fakehub.AppConfig{Name: "other"})
	now := time.Now()
	good := jwt.MapClaims{"iss": w.app.ClientID, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix()}
	for _, tt := range []struct {
		name    string
		claim   string
		value   any
		method  jwt.SigningMethod
		key     *fakehub.App
		status  int
		message string
	}{
		{name: "a good one", status: 200},
		{name: "the App's id", claim: "iss", value: w.app.ID, status: 200},
		{name: "expired", claim: "exp", value: now.Add(-time.Second).Unix(), status: 401, message: "'Expiration time' claim ('exp') must be"},
		{name: "11 minutes", claim: "exp", value: now.Add(11 * time.Minute).Unix(), status: 401, message: "too far in the future"},
		{name: "of the future", claim: "iat", value: now.Add(time.Minute).Unix(), status: 401, message: "'Issued at' claim"},
		{name: "another's key", key: other, status: 401, message: "could not be decoded"},
		{name: "RS512", method: jwt.SigningMethodRS512, status: 401, message: "could not be decoded"},
		{name: "nobody", claim: "iss", value: "77", status: 404, message: "Integration not found"},
	} {
		claims := jwt.MapClaims{}
		for name, value := range good {
			claims[name] = value
		}
		if tt.claim != "" {
			claims[tt.claim] = tt.value
		}
		if tt.method == nil {
			tt.method = jwt.SigningMethodRS256
		}
		if tt.key == nil {
			tt.key = w.app
		}
		key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(tt.key.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jwt.NewWithClaims(tt.method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		client := github.NewClient(nil).WithAuthToken(signed)
		client.BaseURL = w.client.BaseURL
		_, resp, err := client.Apps.Get(t.Context(), "")
		if resp == nil || resp.StatusCode != tt.status || err != nil && !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%s: %v, want %d %s", tt.name, err, tt.status, tt.message)
		}
	}
	w.Advance(-10 * time.Minute) // now ours is of the future
	if _, _, err := w.asApp.Apps.Get(t.Context(), ""); status(err) != http.StatusUnauthorized {
		t.Errorf("a clock that is wrong: %v", err)
	}
}

// TestScope asks tokens for what they are not for.
func TestScope(t *testing.T) {
	w := start(t, fakehub.Config{Stateless: true})
	ctx := t.Context()
	other := w.Repo("acme/other")
	other.Commit(map[string]string{"a": "b"})
	w.install.Add(other)
	readOnly := w.clientOf(t, w.installed(t, w.install, &github.InstallationTokenOptions{
		RepositoryIDs: []int64{w.repo.ID}, Permissions: &github.InstallationPermissions{Checks: github.String("read")}}))
	if _, _, err := readOnly.Checks.ListCheckRunsForRef(ctx, owner, name, "main", nil); err != nil {
		t.Error(err)
	}
	_, _, err := readOnly.Checks.CreateCheckRun(ctx, owner, name, github.CreateCheckRunOptions{Name: "c", HeadSHA: w.sha})
	if status(err) != http.StatusForbidden || !strings.Contains(err.Error(), "Resource not accessible by integration") {
		t.Errorf("without the permission: %v", err)
	}
	if _, _, err := readOnly.Repositories.Get(ctx, owner, "other"); status(err) != http.StatusNotFound {
		t.Errorf("a repository that the token is not for: %v", err)
	}
	if _, _, err := w.client.Repositories.Get(ctx, owner, "other"); err != nil {
		t.Errorf("a repository that the installation has: %v", err)
	}
	w.install.Remove(other)
	if _, _, err := w.client.Repositories.Get(ctx, owner, "other"); status(err) != http.StatusNotFound {
		t.Errorf("a repository that it has no more: %v", err)
	}
	if token, err := w.installed(t, w.install, nil).Token(ctx); err != nil || len(token) < 500 || !strings.HasPrefix(token, "ghs_") {
		t.Errorf("a stateless token %q, %v", token, err)
	}
	if _, _, err := w.client.Apps.Get(ctx, ""); status(err) != http.StatusUnauthorized {
		t.Errorf("an installation's token for an App's call: %v", err)
	}
	if _, _, err := w.asApp.Repositories.Get(ctx, owner, name); status(err) != http.StatusUnauthorized {
		t.Errorf("an App's token for an installation's call: %v", err)
	}
}

// TestEndOfAToken ends tokens in all the ways there are.
func TestEndOfAToken(t *testing.T) {
	w := start(t, fakehub.Config{})
	get := func() int {
		_, _, err := w.client.Repositories.Get(t.Context(), owner, name)
		return status(err)
	}
	if got := get(); got != 0 {
		t.Fatalf("at first: %d", got)
	}
	w.install.Revoke()
	if got := get(); got != http.StatusUnauthorized {
		t.Errorf("revoked: %d", got)
	}
	w.client = w.clientOf(t, w.installed(t, w.install, nil))
	w.install.Suspend(true)
	if _, _, err := w.client.Repositories.Get(t.Context(), owner, name); err == nil {
		t.Error("suspended: a token was made")
	}
	w.install.Suspend(false)
	if got := get(); got != 0 {
		t.Errorf("no more suspended: %d", got)
	}
	w.Advance(61 * time.Minute)
	if got := get(); got != http.StatusUnauthorized {
		t.Errorf("after an hour: %d", got)
	}
	w.install.Uninstall()
	if _, _, err := w.clientOf(t, w.jwt(t, w.app)).Apps.GetInstallation(t.Context(), w.install.ID); status(err) == 0 {
		t.Error("uninstalled: it is still there")
	}
}

// TestPermissions calls every operation with a token that may read metadata
// only: what needs more says so, whatever was asked.
func TestPermissions(t *testing.T) {
	w := start(t, fakehub.Config{})
	described, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := w.asApp.Apps.CreateInstallationToken(t.Context(), w.install.ID,
		&github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Metadata: github.String("read")}})
	if err != nil {
		t.Fatal(err)
	}
	poor := github.NewClient(nil).WithAuthToken(token.GetToken())
	poor.BaseURL = w.client.BaseURL
	place := strings.NewReplacer("{owner}", owner, "{repo}", name, "{org}", owner, "{workflow_id}", "deploy.yml")
	for _, id := range w.Operations() {
		op := described[id]
		if !strings.Contains(op.Path, "{repo}") && !strings.Contains(op.Path, "{org}") || strings.HasSuffix(op.Path, "/installation") {
			continue
		}
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(place.Replace(op.Path), "1")
		resp, err := call(t.Context(), poor, op.Method, path[1:], nil, nil)
		if resp == nil {
			t.Fatal(err)
		}
		switch needs := resp.Header.Get("X-Accepted-GitHub-Permissions"); {
		case needs == "":
			t.Errorf("%s needs nothing", id)
		case (needs != "metadata=read") != (status(err) == http.StatusForbidden):
			t.Errorf("%s needs %s: %v", id, needs, err)
		}
	}
	w.TakeProblems() // those that needed no more were asked for what is not there
}
