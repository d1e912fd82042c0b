package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettings: with settings that are wrong it does not start, and says what
// to do.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	broken := write("broken.pem", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
	policy := write("policy.yml", "version: 1\nrepositories: [\"acme/*\"]\nworkflow: true\n")
	for name, tt := range map[string]struct {
		change func(*Settings)
		says   string
	}{
		"no App":             {func(s *Settings) { s.Apps = nil }, "set CLIPPER_GITHUB_APP_ID"},
		"no ID":              {func(s *Settings) { s.Apps[0].ID = 0 }, "CLIPPER_GITHUB_APP_ID"},
		"no secret":          {func(s *Settings) { s.Apps[0].Secrets = nil }, "CLIPPER_WEBHOOK_SECRETS"},
		"a short secret":     {func(s *Settings) { s.Apps[0].Secrets = []string{"x"} }, "openssl rand -hex 32"},
		"no key":             {func(s *Settings) { s.Apps[0].Key = Key{} }, "set CLIPPER_GITHUB_PRIVATE_KEY"},
		"two keys":           {func(s *Settings) { s.Apps[0].Key.File = broken }, "several private keys"},
		"no such key":        {func(s *Settings) { s.Apps[0].Key = Key{File: dir + "/none.pem"} }, "no such file"},
		"a broken key":       {func(s *Settings) { s.Apps[0].Key = Key{File: broken} }, broken},
		"no PEM":             {func(s *Settings) { s.Apps[0].Key = Key{PEM: "hunter2"} }, "not PEM"},
		"no address":         {func(s *Settings) { s.Listen = "8080" }, "host:port"},
		"nowhere to listen":  {func(s *Settings) { s.Listen = "" }, "CLIPPER_WEBHOOK_PULL=true"},
		"no database":        {func(s *Settings) { s.Database = "" }, "CLIPPER_WEBHOOK_DATABASE"},
		"a strange API":      {func(s *Settings) { s.Apps[0].APIURL = "ftp://github" }, "CLIPPER_GITHUB_API_URL"},
		"a time before now":  {func(s *Settings) { s.Watch = -1 }, "CLIPPER_WEBHOOK_WATCH"},
		"half an OAuth":      {func(s *Settings) { s.Apps[0].ClientID = "x" }, "CLIPPER_GITHUB_CLIENT_SECRET"},
		"pages nowhere":      {func(s *Settings) { s.Apps[0].ClientID, s.Apps[0].ClientSecret = "x", "y" }, "CLIPPER_WEBHOOK_URL"},
		"pages below a path": {pages1("https://clipper.example/x", cookieKey), "has a path"},
		"no cookie key":      {pages1("https://clipper.example"), "CLIPPER_WEBHOOK_COOKIE_KEY"},
		"a short cookie key": {pages1("https://clipper.example", "short"), "less than 32 bytes"},
		"an App twice":       {func(s *Settings) { s.Apps = append(s.Apps, s.Apps[0]) }, "it is there twice"},
		"a shared secret": {func(s *Settings) {
			other := s.Apps[0]
			other.ID = 8
			s.Apps = append(s.Apps, other)
		}, "a webhook secret of App 7"},
		"a database nowhere": {func(s *Settings) { s.Database = dir + "/none/clipper.db" }, "CLIPPER_WEBHOOK_DATABASE is to be"},
		"a database away": {func(s *Settings) {
			s.Database = "postgres://clipper:" + webhookSecret + "@127.0.0.1:1/clipper"
		}, "CLIPPER_WEBHOOK_DATABASE is to be"},
		"no such policy":  {func(s *Settings) { s.Policy = dir + "/none.yml" }, "CLIPPER_WEBHOOK_POLICY"},
		"no such runners": {func(s *Settings) { s.Runners = dir + "/none.yml" }, "CLIPPER_WEBHOOK_RUNNERS"},
		"broken runners":  {func(s *Settings) { s.Runners = policy }, policy + ":"},
		"a broken policy": {func(s *Settings) { s.Policy = policy }, policy + ":3:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(t)
			tt.change(&s)
			err := Run(t.Context(), s)
			isSettings(t, err, tt.says)
			if err != nil && strings.Contains(err.Error(), webhookSecret) {
				t.Errorf("the error has a secret: %v", err)
			}
		})
	}
}

// pages1 gives the first App pages.
func pages1(url string, keys ...string) func(*Settings) {
	return func(s *Settings) {
		s.URL, s.CookieKeys = url, keys
		s.Apps[0].ClientID, s.Apps[0].ClientSecret = "Iv1.0", clientSecret
	}
}

// TestManyWrong: all that is wrong is said at once.
func TestManyWrong(t *testing.T) {
	s := settings(t)
	s.Apps[0].Secrets, s.Database = nil, ""
	err := Run(t.Context(), s)
	isSettings(t, err, "CLIPPER_WEBHOOK_SECRETS")
	isSettings(t, err, "CLIPPER_WEBHOOK_DATABASE")
}

// TestApps: several Apps come from a file, each with its pages at a host of its
// own.
func TestApps(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "apps.yml")
	key := filepath.Join(dir, "key.pem")
	text := `apps:
  - id: 7
    secrets: [first-secret]
    private_key: { file: ` + key + ` }
    api_url: http://127.0.0.1:1
    client_id: Iv1.7
    client_secret: ` + clientSecret + `
    url: http://seven.example
  - id: 8
    secrets: [second-secret]
    private_key: { file: ` + key + ` }
    api_url: http://127.0.0.1:1/api/v3
    client_id: Iv1.8
    client_secret: ` + clientSecret + `
    url: http://eight.example
`
	for name, content := range map[string]string{file: text, key: privateKey()} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := settings(t)
	var err error
	if s.Apps, err = ReadApps(file); err != nil {
		t.Fatal(err)
	}
	s.CookieKeys = []string{cookieKey, "the key before, which is still opened"}
	r := start(t, s)
	for host, client := range map[string]string{"seven.example": "Iv1.7", "eight.example": "Iv1.8"} {
		if location := r.at(host, "/sign-in/github"); !strings.Contains(location, "client_id="+client) {
			t.Errorf("at %s, people sign in at %s", host, location)
		}
	}
	if code := deliver(r, "guid", "first-secret"); code != 202 {
		t.Errorf("a delivery of the first App's is answered %d", code)
	}
	for says, broken := range map[string]string{"field secret not found": "apps: [{ id: 7, secret: x }]", "has no apps": "", "is a directory": "/"} {
		name := dir
		if broken != "/" {
			name = file
			if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := ReadApps(name)
		isSettings(t, err, says)
	}
}

// TestGitHubURL: where people sign in follows from the API.
func TestGitHubURL(t *testing.T) {
	for api, want := range map[string]string{
		"": "https://github.com", "https://api.github.com": "https://github.com", "https://api.github.com/": "https://github.com",
		"https://github.example.com/api/v3": "https://github.example.com", "https://api.octocorp.ghe.com": "https://octocorp.ghe.com",
		"http://127.0.0.1:8080/api/v3": "http://127.0.0.1:8080",
	} {
		if got := (App{APIURL: api}).gitHub(); got != want {
			t.Errorf("of %s: %s, want %s", api, got, want)
		}
	}
	if got := (App{APIURL: "https://a.example", GitHubURL: "https://b.example"}).gitHub(); got != "https://b.example" {
		t.Errorf("what was said is %s", got)
	}
}
