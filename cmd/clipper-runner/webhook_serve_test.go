package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/clipperregistry/runner/webhook/serve"
)

// TestServeSettings sets each variable alone, and looks at the one setting that
// it is.
func TestServeSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "apps.yml")
	if err := os.WriteFile(file, []byte("apps: [{ id: 8 }]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := map[string]struct {
		value string
		set   func(s *serve.Settings)
	}{
		"CLIPPER_GITHUB_APP_ID":             {"9", func(s *serve.Settings) { s.Apps[0].ID = 9 }},
		"CLIPPER_GITHUB_PRIVATE_KEY":        {"PEM", func(s *serve.Settings) { s.Apps[0].Key.PEM = "PEM" }},
		"CLIPPER_GITHUB_PRIVATE_KEY_FILE":   {"a.pem", func(s *serve.Settings) { s.Apps[0].Key.File = "a.pem" }},
		"CLIPPER_GITHUB_PRIVATE_KEY_KMS":    {"alias/a", func(s *serve.Settings) { s.Apps[0].Key.KMS = "alias/a" }},
		"CLIPPER_GITHUB_PRIVATE_KEY_SECRET": {"arn:a", func(s *serve.Settings) { s.Apps[0].Key.Secret = "arn:a" }},
		"CLIPPER_WEBHOOK_SECRETS":           {"new, old", func(s *serve.Settings) { s.Apps[0].Secrets = []string{"new", "old"} }},
		"CLIPPER_GITHUB_API_URL":            {"https://a.example/api/v3", func(s *serve.Settings) { s.Apps[0].APIURL = "https://a.example/api/v3" }},
		"CLIPPER_GITHUB_URL":                {"https://a.example", func(s *serve.Settings) { s.Apps[0].GitHubURL = "https://a.example" }},
		"CLIPPER_GITHUB_CLIENT_ID":          {"Iv1", func(s *serve.Settings) { s.Apps[0].ClientID = "Iv1" }},
		"CLIPPER_GITHUB_CLIENT_SECRET":      {"c", func(s *serve.Settings) { s.Apps[0].ClientSecret = "c" }},
		"CLIPPER_WEBHOOK_APPS":              {file, func(s *serve.Settings) { s.Apps = []serve.App{{ID: 8}} }},
		"CLIPPER_WEBHOOK_URL":               {"https://b.example", func(s *serve.Settings) { s.URL = "https://b.example" }},
		"CLIPPER_WEBHOOK_COOKIE_KEY":        {"new,old", func(s *serve.Settings) { s.CookieKeys = []string{"new", "old"} }},
		"CLIPPER_WEBHOOK_LISTEN":            {":1", func(s *serve.Settings) { s.Listen = ":1" }},
		"CLIPPER_WEBHOOK_ADMIN_LISTEN":      {":2", func(s *serve.Settings) { s.Admin = ":2" }},
		"CLIPPER_WEBHOOK_DATABASE":          {"a.db", func(s *serve.Settings) { s.Database = "a.db" }},
		"CLIPPER_WEBHOOK_POLICY":            {"p.yml", func(s *serve.Settings) { s.Policy = "p.yml" }},
		"CLIPPER_WEBHOOK_RUNNERS":           {"r.yml", func(s *serve.Settings) { s.Runners = "r.yml" }},
		"CLIPPER_WEBHOOK_IMAGE":             {"acme/webhook", func(s *serve.Settings) { s.Image = "acme/webhook" }},
		"CLIPPER_RUNNER_IMAGE":              {"acme/runner", func(s *serve.Settings) { s.RunnerImage = "acme/runner" }},
		"CLIPPER_WEBHOOK_PULL":              {"true", func(s *serve.Settings) { s.Pull = true }},
		"CLIPPER_WEBHOOK_RECONCILE":         {"1s", func(s *serve.Settings) { s.Reconcile = 1 * time.Second }},
		"CLIPPER_WEBHOOK_WATCH":             {"2s", func(s *serve.Settings) { s.Watch = 2 * time.Second }},
		"CLIPPER_WEBHOOK_REPORT":            {"3s", func(s *serve.Settings) { s.Report = 3 * time.Second }},
		"CLIPPER_WEBHOOK_LEASE":             {"4s", func(s *serve.Settings) { s.Lease = 4 * time.Second }},
		"CLIPPER_WEBHOOK_SEARCH":            {"5s", func(s *serve.Settings) { s.Search = 5 * time.Second }},
		"CLIPPER_WEBHOOK_NETWORKS": {"192.0.2.0/24, 2001:db8::/32", func(s *serve.Settings) {
			s.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
		}},
		"CLIPPER_WEBHOOK_PROXIES":            {"10.0.0.0/8", func(s *serve.Settings) { s.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }},
		"CLIPPER_LOG":                        {"json", func(s *serve.Settings) { s.JSON = true }},
		"OTEL_EXPORTER_OTLP_ENDPOINT":        {"http://127.0.0.1:1", func(s *serve.Settings) { s.Traces = true }},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {"http://127.0.0.1:1", func(s *serve.Settings) { s.Traces = true }},
	}
	for _, name := range serviceVariables() {
		if _, ok := table[name]; !ok {
			t.Errorf("nobody looks at %s", name)
		}
	}
	for name := range table {
		without(t, name)
	}
	without(t, "OTEL_SDK_DISABLED")
	without(t, "OTEL_TRACES_EXPORTER")
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			want := settingsOf(t, "CLIPPER_GITHUB_APP_ID", "7")
			row.set(&want)
			variables := []string{name, row.value}
			if name != "CLIPPER_WEBHOOK_APPS" && name != "CLIPPER_GITHUB_APP_ID" {
				variables = append(variables, "CLIPPER_GITHUB_APP_ID", "7")
			}
			if got := settingsOf(t, variables...); !reflect.DeepEqual(got, want) {
				t.Errorf("the settings are\n%+v, want\n%+v", got, want)
			}
		})
	}
	for name, value := range map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"} {
		if s := settingsOf(t, "CLIPPER_GITHUB_APP_ID", "7", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", name, value); s.Traces {
			t.Errorf("%s=%s, and there are traces", name, value)
		}
	}
	if s := settingsOf(t, "CLIPPER_GITHUB_APP_ID", "7", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER", "otlp"); !s.Traces {
		t.Error("OTEL_TRACES_EXPORTER=otlp, and there are no traces")
	}
}

// without takes a variable out of the environment until the test ends.
func without(t *testing.T, name string) {
	t.Setenv(name, "")
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

// settingsOf are what the service would be started with, by variables alone; of
// what is no value, nothing.
func settingsOf(t *testing.T, variables ...string) serve.Settings {
	t.Helper()
	for i := 0; i < len(variables); i += 2 {
		if err := os.Setenv(variables[i], variables[i+1]); err != nil {
			t.Fatal(err)
		}
		defer os.Unsetenv(variables[i])
	}
	var c commands
	parser, err := kong.New(&c, kong.Exit(func(int) { t.Error("a command ends the test") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"webhook", "serve"}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Webhook.Serve.settings()
	if err != nil {
		t.Fatal(err)
	}
	if s.Resolve == nil || s.Log != os.Stderr {
		t.Error("registries are not asked, or the log goes elsewhere")
	}
	s.Resolve, s.Log = nil, nil
	return s
}
