package accept

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	cluster "github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook/database"
)

// posted is a request that Octokit has made, and how it was answered.
type posted struct {
	GUID, Event string
	Status      int
	Body        []byte
}

// octokit has Octokit sign the published examples of all events and post each
// to an address twice.
func octokit(t *testing.T, address, secret string) (all []posted) {
	t.Helper()
	out := fakehub.Octokit(t, "sign.mjs", "ADDRESS="+address, "SECRET="+secret)
	for lines := json.NewDecoder(out); ; {
		var p posted
		if err := lines.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestOctokit takes all examples that GitHub publishes, signed by Octokit, each
// twice: both databases have each once, as it was sent.
func TestOctokit(t *testing.T) {
	server, err := cluster.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, url := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "clipper.db"), "PostgreSQL": server.Database(t)} {
		t.Run(name, func(t *testing.T) {
			quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
			db, err := database.Open(t.Context(), url, database.Options{Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			h, err := New(Config{Apps: apps, Inbox: db, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewServer(h)
			defer s.Close()
			stored(t, db, octokit(t, s.URL, "other"))
		})
	}
}

// stored: the database has what was posted first, and what was posted again was
// there.
func stored(t *testing.T, db *database.DB, all []posted) {
	t.Helper()
	if len(all) != 2*329 {
		t.Fatalf("Octokit has made %d requests", len(all))
	}
	for i, p := range all {
		if want := []int{http.StatusAccepted, http.StatusOK}[i/329]; p.Status != want {
			t.Errorf("request %d, %s: %d, want %d", i, p.Event, p.Status, want)
		}
	}
	sent := map[string]posted{}
	for _, p := range all {
		sent[p.GUID] = p
	}
	n := 0
	for listed, err := range db.Deliveries(t.Context(), database.DeliveryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		d, err := db.Delivery(t.Context(), 2, listed.GUID)
		if err != nil {
			t.Fatal(err)
		}
		if p := sent[d.GUID]; d.Event != p.Event || !bytes.Equal(d.Body, p.Body) {
			t.Errorf("%s, a %s, is stored as a %s of %d bytes, and was sent with %d", d.GUID, p.Event, d.Event, len(d.Body), len(p.Body))
		}
		n++
	}
	if n != 329 || len(sent) != n {
		t.Errorf("%d are stored, of %d", n, len(sent))
	}
}
