package doctor_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/doctor"
	"github.com/clipperregistry/runner/webhook/serve"
	"github.com/clipperregistry/runner/webhook/setup"
)

const config = `version: 1
rules:
  - id: test
    on: { push: { branches: [main] } }
    run: { workflow: { file: test.yml } }
`

// world is a service that is set up well, of which a test breaks something.
type world struct {
	*fakehub.Hub
	app     *fakehub.App
	install *fakehub.Installation
	repo    *fakehub.Repo
	// deliveries and healthz are what the service answers.
	deliveries, healthz int
	// permissions and events are those of an App that is made now.
	permissions map[string]string
	events      []string
	// wrong says that the test asks GitHub for what it does not take.
	wrong bool
	doctor.Checkup
}

func newWorld(t *testing.T) *world {
	t.Helper()
	h := fakehub.New(t, fakehub.Config{})
	w := &world{Hub: h, deliveries: http.StatusAccepted, healthz: http.StatusOK}
	service := httptest.NewServer(w.service())
	t.Cleanup(service.Close)
	m, err := setup.Wish{Organization: "acme", URL: service.URL}.Manifest("http://127.0.0.1:9/made")
	if err != nil {
		t.Fatal(err)
	}
	w.permissions, w.events = m.Permissions, m.Events
	w.app = h.App(fakehub.AppConfig{Owner: "acme", Permissions: m.Permissions, Events: m.Events, WebhookURL: m.Hook.URL, CallbackURLs: m.Callbacks})
	w.repo = h.Repo("acme/app")
	w.repo.Commit(map[string]string{".github/clipper.yml": config})
	w.install = w.app.Install("acme", w.repo)
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w.Checkup = doctor.Checkup{
		Settings: serve.Settings{
			Listen: "127.0.0.1:8080", URL: service.URL, Database: filepath.Join(dir, "clipper.db"), CookieKeys: []string{"0f1e2d3c4b5a69788796a5b4c3d2e1f0"},
			Policy: put(t, dir, "policy.yml", "version: 1\nrepositories: [\"acme/*\"]\nworkflows: true\n"),
			Apps: []serve.App{{
				ID: w.app.ID, Secrets: []string{w.app.WebhookSecret}, Key: serve.Key{PEM: w.app.PrivateKey}, APIURL: h.APIURL, GitHubURL: h.URL,
				ClientID: w.app.ClientID, ClientSecret: w.app.ClientSecret,
			}},
		},
		Repositories: []string{"acme/app"},
		Stat: func(string) (doctor.Disk, error) {
			return doctor.Disk{Magic: 0xef53, Free: 50 << 30, Total: 100 << 30}, nil
		},
	}
	return w
}

func (w *world) service() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhook", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(w.deliveries) })
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(w.healthz)
		fmt.Fprintln(rw, "ok")
	})
	return mux
}

// deliver has GitHub send something, and the service answer that.
func (w *world) deliver(t *testing.T, answer int) {
	t.Helper()
	w.deliveries = answer
	w.app.Ping()
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// told is what a finding says, on one line.
func told(f doctor.Finding) string {
	return string(f.Level) + " " + f.What + " " + f.Seen + " → " + f.Mend
}

// find finds the first finding with these beginnings and texts.
func find(found []doctor.Finding, level doctor.Level, what, text string) bool {
	for _, f := range found {
		if f.Level == level && f.What == what && strings.Contains(told(f), text) {
			return true
		}
	}
	return false
}
