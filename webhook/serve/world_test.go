package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/postgres"
)

var server *postgres.Server

func TestMain(m *testing.M) {
	os.Exit(postgres.Main(m, &server))
}

const (
	webhookSecret = "webhook-secret-of-tests"
	clientSecret  = "client-secret-of-tests"
	cookieKey     = "a cookie key of thirty-two bytes or more"
	pagesURL      = "http://clipper.example"
)

// privateKey is nobody's.
var privateKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
})

// settings are those of a service whose GitHub is out of reach.
func settings(t *testing.T) Settings {
	return Settings{
		Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Database: filepath.Join(t.TempDir(), "clipper.db"),
		Apps: []App{{ID: 7, Secrets: []string{webhookSecret}, Key: Key{PEM: privateKey()}, APIURL: "http://127.0.0.1:1"}},
		Log:  io.Discard, Version: "v1.2.3",
	}
}

// both runs a test over both databases.
func both(t *testing.T, test func(t *testing.T, s Settings)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, settings(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		s := settings(t)
		s.Database = server.Database(t)
		test(t, s)
	})
}

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// running is a service that runs.
type running struct {
	t             *testing.T
	log           *journal
	public, admin string // URLs
	stop          func() error
}

var listening = regexp.MustCompile(`msg=listening public=(\S*) admin=(\S*)`)

// start runs a service until the test ends, or stop is called.
func start(t *testing.T, s Settings) *running {
	t.Helper()
	r := &running{t: t, log: &journal{}}
	s.Log = r.log
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, s) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("it ended with %v\n%s", err, r.log)
		}
	})
	r.until("it listens", func() bool {
		select {
		case err := <-done:
			done <- err
			t.Fatal(err)
		default:
		}
		found := listening.FindStringSubmatch(r.log.String())
		if found != nil {
			r.public, r.admin = "http://"+found[1], "http://"+found[2]
		}
		return found != nil
	})
	return r
}

// until waits for something to be so, or fails.
func (r *running) until(what string, is func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for tick := time.Tick(10 * time.Millisecond); !is(); {
		select {
		case <-ctx.Done():
			r.t.Fatalf("not so: %s\n%s", what, r.log)
		case <-tick:
		}
	}
}

// get asks for a URL, and follows no redirect.
func (r *running) get(url string) (status int, body string, header http.Header) {
	r.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// world is a service with a GitHub whose App it is, installed at acme/app.
type world struct {
	*running
	*fakehub.Hub
	app     *fakehub.App
	repo    *fakehub.Repo
	install *fakehub.Installation
	apps    []App // the service's
}

const deployYAML = `
name: Deploy
run-name: "Deploy ${{ inputs.clipper_run }}"
on: {workflow_dispatch: {inputs: {clipper_run: {}}}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

const clipperYAML = `version: 1
rules:
  - id: deploy
    on: { push: { branches: [main] } }
    run: { workflow: { file: deploy.yml } }
`

func newWorld(t *testing.T, s Settings) *world {
	t.Helper()
	github := fakehub.New(t, fakehub.Config{})
	w := &world{Hub: github, app: github.App(fakehub.AppConfig{CallbackURLs: []string{pagesURL + "/sign-in/callback"}}), repo: github.Repo("acme/app")}
	w.repo.Commit(map[string]string{".github/workflows/deploy.yml": deployYAML, ".github/clipper.yml": clipperYAML})
	github.User("mona")
	w.repo.Permit("mona", "write")
	s.Apps = []App{{
		ID: w.app.ID, Secrets: []string{"the-one-before", w.app.WebhookSecret}, Key: Key{PEM: w.app.PrivateKey}, APIURL: github.APIURL, GitHubURL: github.URL,
		ClientID: w.app.ClientID, ClientSecret: w.app.ClientSecret,
	}}
	s.URL, s.CookieKeys = pagesURL, []string{cookieKey}
	s.Watch, s.Report = 200*time.Millisecond, 50*time.Millisecond
	w.apps = s.Apps
	w.running = start(t, s)
	w.app.SetWebhook(w.public + "/webhook")
	w.install = w.app.Install("acme", w.repo)
	return w
}

// check is what GitHub shows of a commit.
func (w *world) check(commit string) fakehub.Check {
	for _, c := range w.repo.Checks(commit) {
		return c
	}
	return fakehub.Check{}
}

// isSettings fails unless the error is about settings and says something.
func isSettings(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), says) {
		t.Errorf("the error is %v, want one of settings that says %q", err, says)
	}
}

// at asks for a path as if the service were at a host, and returns where it
// sends people.
func (r *running) at(host, path string) string {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.public+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location")
}
