package setup_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/setup"
)

var made = hub.Made{
	ID: 7, Slug: "clipper-acme", Name: "Clipper acme", Owner: "acme", Page: "https://github.com/apps/clipper-acme",
	ClientID: "Iv1.c", ClientSecret: "cs", WebhookSecret: "ws", PrivateKey: []byte("-----BEGIN RSA PRIVATE KEY-----\n"),
}

// TestKeep: only the owner can read it, and nothing is written over that the
// owner did not name.
func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	keep := func(force bool, m hub.Made) error {
		d, err := setup.OpenDirectory(dir, force)
		if err != nil {
			return err
		}
		return d.Keep(setup.Wish{URL: "https://clipper.example"}, "", m)
	}
	if err := keep(false, made); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s: %s", e.Name(), info.Mode())
		}
		names = append(names, e.Name())
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info, err)
	}
	if got := strings.Join(names, " "); got != "app-7.pem policy.yml webhook.env" {
		t.Errorf("files: %s", got)
	}
	env := content(t, dir, "webhook.env")
	for _, want := range []string{
		"CLIPPER_GITHUB_APP_ID=7\n", "CLIPPER_GITHUB_PRIVATE_KEY_FILE=" + dir + "/app-7.pem\n", "CLIPPER_GITHUB_CLIENT_SECRET=cs\n",
		"CLIPPER_WEBHOOK_SECRETS=ws\n", "CLIPPER_WEBHOOK_URL=https://clipper.example\n", "CLIPPER_WEBHOOK_POLICY=" + dir + "/policy.yml\n",
	} {
		if !strings.Contains(env, want) {
			t.Errorf("no %q in\n%s", want, env)
		}
	}
	if p, problems := rules.ParsePolicy([]byte(content(t, dir, "policy.yml"))); problems != nil || !p.Serves("acme/app") || p.Serves("other/app") {
		t.Errorf("the policy: %v", problems)
	}

	// Another time.
	if err := keep(false, made); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over what is there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.yml"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := made
	other.ID = 8
	if err := keep(true, other); err != nil {
		t.Fatal(err)
	}
	if got := content(t, dir, "webhook.env"); !strings.Contains(got, "APP_ID=8\n") || cookieKey(got) == cookieKey(env) {
		t.Errorf("by force:\n%s", got)
	}
	if content(t, dir, "policy.yml") != "mine" || content(t, dir, "app-7.pem") == "" {
		t.Error("a policy or another App's key is gone")
	}
}

// TestKeepNothing: what a shell or an engine would read as something else is
// not written.
func TestKeepNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := setup.OpenDirectory(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	odd := made
	odd.ClientSecret = "x\nCLIPPER_GITHUB_API_URL=https://evil.example"
	if err := d.Keep(setup.Wish{}, "", odd); err == nil {
		t.Error("two variables for one")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if _, err := setup.OpenDirectory(filepath.Join(dir, "two words"), false); err == nil {
		t.Error("a path of two words")
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := setup.OpenDirectory(filepath.Join(dir, "file"), false); err == nil {
		t.Error("a file for a directory")
	}
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func cookieKey(env string) string {
	_, rest, _ := strings.Cut(env, "CLIPPER_WEBHOOK_COOKIE_KEY=")
	key, _, _ := strings.Cut(rest, "\n")
	return key
}
