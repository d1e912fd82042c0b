package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/service"
)

// database is one of the two.
type database struct {
	name string
	url  func(b *testing.B) string
}

var databases = []database{
	{"SQLite", func(b *testing.B) string { return filepath.Join(b.TempDir(), "clipper.db") }},
	{"PostgreSQL", func(b *testing.B) string { return cluster.Database(b) }},
}

// each measures something on both databases, in turns.
func each(b *testing.B, measure func(b *testing.B, database string, w *world)) {
	for range *rounds {
		for _, d := range databases {
			b.Run(d.name, func(b *testing.B) {
				measure(b, d.name, newWorld(b, d.url(b)))
			})
		}
	}
}

// world is a GitHub and the service.
type world struct {
	*service.Server
	b     *testing.B
	hub   *fakehub.Hub
	app   *fakehub.App
	began time.Time // when the service was started
}

// newWorld starts a service on a new database.
func newWorld(b *testing.B, url string) *world {
	b.Helper()
	w := &world{b: b}
	var err error
	if w.hub, err = fakehub.Start(fakehub.Config{Limits: fakehub.Unlimited, Unchecked: true}); err != nil {
		b.Fatal(err)
	}
	w.app = w.hub.App(fakehub.AppConfig{Events: []string{"push"}})
	env := service.Environment(
		"CLIPPER_WEBHOOK_SECRETS="+w.app.WebhookSecret, "CLIPPER_WEBHOOK_DATABASE="+url, "CLIPPER_GITHUB_APP_ID="+fmt.Sprint(w.app.ID),
		"CLIPPER_GITHUB_PRIVATE_KEY="+w.app.PrivateKey, "CLIPPER_GITHUB_API_URL="+w.hub.APIURL, "AWS_EC2_METADATA_DISABLED=true",
	)
	log := filepath.Join(b.TempDir(), "log")
	w.began = time.Now()
	if w.Server, err = program.Start(env, log); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := w.Stop(); err != nil {
			text, _ := os.ReadFile(log) // more than nothing
			b.Errorf("the service ended with %v: %.4000s", err, text)
		}
		if err := w.hub.Close(); err != nil {
			b.Error(err)
		}
	})
	return w
}

// queue is what the service says of what waits.
type queue struct {
	Ready bool
	Queue struct{ Undecided int }
	Apps  []struct{ Reconciled *time.Time }
}

// ready asks the service whether it is, and what waits.
func (w *world) ready() queue {
	w.b.Helper()
	answer, err := http.Get("http://" + w.Admin + "/readyz")
	if err != nil {
		w.b.Fatal(err)
	}
	defer answer.Body.Close()
	var q queue
	if err := json.NewDecoder(answer.Body).Decode(&q); err != nil {
		w.b.Fatal(err)
	}
	return q
}

// busy is how long the service has kept processors busy, by proc(5)'s stat.
func (w *world) busy() time.Duration {
	w.b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.PID))
	if err != nil {
		w.b.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(text), ") ")
	var user, system time.Duration
	if columns := strings.Fields(fields); len(columns) < 13 {
		w.b.Fatalf("/proc has %q", text)
	} else if _, err := fmt.Sscan(columns[11]+" "+columns[12], &user, &system); err != nil {
		w.b.Fatal(err)
	}
	const ticksPerSecond = 100 // USER_HZ, of every architecture that Go knows
	return (user + system) * time.Second / ticksPerSecond
}

// until waits until something is so.
func (w *world) until(what string, is func() bool) {
	w.b.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.b.Fatalf("not so after five minutes: %s", what)
		}
	}
}
