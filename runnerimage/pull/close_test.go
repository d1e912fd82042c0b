package pull_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	. "github.com/clipperregistry/runner/test/tarball"
)

// way is a way to a layer, prepared up to the last run.
type way struct {
	name    string
	prepare func(t *testing.T, h *host, dir string) (blob, oci.Descriptor)
	// whole says that the blob is read as a whole: Drain verifies it.
	whole bool
}

var ways = []way{
	{"whole", func(t *testing.T, h *host, _ string) (blob, oci.Descriptor) { return pushed(t, h, gzip) }, true},
	{"held against a table", func(t *testing.T, h *host, _ string) (blob, oci.Descriptor) { return pushed(t, h, frames) }, true},
	{"replay", func(t *testing.T, h *host, dir string) (blob, oci.Descriptor) {
		b, desc := pushed(t, h, gzip)
		h.run(t, dir, desc, pull.Options{}).check(t, b)
		return b, desc
	}, false},
	{"replay of what is gone", func(t *testing.T, h *host, dir string) (blob, oci.Descriptor) {
		b, desc := pushed(t, h, gzip)
		h.run(t, dir, desc, pull.Options{}).check(t, b)
		os.Remove(files(t, dir, "packs/*.pack")[0])
		return b, desc
	}, true},
	{"patch", func(t *testing.T, h *host, dir string) (blob, oci.Descriptor) { return outdated(t, h, dir, frames) }, false},
	{"patch of podman's", func(t *testing.T, h *host, dir string) (blob, oci.Descriptor) { return outdated(t, h, dir, podman) }, false},
	{"resume", func(t *testing.T, h *host, dir string) (blob, oci.Descriptor) {
		b := gzip.build(t, Build(large()...))
		h.cutAt(t, dir, b, int64(len(b.bytes)*2/3))
		return b, h.push(t, b)
	}, true},
}

func pushed(t *testing.T, h *host, f format) (blob, oci.Descriptor) {
	t.Helper()
	b := f.build(t, Build(system(2)...))
	return b, h.push(t, b)
}

func outdated(t *testing.T, h *host, dir string, f format) (blob, oci.Descriptor) {
	t.Helper()
	old := f.build(t, Build(system(1)...))
	h.run(t, dir, h.push(t, old), pull.Options{Tables: true}).check(t, old)
	return pushed(t, h, f)
}

// onWay runs a test on each way, which gets an open layer of which some bytes
// were read. The host answers the last run by answer.
func onWay(t *testing.T, answer func(http.ResponseWriter, *http.Request, func()), test func(t *testing.T, entries pull.Entries, cancel context.CancelFunc)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			b, desc := w.prepare(t, h, dir)
			h.set(-1, answer)
			s, done := open(t, dir, stock.Options{})
			puller := pull.New(newClient(t), h.ref(t), pull.Options{Stock: s, Tables: true})
			puller.SetInterval(interval)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			entries, err := puller.Layer(ctx, desc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := entries.Next(); err != nil {
				t.Fatal(err)
			}
			if _, err := entries.Next(); err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(entries, make([]byte, 1000)); n != 1000 || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			test(t, entries, cancel)
			for range 2 {
				if err := entries.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			alone(t)
			done()
			// Whatever happened, the next run has all of it, and then the store.
			h.set(-1, nil)
			h.run(t, dir, desc, pull.Options{Tables: true}).check(t, b)
			h.run(t, dir, desc, pull.Options{Tables: true}).silent(t, b)
		})
	}
}

func TestCloseInTheMiddle(t *testing.T) {
	onWay(t, nil, func(*testing.T, pull.Entries, context.CancelFunc) {})
}

func TestDrain(t *testing.T) {
	onWay(t, nil, func(t *testing.T, entries pull.Entries, _ context.CancelFunc) {
		if err := entries.Drain(); err != nil {
			t.Errorf("Drain: %v", err)
		}
	})
}

// TestCancel: what waits for the network, or for nothing, ends.
func TestCancel(t *testing.T) {
	onWay(t, stalling, func(t *testing.T, entries pull.Entries, cancel context.CancelFunc) {
		cancel()
		if _, err := readOn(entries); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want Canceled", err)
		}
	})
}

// TestDrainFindsWrongBytes: where the blob is read as a whole, Drain tells
// whether its bytes are the right ones.
func TestDrainFindsWrongBytes(t *testing.T) {
	for _, w := range ways {
		if !w.whole || w.name == "resume" { // of which no byte before the place is asked for
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			_, desc := w.prepare(t, h, dir)
			s, done := open(t, dir, stock.Options{})
			defer done()
			h.set(-1, func(rw http.ResponseWriter, r *http.Request, serve func()) {
				if r.Header.Get("Range") != "" {
					serve()
					return
				}
				h.spoiled(desc.Size-10)(rw, r, serve)
			})
			entries, err := pull.New(newClient(t), h.ref(t), pull.Options{Stock: s, Tables: true}).Layer(context.Background(), desc)
			if err != nil {
				t.Fatal(err)
			}
			defer entries.Close()
			for range 2 {
				if _, err := entries.Next(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.ReadFull(entries, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := entries.Drain(); !errors.Is(err, registry.ErrMismatch) {
				t.Errorf("%v, want ErrMismatch", err)
			}
		})
	}
}
