package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// checkWhole reads the blob in place of its pieces.
func checkWhole(t *testing.T, ranges *registry.Ranges) {
	t.Helper()
	blob, err := ranges.Whole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, noise(wide)) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
}

// withoutRanges answers every request with the whole blob.
func withoutRanges(_ int, _ http.ResponseWriter, r *http.Request, serve func()) {
	r.Header.Del("Range")
	serve()
}

// refuseRanges answers requests for ranges with the status.
func refuseRanges(code int) fault {
	return func(_ int, w http.ResponseWriter, r *http.Request, serve func()) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(code)
			return
		}
		serve()
	}
}

func TestWholeInPlaceOfRanges(t *testing.T) {
	for name, test := range map[string]struct {
		fault    fault
		requests int  // for blobs
		read     bool // the first span comes
	}{
		"200":                    {withoutRanges, 1, false},
		"400":                    {refuseRanges(400), 2, false},
		"416":                    {refuseRanges(416), 2, false},
		"501":                    {refuseRanges(501), 2, false},
		"another range":          {func(_ int, _ http.ResponseWriter, r *http.Request, serve func()) { otherRange(r); serve() }, 2, false},
		"200 from the second on": {func(n int, w http.ResponseWriter, r *http.Request, serve func()) { fromSecond(n, r); serve() }, 2, true},
		"416 from the second on": {func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n == 0 {
				serve()
				return
			}
			refuseRanges(416)(n, w, r, serve)
		}, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
				repo.blob = test.fault
				ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
				defer ranges.Close()
				if test.read {
					if _, err := ranges.Read(t.Context(), scattered[0]); err != nil {
						t.Fatal(err)
					}
				}
				spans := ranges.Spans(t.Context(), scattered[5:6])
				if !test.read {
					spans = ranges.Spans(t.Context(), scattered)
				}
				_, err := spans.Next()
				spans.Close()
				if !errors.Is(err, registry.ErrNoRanges) || !strings.Contains(err.Error(), host+"/acme/app") {
					t.Fatalf("got %v", err)
				}
				if _, err := ranges.Read(t.Context(), scattered[1]); !errors.Is(err, registry.ErrNoRanges) {
					t.Fatalf("the next: got %v", err)
				}
				time.Sleep(time.Hour) // the answer that was kept stays good
				checkWhole(t, ranges)
				if repo.asks != test.requests {
					t.Errorf("%d requests, want %d:\n%s", repo.asks, test.requests, strings.Join(repo.log, "\n"))
				}
				if got := client.Stats().Bytes; got < wide || got > wide+1000 { // errors' and pings' bodies, and the first span
					t.Errorf("%d bytes over the wire for a blob of %d", got, wide)
				}
			})
		})
	}
}

func otherRange(r *http.Request) {
	if r.Header.Get("Range") != "" {
		r.Header.Set("Range", "bytes=1-5")
	}
}

func fromSecond(n int, r *http.Request) {
	if n > 0 {
		r.Header.Del("Range")
	}
}

// Several parts are under way when ranges are given up: one answer is kept, and
// the rest is closed.
func TestRangesAreGivenUpOnTheWay(t *testing.T) {
	for name, read := range map[string]bool{"and the rest is wanted": true, "and nobody wants the rest": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
				var under atomic.Int32
				repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
					under.Add(1)
					defer under.Add(-1)
					fromSecond(n, r)
					serve()
				}
				ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
				spans := ranges.Spans(t.Context(), scattered[3:])
				if n, err := readSpans(t, spans, scattered[3:]); !errors.Is(err, registry.ErrNoRanges) {
					t.Fatalf("after %d spans: %v", n, err)
				}
				spans.Close()
				synctest.Wait()
				if under.Load() != 1 {
					t.Errorf("%d answers are open, want one", under.Load())
				}
				asks := repo.asks
				if read {
					blob, err := ranges.Whole(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					ranges.Close() // the Blob stays open
					if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, noise(wide)) {
						t.Errorf("got %d bytes, %v", len(got), err)
					}
					blob.Close()
				}
				ranges.Close()
				synctest.Wait()
				if under.Load() != 0 || repo.asks != asks {
					t.Errorf("%d answers are open, and %d more requests", under.Load(), repo.asks-asks)
				}
			})
		})
	}
}

// A Blob whose parts were answered with the whole is closed before it came to
// use that.
func TestCloseOfABlobClosesWhatItKept(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		var under atomic.Int32
		repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			under.Add(1)
			defer under.Add(-1)
			fromSecond(n, r)
			serve()
		}
		blob, err := client.Blob(t.Context(), reference(t, host+"/acme/app"), desc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, blob, 10); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if under.Load() != 1 {
			t.Fatalf("%d answers are open, want one", under.Load())
		}
		blob.Close()
		synctest.Wait()
		if under.Load() != 0 {
			t.Errorf("%d answers are open", under.Load())
		}
	})
}

// The answer that was kept is cut: the blob is still right.
func TestWholeSurvivesACut(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			r.Header.Del("Range")
			if n == 0 {
				halfway(w, r, noise(wide))
				panic(http.ErrAbortHandler)
			}
			serve()
		}
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		if _, err := ranges.Read(t.Context(), scattered[0]); !errors.Is(err, registry.ErrNoRanges) {
			t.Fatalf("got %v", err)
		}
		checkWhole(t, ranges)
		if repo.asks != 2 {
			t.Errorf("%d requests for blobs", repo.asks)
		}
	})
}

// The context of the range is not that of the blob which its answer becomes.
func TestContextOfWhole(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		repo.blob = withoutRanges
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		first, cancel := context.WithCancel(t.Context())
		if _, err := ranges.Read(first, scattered[0]); !errors.Is(err, registry.ErrNoRanges) {
			t.Fatalf("got %v", err)
		}
		cancel()
		synctest.Wait()
		second, cancel := context.WithCancel(t.Context())
		defer cancel()
		blob, err := ranges.Whole(second)
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		if _, err := io.CopyN(io.Discard, blob, wide/2); err != nil || repo.asks != 1 {
			t.Fatalf("after the first context's end: %v, %d requests", err, repo.asks)
		}
		cancel()
		synctest.Wait()
		if _, err := io.Copy(io.Discard, blob); !errors.Is(err, context.Canceled) {
			t.Fatalf("after the second context's end: %v", err)
		}
	})
}

func TestWholeIsVerified(t *testing.T) {
	inBubble(t, wide, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		wrong := noise(wide)
		wrong[wide/2] ^= 1
		repo.blobs[desc.Digest.String()] = wrong
		repo.blob = withoutRanges
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		if _, err := ranges.Read(t.Context(), scattered[0]); !errors.Is(err, registry.ErrNoRanges) {
			t.Fatalf("got %v", err)
		}
		blob, err := ranges.Whole(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		if got, err := io.ReadAll(blob); !errors.Is(err, registry.ErrMismatch) || len(got) >= wide {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	})
}

// withMirror runs test with a client that asks a mirror of the registry first.
func withMirror(t *testing.T, test func(t *testing.T, client *registry.Client, repo, mirror *repository, desc oci.Descriptor)) {
	t.Helper()
	inBubble(t, wide, func(t *testing.T, _ *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
		mirror := newRepository()
		mirror.blobs = repo.blobs
		net.serve(t, "mirror.test", mirror)
		mirrors, err := registry.ParseMirrors("mirror.test")
		if err != nil {
			t.Fatal(err)
		}
		client := registry.New(registry.Options{Insecure: []string{host, "mirror.test"}, DialContext: net.dial, Mirrors: mirrors, PartSize: partSize})
		t.Cleanup(client.Close)
		test(t, client, repo, mirror, desc)
	})
}

// The mirror honours ranges until it fails, and the registry does not.
func TestRangesOfAMirrorThatFails(t *testing.T) {
	withMirror(t, func(t *testing.T, client *registry.Client, repo, mirror *repository, desc oci.Descriptor) {
		mirror.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n > 0 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			serve()
		}
		repo.blob = withoutRanges
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		if _, err := ranges.Read(t.Context(), scattered[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := ranges.Read(t.Context(), scattered[5]); !errors.Is(err, registry.ErrNoRanges) {
			t.Fatalf("got %v", err)
		}
		checkWhole(t, ranges)
		if repo.asks != 1 {
			t.Errorf("%d requests for blobs", repo.asks)
		}
	})
}

// The mirror has no ranges and fails half-way: the registry, which has them, is
// asked for the rest alone.
func TestBlobOfAMirrorWithoutRangesThatFails(t *testing.T) {
	withMirror(t, func(t *testing.T, client *registry.Client, repo, mirror *repository, desc oci.Descriptor) {
		mirror.blob = func(n int, w http.ResponseWriter, r *http.Request, _ func()) {
			if n > 0 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			r.Header.Del("Range")
			halfway(w, r, noise(wide))
			panic(http.ErrAbortHandler)
		}
		got, err := fetch(client, reference(t, host+"/acme/app"), desc)
		if err != nil || !bytes.Equal(got, noise(wide)) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if wire := client.Stats().Bytes; wire > wide+100 {
			t.Errorf("%d bytes over the wire for a blob of %d", wire, wide)
		}
	})
}

// One part is refused by a mirror that was given up meanwhile for another
// part's sake.
func TestRangesOfAMirrorThatWasGivenUp(t *testing.T) {
	withMirror(t, func(t *testing.T, client *registry.Client, repo, mirror *repository, desc oci.Descriptor) {
		mirror.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			switch {
			case n == 0:
				serve()
			case n == 1:
				time.Sleep(time.Second / 2) // the others have asked meanwhile
				w.WriteHeader(http.StatusBadGateway)
			default:
				time.Sleep(time.Second)
				refuseRanges(416)(n, w, r, serve)
			}
		}
		ranges := client.Ranges(reference(t, host+"/acme/app"), desc)
		defer ranges.Close()
		spans := ranges.Spans(t.Context(), scattered[4:])
		defer spans.Close()
		if n, err := readSpans(t, spans, scattered[4:]); !errors.Is(err, registry.ErrNoRanges) {
			t.Fatalf("after %d spans: %v", n, err)
		}
		spans.Close()
		checkWhole(t, ranges)
	})
}
