package doctor_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/doctor"
	"github.com/clipperregistry/runner/webhook/serve"
)

// TestGreen: of what is set up well, nothing is said that is not well, beside a
// server that has the database and without.
func TestGreen(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, 202)
	green := func() {
		t.Helper()
		what := map[string]bool{}
		for _, f := range w.Look(t.Context()) {
			if f.Level != doctor.OK {
				t.Errorf("%s", told(f))
			}
			what[f.What] = true
		}
		for _, want := range []string{"settings", "policy", "space", "database", "app", "clock", "permissions", "webhook", "deliveries", "installed", "repository", "sign-in", "address"} {
			if !what[want] {
				t.Errorf("nobody looked at: %s", want)
			}
		}
	}
	green()
	db, err := database.Open(t.Context(), w.Settings.Database, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	green()
	entries, err := os.ReadDir(filepath.Dir(w.Settings.Database))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".clipper-doctor") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// TestFindings: each thing that can be wrong is found, and said with what to do.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func(t *testing.T, w *world)
		level doctor.Level
		what  string
		text  string
	}{
		{"no Apps", func(_ *testing.T, w *world) { w.Settings.Apps = nil }, doctor.Bad, "settings", "no GitHub App"},
		{"secret of a manual", func(_ *testing.T, w *world) { w.app0().Secrets = []string{"It's a Secret to Everybody"} }, doctor.Bad, "secrets", "manual"},
		{"short secret", func(_ *testing.T, w *world) { w.app0().Secrets = []string{"abcdefghijk"} }, doctor.Bad, "secrets", "11 characters"},
		{"poor secret", func(_ *testing.T, w *world) { w.app0().Secrets = []string{strings.Repeat("ab", 20)} }, doctor.Bad, "secrets", "few characters"},
		{"one secret for two", func(_ *testing.T, w *world) { w.Settings.CookieKeys = w.app0().Secrets }, doctor.Bad, "secrets", "cookies, too"},
		{"poor cookie key", func(_ *testing.T, w *world) { w.Settings.CookieKeys = []string{strings.Repeat("0", 40)} }, doctor.Bad, "secrets", "cookies is made of few"},
		{"a key for all", func(t *testing.T, w *world) {
			file := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(file, []byte(w.app0().Key.PEM), 0o644); err != nil {
				t.Fatal(err)
			}
			w.app0().Key = serve.Key{File: file}
		}, doctor.Warn, "private key", "key.pem has mode 0644"},
		{"no policy", func(_ *testing.T, w *world) { w.Settings.Policy = "" }, doctor.Warn, "policy", "none"},
		{"broken policy", func(t *testing.T, w *world) { w.policy(t, "version: 2\n") }, doctor.Bad, "policy", "version"},
		{"policy for nothing", func(t *testing.T, w *world) { w.policy(t, "version: 1\nrepositories: [\"acme/*\"]\n") }, doctor.Bad, "policy", "nothing run"},
		{"no directory", func(_ *testing.T, w *world) {
			w.Settings.Database, w.Stat = "/nowhere/at/all/clipper.db", nil
		}, doctor.Bad, "database", "no such file"},
		{"a network's disk", func(_ *testing.T, w *world) { w.disk(0x6969, 50<<30) }, doctor.Bad, "database", "NFS"},
		{"a container's disk", func(_ *testing.T, w *world) { w.disk(0x794c7630, 50<<30) }, doctor.Warn, "database", "gone with the container"},
		{"memory", func(_ *testing.T, w *world) { w.disk(0x01021994, 50<<30) }, doctor.Warn, "database", "tmpfs"},
		{"little room", func(_ *testing.T, w *world) { w.disk(0xef53, 500<<20) }, doctor.Warn, "space", "0.5 GiB"},
		{"no room", func(_ *testing.T, w *world) { w.disk(0xef53, 50<<20) }, doctor.Bad, "space", "free some"},
		{"no database", func(t *testing.T, w *world) {
			w.Settings.Database = put(t, t.TempDir(), "x.db", "this is no database at all, it is a text of some length")
		}, doctor.Bad, "database", "not a database"},
		{"an empty database", func(t *testing.T, w *world) { w.Settings.Database = put(t, t.TempDir(), "x.db", "") }, doctor.Warn, "database", "not those of this version"},
		{"no PostgreSQL", func(_ *testing.T, w *world) { w.Settings.Database = "postgres://clipper:hidden@127.0.0.1:9/clipper" }, doctor.Bad, "database", "PostgreSQL"},
		{"no key", func(_ *testing.T, w *world) { w.app0().Key = serve.Key{File: "/nowhere.pem"} }, doctor.Bad, "private key", "nowhere.pem"},
		{"garbage for a key", func(_ *testing.T, w *world) { w.app0().Key = serve.Key{PEM: "garbage"} }, doctor.Bad, "private key", "PEM"},
		{"another's key", func(t *testing.T, w *world) {
			w.app0().Key = serve.Key{PEM: newKey(t)}
			w.wrong = true
		}, doctor.Bad, "app", "fingerprints"},
		{"GitHub is out of reach", func(_ *testing.T, w *world) { w.app0().APIURL = "http://127.0.0.1:9" }, doctor.Bad, "app", "CLIPPER_GITHUB_API_URL"},
		{"clocks", func(_ *testing.T, w *world) { w.Advance(-5 * time.Minute) }, doctor.Warn, "clock", "ahead of this machine"},
		{"a permission that all need", func(t *testing.T, w *world) { w.permit(t, "checks", "read") }, doctor.Bad, "permissions", "checks: write"},
		{"a permission that the policy needs", func(t *testing.T, w *world) { w.permit(t, "actions", "read") }, doctor.Bad, "permissions", "actions: write"},
		{"a permission that some want", func(t *testing.T, w *world) { w.permit(t, "packages", "") }, doctor.Warn, "permissions", "for packages it lacks packages: read"},
		{"more than is ever used", func(t *testing.T, w *world) { w.permit(t, "issues", "write") }, doctor.Warn, "permissions", "issues: write is more"},
		{"no webhook", func(_ *testing.T, w *world) { w.app.SetWebhook("") }, doctor.Bad, "webhook", "nowhere"},
		{"webhook elsewhere", func(_ *testing.T, w *world) { w.app.SetWebhook("https://old.example/webhook") }, doctor.Bad, "webhook", "old.example"},
		{"deliveries fail", func(t *testing.T, w *world) { w.deliver(t, 202); w.deliver(t, 401) }, doctor.Bad, "deliveries", "401"},
		{"deliveries failed", func(t *testing.T, w *world) { w.deliver(t, 500); w.deliver(t, 202) }, doctor.Warn, "deliveries", "1 of the last 3"},
		{"no deliveries", func(_ *testing.T, w *world) { w.Advance(48 * time.Hour) }, doctor.Warn, "deliveries", "none of the last 24"},
		{"nowhere installed", func(_ *testing.T, w *world) { w.install.Uninstall() }, doctor.Warn, "installed", "/installations/new"},
		{"suspended", func(_ *testing.T, w *world) { w.install.Suspend(true) }, doctor.Warn, "installed", "suspended"},
		{"not granted", func(_ *testing.T, w *world) { w.install.SetPermissions(fakehub.Permissions{"metadata": "read"}) }, doctor.Warn, "installed", "acme has not granted actions: write"},
		{"not installed there", func(_ *testing.T, w *world) { w.Repo("other/app"); w.Repositories = []string{"other/app"} }, doctor.Bad, "repository", "install the App there"},
		{"not served", func(t *testing.T, w *world) {
			w.policy(t, "version: 1\nrepositories: [\"acme/other\"]\nworkflows: true\n")
		}, doctor.Bad, "repository", "does not serve"},
		{"no rules", func(_ *testing.T, w *world) {
			w.Repositories = []string{"acme/bare"}
			r := w.Repo("acme/bare")
			r.Commit(map[string]string{"main.go": "package main\n"})
			w.install.Add(r)
		}, doctor.Warn, "repository", "no .github/clipper.yml"},
		{"broken rules", func(_ *testing.T, w *world) {
			w.repo.Commit(map[string]string{".github/clipper.yml": "version: 1\nrules: 7\n"})
		}, doctor.Bad, "repository", "config lint"},
		{"rules that need more", func(_ *testing.T, w *world) {
			w.repo.Commit(map[string]string{".github/clipper.yml": config + "  - id: tell\n    on: { manual: {} }\n    run: { dispatch: { type: told } }\n"})
		}, doctor.Bad, "repository", "contents: write"},
		{"rules with runners", func(_ *testing.T, w *world) {
			w.repo.Commit(map[string]string{".github/clipper.yml": config + "runners:\n  - labels: [clipper]\n    ecs: { image: ghcr.io/actions/actions-runner:latest }\n"})
		}, doctor.Bad, "repository", "policy gives it none"},
		{"no pages", func(_ *testing.T, w *world) { w.app0().ClientID, w.app0().ClientSecret = "", "" }, doctor.Warn, "sign-in", "no pages"},
		{"another client secret", func(_ *testing.T, w *world) { w.app0().ClientSecret = "wrong" }, doctor.Bad, "sign-in", "another"},
		{"address out of reach", func(_ *testing.T, w *world) { w.Settings.URL = "http://127.0.0.1:9" }, doctor.Warn, "address", "running"},
		{"somebody else's address", func(_ *testing.T, w *world) { w.healthz = 502 }, doctor.Bad, "address", "not the service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.wrong(t, w)
			found := w.Look(t.Context())
			if w.wrong {
				w.TakeProblems()
			}
			var all strings.Builder
			for _, f := range found {
				all.WriteString(told(f) + "\n")
				if f.Level != doctor.OK && f.Mend == "" && f.What != "settings" && c.what == f.What && strings.Contains(told(f), c.text) {
					t.Errorf("nothing is said of what to do: %s", told(f))
				}
			}
			if !find(found, c.level, c.what, c.text) {
				t.Errorf("no %s %s %q in\n%s", c.level, c.what, c.text, all.String())
			}
			for _, secret := range []string{w.app.WebhookSecret, w.app.ClientSecret, w.app.PrivateKey[60:100], "hidden", "0f1e2d3c4b5a"} {
				if strings.Contains(all.String(), secret) {
					t.Errorf("it tells a secret:\n%s", all.String())
				}
			}
		})
	}
}

// TestPull: whose deliveries are fetched needs no URL, and no answer of theirs.
func TestPull(t *testing.T) {
	w := newWorld(t)
	w.app.SetWebhook("https://clipper.invalid/webhook")
	w.app.Ping()
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Settings.Pull, w.Settings.Listen, w.Settings.URL = true, "", ""
	w.app0().ClientID, w.app0().ClientSecret = "", ""
	for _, f := range w.Look(t.Context()) {
		if f.Level != doctor.OK && f.What != "sign-in" {
			t.Errorf("%s", told(f))
		}
	}
}

func (w *world) app0() *serve.App { return &w.Settings.Apps[0] }

func (w *world) disk(magic, free int64) {
	w.Stat = func(string) (doctor.Disk, error) { return doctor.Disk{Magic: magic, Free: free, Total: 1 << 40}, nil }
}

// policy is another one of the operator's.
func (w *world) policy(t *testing.T, text string) {
	w.Settings.Policy = put(t, t.TempDir(), "policy.yml", text)
}

// permit is another App, which may do less or more.
func (w *world) permit(t *testing.T, name, level string) {
	t.Helper()
	permissions := fakehub.Permissions{}
	for n, l := range w.permissions {
		permissions[n] = l
	}
	permissions[name] = level
	if level == "" {
		delete(permissions, name)
	}
	w.app = w.App(fakehub.AppConfig{Name: "other", Owner: "acme", Permissions: permissions, Events: w.events, WebhookURL: w.Settings.URL + "/webhook"})
	w.install = w.app.Install("acme", w.repo)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := w.app0()
	a.ID, a.Secrets, a.Key, a.ClientID, a.ClientSecret = w.app.ID, []string{w.app.WebhookSecret}, serve.Key{PEM: w.app.PrivateKey}, w.app.ClientID, w.app.ClientSecret
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
