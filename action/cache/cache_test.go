package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/store"
	"github.com/clipperregistry/runner/test/cloud"
)

const blobHost = "productionresultssa0.blob.core.windows.net"

// machine is one on which a job runs: its store, and its cache of an image.
type machine struct {
	*Cache
	t   *testing.T
	dir *store.Dir
}

// newMachine is a fresh one. scopes are those of its job.
func newMachine(t *testing.T, c *cloud.Cloud, image string, scopes ...cloud.Scope) *machine {
	t.Helper()
	ref, err := oci.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	platform, err := oci.ParsePlatform("linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if scopes == nil {
		scopes = cloud.PushScopes
	}
	env := c.CacheEnv("", scopes...)
	s := &Service{URL: env["ACTIONS_RESULTS_URL"], Token: env["ACTIONS_RUNTIME_TOKEN"], HTTP: &http.Client{Transport: c}}
	tier, err := New(s, dir, ref, platform)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{tier, t, dir}
}

// next is another job, or step, on the same machine.
func (m *machine) next(image string) *machine {
	m.t.Helper()
	ref, err := oci.ParseReference(image)
	if err != nil {
		m.t.Fatal(err)
	}
	tier, err := New(m.service, m.dir, ref, oci.Platform{OS: "linux", Architecture: "amd64"})
	if err != nil {
		m.t.Fatal(err)
	}
	return &machine{tier, m.t, m.dir}
}

func (m *machine) restore() Restored {
	m.t.Helper()
	r, err := m.Restore(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

func (m *machine) save() Saved {
	m.t.Helper()
	s, err := m.Save(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// layer is what a run leaves in a store: a pack with chunks of a size, and a
// blob. Its content hangs on its name alone.
type layer struct {
	name string
	size int
}

func (l layer) chunk() []byte {
	b := make([]byte, l.size)
	sum := sha256.Sum256([]byte(l.name))
	rand.NewChaCha8(sum).Read(b)
	return b
}

// run does what a run does for the layers: it uses what is in the store, and
// puts into it what is not. It says how many were there.
func (m *machine) run(layers ...layer) (there int) {
	m.t.Helper()
	s, err := m.dir.Snapshot()
	if err != nil {
		m.t.Fatal(err)
	}
	defer s.Close()
	for _, l := range layers {
		content := l.chunk()
		id := store.ID(sha256.Sum256(content))
		stored, err := s.ReadChunk(id, nil)
		table, blobErr := m.dir.Blob("toc-sha256-" + l.name)
		if err == nil && blobErr == nil {
			if !bytes.Equal(stored, content) || string(table) != "table of "+l.name {
				m.t.Fatalf("layer %s is another one", l.name)
			}
			there++
			continue
		}
		pack, err := m.dir.NewPack()
		if err == nil {
			err = pack.Put(id, content, len(content))
		}
		if err == nil {
			err = pack.Commit()
		}
		if err == nil {
			err = m.dir.PutBlob("toc-sha256-"+l.name, []byte("table of "+l.name))
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	return there
}

var (
	base    = layer{"base", 10 << 20} // several parts
	app     = layer{"app", 1 << 20}
	another = layer{"another", 2 << 20}
	little  = layer{"little", 100}
)

func TestSecondRun(t *testing.T) {
	c := cloud.New()
	first := newMachine(t, c, "ghcr.io/acme/app:1")
	if r := first.restore(); r != (Restored{}) {
		t.Errorf("an empty cache gives %+v", r)
	}
	first.run(base, app)
	saved := first.save()
	if saved.Files != 4 || saved.Bytes < 11<<20 || len(c.CacheKeys()) != 1 || len(c.CacheContent(saved.Key)) != int(saved.Bytes) {
		t.Errorf("saved %+v of %q", saved, c.CacheKeys())
	}

	second := newMachine(t, c, "ghcr.io/acme/app:1")
	if r := second.restore(); r.Entries != 1 || r.Files != 4 || r.Bytes < saved.Bytes || r.Bytes > saved.Bytes+2*headBytes {
		t.Errorf("restored %+v", r)
	}
	if there := second.run(base, app); there != 2 {
		t.Errorf("%d of 2 layers are there", there)
	}
	if s := second.save(); s != (Saved{}) {
		t.Errorf("saved %+v again", s)
	}

	// The machine itself has it all: no more than the index is read.
	again := first.next("ghcr.io/acme/app:1")
	if r := again.restore(); r.Files != 0 || r.Bytes > headBytes {
		t.Errorf("restored %+v", r)
	}
	if s := again.save(); s != (Saved{}) {
		t.Errorf("saved %+v again", s)
	}
}

// TestTwoImages uses two images in one job: the entry of each is its own.
func TestTwoImages(t *testing.T) {
	c := cloud.New()
	one := newMachine(t, c, "app:1")
	one.run(base, app)
	one.save()
	two := one.next("tool:1")
	two.run(base, another)
	if s := two.save(); s.Files != 2 || s.Bytes > 3<<20 {
		t.Errorf("saved %+v", s)
	}
	// What they have in common comes with the next job.
	alone := newMachine(t, c, "tool:1")
	alone.restore()
	if there := alone.run(base, another); there != 1 {
		t.Errorf("%d of 1 layers are there", there)
	}
	if s := alone.save(); s.Files != 2 {
		t.Errorf("saved %+v", s)
	}
	last := newMachine(t, c, "tool:1")
	last.restore()
	if there := last.run(base, another); there != 2 {
		t.Errorf("%d of 2 layers are there", there)
	}
}

func TestUpdate(t *testing.T) {
	c := cloud.New()
	first := newMachine(t, c, "ghcr.io/acme/app:1")
	first.run(base, app)
	first.save()

	// Another tag begins from the first one's.
	second := newMachine(t, c, "ghcr.io/acme/app:2")
	second.restore()
	if there := second.run(base, another); there != 1 {
		t.Errorf("%d of 1 layers are there", there)
	}
	saved := second.save()
	if saved.Files != 2 || saved.Bytes > 3<<20 {
		t.Errorf("saved %+v: more than what is new", saved)
	}

	third := newMachine(t, c, "ghcr.io/acme/app:2")
	if r := third.restore(); r.Entries != 2 || r.Files != 6 {
		t.Errorf("restored %+v", r)
	}
	if there := third.run(base, another, little); there != 2 {
		t.Errorf("%d of 2 layers are there", there)
	}
	if s := third.save(); s != (Saved{}) {
		t.Errorf("a little is saved: %+v", s)
	}

	// Without its base, an entry is still good for what is in it.
	c.Evict(c.CacheKeys()[0])
	fourth := newMachine(t, c, "ghcr.io/acme/app:2")
	if r := fourth.restore(); r.Entries != 1 || r.Files != 2 {
		t.Errorf("restored %+v", r)
	}
	if there := fourth.run(base, another); there != 1 {
		t.Errorf("%d of 1 layers are there", there)
	}
	if s := fourth.save(); s.Files != 2 {
		t.Errorf("saved %+v", s)
	}

	// Nobody else's image is served.
	for _, image := range []string{"ghcr.io/acme/app2:1", "ghcr.io/acme/ap:1"} {
		if r := newMachine(t, c, image).restore(); r.Entries != 0 {
			t.Errorf("%s gets %+v", image, r)
		}
	}
}

// TestConsolidation follows an image through many updates: there is one entry
// for each, and none that builds on more than a few others.
func TestConsolidation(t *testing.T) {
	c := cloud.New()
	for n := range 12 {
		m := newMachine(t, c, fmt.Sprintf("ghcr.io/acme/app:%d", n))
		r := m.restore()
		if r.Entries > maxBases+1 {
			t.Errorf("run %d looks at %d entries", n, r.Entries)
		}
		m.run(layer{"base", 1 << 20}, layer{fmt.Sprintf("app%d", n), 300 << 10})
		if m.save() == (Saved{}) || len(c.CacheKeys()) != n+1 {
			t.Errorf("run %d: %d entries", n, len(c.CacheKeys()))
		}
	}
	newest := newMachine(t, c, "ghcr.io/acme/app:11")
	newest.restore()
	if there := newest.run(layer{"base", 1 << 20}, layer{"app11", 300 << 10}); there != 2 {
		t.Errorf("%d of 2 layers are there", there)
	}
	if items, err := newest.dir.List(); err != nil || len(items) > 2*(maxBases+2) {
		t.Errorf("%d files, %v", len(items), err)
	}
}

// TestUselessBase saves anew where most of what was restored is of no use.
func TestUselessBase(t *testing.T) {
	c := cloud.New()
	first := newMachine(t, c, "app:1")
	first.run(base, app)
	first.save()
	second := newMachine(t, c, "app:1")
	second.restore()
	second.run(app, another)
	if saved := second.save(); saved.Files != 4 || saved.Bytes > 4<<20 {
		t.Errorf("saved %+v", saved)
	}
	third := newMachine(t, c, "app:1")
	if r := third.restore(); r.Entries != 1 || third.run(app, another) != 2 {
		t.Errorf("restored %+v", r)
	}
}

// TestMatrix is many jobs of one matrix, which end at the same time.
func TestMatrix(t *testing.T) {
	c := cloud.New()
	var jobs []*machine
	for range 5 {
		m := newMachine(t, c, "app:1")
		m.restore()
		m.run(app)
		jobs = append(jobs, m)
	}
	saved := 0
	for _, m := range jobs {
		if m.save() != (Saved{}) {
			saved++
		}
	}
	if saved != 1 || len(c.CacheKeys()) != 1 {
		t.Errorf("%d jobs have saved, there are %q", saved, c.CacheKeys())
	}
}

func TestRights(t *testing.T) {
	c := cloud.New()
	fork := newMachine(t, c, "app:1", cloud.Scope{Scope: "refs/heads/main", Permission: cloud.CacheRead})
	fork.run(app)
	if s := fork.save(); s != (Saved{}) || len(c.Calls()) != 0 {
		t.Errorf("a fork saves %+v, asks %q", s, c.Calls())
	}
	for mode, want := range map[Mode]struct{ reads, writes bool }{
		"": {true, true}, "write": {true, true}, "read": {true, false}, "write-only": {false, true}, "none": {false, false},
	} {
		first := newMachine(t, c, "app:1")
		first.service.Mode = mode
		calls := len(c.Calls())
		first.restore()
		if read := len(c.Calls()) > calls; read != want.reads {
			t.Errorf("mode %q reads: %v", mode, read)
		}
		first.run(layer{"of-" + string(mode), 1 << 20})
		if wrote := first.save() != (Saved{}); wrote != want.writes {
			t.Errorf("mode %q writes: %v", mode, wrote)
		}
	}
}

// TestFaults has the services fail in every way while a job runs.
func TestFaults(t *testing.T) {
	const results = "results-receiver.actions.githubusercontent.com"
	faults := func(n int, f cloud.Fault) []cloud.Fault { return slices.Repeat([]cloud.Fault{f}, n) }
	for _, tt := range []struct {
		name   string
		host   string
		faults []cloud.Fault
		fails  string // "" where it is overcome
	}{
		{"a broken connection", results, faults(2, cloud.Fault{}), ""},
		{"503", results, faults(3, cloud.Fault{Status: 503, Body: "<html>"}), ""},
		{"503 for ever", results, faults(99, cloud.Fault{Status: 503}), "status 503"},
		{"429", results, faults(1, cloud.Fault{Status: 429, RetryAfter: "5"}), ""},
		{"429 for a minute", results, faults(1, cloud.Fault{Status: 429, RetryAfter: "60"}), "status 429 (GitHub lets a repository save 200 entries in a minute)"},
		{"401", results, faults(1, cloud.Fault{Status: 401, Body: `{"code":"unauthenticated","msg":"no"}`}), "status 401: no"},
		{"a redirect", results, faults(1, cloud.Fault{Status: 307, Location: "https://evil.example/"}), "status 307"},
		{"no JSON", results, faults(1, cloud.Fault{Status: 200, Body: "<html>"}), ""},
		{"an expired URL", blobHost, faults(1, cloud.Fault{Status: 403}), ""},
		{"an unauthorized URL", blobHost, faults(1, cloud.Fault{Status: 401}), ""},
		{"a forbidden blob", blobHost, faults(99, cloud.Fault{Status: 403}), "status 403"},
		{"a blob service that is busy", blobHost, faults(2, cloud.Fault{Status: 503}), ""},
		{"a blob service that is down", blobHost, faults(999, cloud.Fault{Status: 503}), "status 503"},
		{"broken connections to blobs", blobHost, faults(2, cloud.Fault{}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cloud.New()
				first := newMachine(t, c, "app:1")
				first.run(app, another)
				first.save()

				second := newMachine(t, c, "app:1")
				c.Fail(tt.host, tt.faults...)
				_, err := second.Restore(t.Context())
				if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
					t.Errorf("restore: %v, want %s", err, tt.fails)
				}
				wantQuiet(t, second.service, err)
				if there := second.run(app, another); tt.fails == "" && there != 2 {
					t.Errorf("%d of 2 layers are there", there)
				}

				c = cloud.New()
				third := newMachine(t, c, "app:1")
				third.run(app, another)
				if tt.host == results { // a URL of an upload is not asked for again
					c.Fail(tt.host, tt.faults...)
					_, err = third.Save(t.Context())
					if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
						t.Errorf("save: %v, want %s", err, tt.fails)
					}
					wantQuiet(t, third.service, err)
				}
			})
		})
	}
}

// wantQuiet fails for an error with a secret in it.
func wantQuiet(t *testing.T, s *Service, err error) {
	t.Helper()
	if err != nil && (strings.Contains(err.Error(), s.Token) || strings.Contains(err.Error(), "sig=") || strings.Contains(err.Error(), "\n")) {
		t.Errorf("an error tells too much: %v", err)
	}
}

func TestExpiredURLs(t *testing.T) {
	c := cloud.New()
	first := newMachine(t, c, "app:1")
	first.run(base, app)
	key := first.save().Key
	b, err := first.service.find(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	ix, files, err := readIndex(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	c.ExpireURLs()
	second := newMachine(t, c, "app:1")
	if n, err := second.fetch(t.Context(), []*batch{{b, files}}); n != len(ix.Files) || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
	c.ExpireURLs()
	c.Evict(key)
	third := newMachine(t, c, "app:1")
	if _, err := third.fetch(t.Context(), []*batch{{b, files}}); err == nil || !strings.Contains(err.Error(), "evicted") {
		t.Errorf("an entry that is gone: %v", err)
	}
}

// TestWrongBytes serves entries that were tampered with, or damaged.
func TestWrongBytes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(content []byte, files []placed)
		fails  bool
		there  int
	}{
		{"a chunk", func(b []byte, f []placed) { b[f[2].offset+5000] ^= 1 }, false, 1},
		{"a pack's index", func(b []byte, f []placed) { b[f[2].offset+f[2].Size-60] ^= 1 }, true, -1},
		{"a table", func(b []byte, f []placed) { b[f[0].offset+f[0].Size-1] ^= 1 }, false, 1},
		{"the index", func(b []byte, f []placed) { b[headerSize+20] ^= 1 }, true, 0},
		{"the header", func(b []byte, f []placed) { b[0] ^= 1 }, true, 0},
		{"all", func(b []byte, f []placed) { clear(b) }, true, 0},
	} {
		c := cloud.New()
		first := newMachine(t, c, "app:1")
		first.run(app, another)
		key := first.save().Key
		b, err := first.service.find(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		_, files, err := readIndex(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		tt.change(c.CacheContent(key), files)
		second := newMachine(t, c, "app:1")
		if _, err := second.Restore(t.Context()); (err != nil) != tt.fails {
			t.Errorf("%s: %v", tt.name, err)
		}
		if there := second.run(app, another); tt.there >= 0 && there != tt.there {
			t.Errorf("%s: %d layers are there", tt.name, there)
		}
		if there := second.run(app, another); there != 2 {
			t.Errorf("%s: %d layers are there once they were fetched", tt.name, there)
		}
	}
}

// TestStrangeEntry is one that somebody else has put under the image's keys.
func TestStrangeEntry(t *testing.T) {
	for _, ix := range []index{
		{Bases: []string{"secrets-of-another-workflow"}},
		{Bases: slices.Repeat([]string{"x"}, maxBases+1)},
		{Files: []file{{name{store.Blobs, "../../version"}, 3}}},
		{Files: []file{{name{store.Unfinished, "a"}, 3}}},
	} {
		c := cloud.New()
		m := newMachine(t, c, "app:1")
		head, err := ix.encode()
		if err != nil {
			t.Fatal(err)
		}
		content := append(head, make([]byte, ix.size())...)
		if _, err := m.service.create(t.Context(), m.own+"x", &archive{Reader: bytes.NewReader(content), size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Restore(t.Context()); err == nil {
			t.Errorf("%+v is restored", ix)
		}
		if items, err := m.dir.List(); err != nil || len(items) > 0 {
			t.Errorf("%+v leaves %v, %v", ix, items, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	c := cloud.New()
	first := newMachine(t, c, "app:1")
	first.run(base)
	first.save()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	second := newMachine(t, c, "app:1")
	if _, err := second.Restore(ctx); err == nil {
		t.Error("restored")
	}
	third := newMachine(t, c, "app:1")
	third.run(app)
	if _, err := third.Save(ctx); err == nil || len(c.CacheKeys()) != 1 {
		t.Errorf("saved: %v", err)
	}
}

// TestNotSavedBlindly does not add to what could not be looked at.
func TestNotSavedBlindly(t *testing.T) {
	c := cloud.New()
	m := newMachine(t, c, "app:1")
	c.Fail("results-receiver.actions.githubusercontent.com", cloud.Fault{Status: 401})
	if _, err := m.Restore(t.Context()); err == nil {
		t.Error("restored")
	}
	m.run(app)
	if s := m.save(); s != (Saved{}) {
		t.Errorf("saved %+v", s)
	}
}

func TestTooLarge(t *testing.T) {
	m := newMachine(t, cloud.New(), "app:1")
	dir := t.TempDir()
	var err error
	if m.dir, err = store.Open(dir, store.Options{}); err != nil {
		t.Fatal(err)
	}
	m.Cache.dir = m.dir
	name := dir + "/packs/" + strings.Repeat("0", 32) + ".pack"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, MaxEntry); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Save(t.Context()); err == nil || !strings.Contains(err.Error(), "too large for this cache") {
		t.Errorf("saved: %v", err)
	}
}

func TestMasked(t *testing.T) {
	c := cloud.New()
	m := newMachine(t, c, "app:1")
	var masked []string
	m.service.Mask = func(s string) { masked = append(masked, s) }
	m.run(app)
	m.save()
	m.Cache.dir, _ = store.Open(t.TempDir(), store.Options{})
	m.restore()
	if len(masked) != 4 || slices.Contains(masked, "") {
		t.Errorf("masked %q", masked)
	}
}

func TestOldFiles(t *testing.T) {
	m := newMachine(t, cloud.New(), "app:1")
	m.run(app)
	m.begun = m.begun.Add(2 * time.Hour)
	if s := m.save(); s != (Saved{}) {
		t.Errorf("what another run has used is saved: %+v", s)
	}
}
