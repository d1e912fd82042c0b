package reconcile_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/reconcile"
)

var server *postgres.Server

func TestMain(m *testing.M) {
	os.Exit(postgres.Main(m, &server))
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// world is a GitHub with an App, and an inbox.
type world struct {
	*fakehub.Hub
	t       *testing.T
	app     *fakehub.App
	install *fakehub.Installation
	repo    *fakehub.Repo
	url     string // of the database
	db      *database.DB
	hub     *hub.Hub
	sent    map[string]bool // GUIDs
}

// nowhere is a URL at which nobody answers.
const nowhere = "http://127.0.0.1:1/webhook"

// both runs a test over both databases.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	for name, url := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "clipper.db"), "PostgreSQL": server.Database(t)} {
		t.Run(name, func(t *testing.T) {
			github := fakehub.New(t, fakehub.Config{Limits: fakehub.Unlimited})
			w := &world{Hub: github, t: t, app: github.App(fakehub.AppConfig{}), repo: github.Repo("acme/app"), url: url, sent: map[string]bool{}}
			w.repo.Commit(map[string]string{"a": ""})
			w.install = w.app.Install("acme", w.repo)
			w.open()
			t.Cleanup(func() { w.db.Close() })
			test(t, w)
		})
	}
}

// open is the start of a service.
func (w *world) open() {
	w.t.Helper()
	var err error
	if w.db, err = database.Open(w.t.Context(), w.url, database.Options{Log: quiet}); err != nil {
		w.t.Fatal(err)
	}
	key, err := hub.ParseKey([]byte(w.app.PrivateKey))
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub, err = hub.New(hub.Config{App: w.app.ID, Signer: key, URL: w.APIURL, Transport: &http.Transport{}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) restart() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func (w *world) reconciler(change ...func(*reconcile.Config)) *reconcile.Reconciler {
	w.t.Helper()
	c := reconcile.Config{GitHub: w.hub, Inbox: w.db, Log: quiet}
	for _, f := range change {
		f(&c)
	}
	r, err := reconcile.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// send has GitHub send so many deliveries, and waits for their ends.
func (w *world) send(n int) {
	w.t.Helper()
	for i := range n {
		body := fmt.Appendf(nil, `{"action":"created","installation":{"id":%d},"repository":{"id":%d,"full_name":"acme/app"},"sender":{"login":"ann"},"number":%d}`, w.install.ID, w.repo.ID, i)
		w.sent[w.app.Deliver(fakehub.Message{Event: "issue_comment", Payload: body})] = true
	}
	w.settle()
}

func (w *world) settle() {
	w.t.Helper()
	if err := w.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// inbox counts deliveries by the way that they came, and holds them against
// what was sent.
func (w *world) inbox() map[webhook.Source]int {
	w.t.Helper()
	came, guids := map[webhook.Source]int{}, map[string]bool{}
	for record, err := range w.db.Deliveries(w.t.Context(), database.DeliveryFilter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if guids[record.GUID] || !w.sent[record.GUID] {
			w.t.Errorf("%s is there twice, or was never sent", record.GUID)
		}
		if record.App != w.app.ID || record.Installation != w.install.ID || record.Repository != w.repo.ID || record.Event != "issue_comment" || record.Action != "created" || record.HookID == 0 {
			w.t.Errorf("%s came as %+v", record.GUID, record)
		}
		guids[record.GUID] = true
		came[record.Source]++
	}
	return came
}

func (w *world) complete() {
	w.t.Helper()
	came := w.inbox()
	if n := came[webhook.Pushed] + came[webhook.Pulled]; n != len(w.sent) {
		w.t.Errorf("%d of %d deliveries are there: %v", n, len(w.sent), came)
	}
}
