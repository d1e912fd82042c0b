package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

const (
	host     = "reg.test"
	partSize = 4 << 10
	small    = 10_000
	large    = 16*partSize + 123
)

// inBubble runs test with a client of a registry that has one blob.
func inBubble(t *testing.T, size int, test func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		repo := newRepository()
		desc := repo.addBlob(noise(size))
		net.serve(t, host, repo)
		client := registry.New(registry.Options{
			Insecure: []string{host, "cdn.test", "mirror.test"}, DialContext: net.dial, PartSize: partSize, Memory: 4 * partSize,
		})
		t.Cleanup(client.Close)
		test(t, client, repo, net, desc)
	})
}

type fault func(n int, w http.ResponseWriter, r *http.Request, serve func())

// halfway answers what was asked for, but only its first half.
func halfway(w http.ResponseWriter, r *http.Request, raw []byte) {
	from, to := 0, len(raw)
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil {
		to++
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(raw)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(to-from))
	if from > 0 || to < len(raw) {
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(raw[from : from+(to-from)/2])
	w.(http.Flusher).Flush()
}

func TestBlobSurvives(t *testing.T) {
	raw := map[int][]byte{small: noise(small), large: noise(large)}
	for name, fault := range map[string]func(size int) fault{
		"nothing": func(int) fault { return nil },
		"cut": func(size int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n%2 == 0 {
					halfway(w, r, raw[size])
					panic(http.ErrAbortHandler)
				}
				serve()
			}
		},
		"stall": func(size int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n == 0 || n == 2 {
					halfway(w, r, raw[size])
					<-r.Context().Done()
					return
				}
				serve()
			}
		},
		"silence before the answer": func(int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n == 0 {
					<-r.Context().Done()
					return
				}
				serve()
			}
		},
		"500": func(int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n < 3 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				serve()
			}
		},
		"reset": func(int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n%3 == 0 {
					panic(http.ErrAbortHandler)
				}
				serve()
			}
		},
		"200 to a range": func(int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				r.Header.Del("Range")
				serve()
			}
		},
		"cut and 200 to a range": func(size int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				r.Header.Del("Range")
				if n == 0 {
					halfway(w, r, raw[size])
					panic(http.ErrAbortHandler)
				}
				serve()
			}
		},
		"ranges given up on the way": func(int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n > 2 {
					r.Header.Del("Range")
				}
				serve()
			}
		},
		"501 to a range": func(int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if r.Header.Get("Range") != "" {
					w.WriteHeader(http.StatusNotImplemented)
					return
				}
				serve()
			}
		},
		"another range than asked": func(size int) fault {
			return func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if r.Header.Get("Range") != "" {
					r.Header.Set("Range", "bytes=1-5")
				}
				serve()
			}
		},
	} {
		for _, size := range []int{small, large} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				inBubble(t, size, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
					repo.blob = fault(size)
					got, err := fetch(client, reference(t, host+"/acme/app"), desc)
					if err != nil || !bytes.Equal(got, raw[size]) {
						t.Fatalf("got %d bytes of %d, %v; asked:\n%s", len(got), size, err, strings.Join(repo.log, "\n"))
					}
				})
			})
		}
	}
}

func TestBlobFails(t *testing.T) {
	answer := func(code int) func([]byte) fault {
		return func([]byte) fault {
			return func(_ int, w http.ResponseWriter, r *http.Request, _ func()) { w.WriteHeader(code) }
		}
	}
	instead := func(change func(raw []byte) []byte) func([]byte) fault {
		return func(raw []byte) fault {
			changed := change(bytes.Clone(raw))
			return func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(changed))
			}
		}
	}
	for name, test := range map[string]struct {
		fault func(raw []byte) fault
		want  error
		once  bool // one request is enough to know
	}{
		"401":        {answer(401), registry.ErrDenied, true},
		"403":        {answer(403), registry.ErrDenied, true},
		"404":        {answer(404), registry.ErrNotFound, true},
		"405":        {answer(405), registry.ErrUnsupported, true},
		"always 503": {answer(503), registry.ErrUnreachable, false},
		"always 429": {answer(429), registry.ErrUnreachable, false},
		"last byte wrong": {instead(func(raw []byte) []byte {
			raw[len(raw)-1] ^= 1
			return raw
		}), registry.ErrMismatch, false},
		"first byte wrong": {instead(func(raw []byte) []byte {
			raw[0] ^= 1
			return raw
		}), registry.ErrMismatch, false},
		"too short": {instead(func(raw []byte) []byte { return raw[:len(raw)-1] }), registry.ErrMismatch, true},
		"too long":  {instead(func(raw []byte) []byte { return append(raw, 0) }), registry.ErrMismatch, true},
		"too short, of unknown length": {func(raw []byte) fault {
			return func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				w.Write(raw[:len(raw)/2])
				w.(http.Flusher).Flush()
			}
		}, registry.ErrMismatch, false},
		"cut again and again": {func([]byte) fault {
			return func(_ int, w http.ResponseWriter, r *http.Request, _ func()) { panic(http.ErrAbortHandler) }
		}, registry.ErrUnreachable, false},
	} {
		for _, size := range []int{small, large} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				inBubble(t, size, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
					repo.blob = test.fault(noise(size))
					got, err := fetch(client, reference(t, host+"/acme/app"), desc)
					if !errors.Is(err, test.want) {
						t.Fatalf("got %v, want %v", err, test.want)
					}
					if !strings.Contains(err.Error(), host+"/acme/app") {
						t.Errorf("the error does not name the repository: %v", err)
					}
					if len(got) >= size {
						t.Errorf("all %d bytes of a wrong blob were given out", len(got))
					}
					if test.once && repo.asks != 1 {
						t.Errorf("%d requests for what one settles", repo.asks)
					}
					if repo.asks > 40 {
						t.Errorf("%d requests", repo.asks)
					}
				})
			})
		}
	}
}

func TestBlobOfNoBytes(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		if got, err := fetch(client, ref, desc); err != nil || len(got) != 0 {
			t.Fatalf("got %q, %v", got, err)
		}
		desc.Digest.Hex = strings.Repeat("0", 64)
		if _, err := fetch(client, ref, desc); !errors.Is(err, registry.ErrMismatch) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestBlobWithBadDescriptor(t *testing.T) {
	client := registry.New(registry.Options{})
	ref := reference(t, host+"/acme/app")
	for _, desc := range []oci.Descriptor{{}, {Size: -1, Digest: oci.Digest{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}}} {
		if _, err := client.Blob(context.Background(), ref, desc); !errors.Is(err, registry.ErrUnsupported) {
			t.Errorf("%v: got %v", desc, err)
		}
	}
}

func TestRetryAfterIsObeyedUpToAMinute(t *testing.T) {
	for asked, want := range map[string]time.Duration{"7": 7 * time.Second, "86400": time.Minute} {
		inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
			repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
				if n == 0 {
					w.Header().Set("Retry-After", asked)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				serve()
			}
			began := time.Now() // the bubble's clock
			if _, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited < want || waited > want+time.Second {
				t.Errorf("Retry-After: %s: waited %s, want %s", asked, waited, want)
			}
		})
	}
}

func TestNetworkComesBack(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, _ *repository, net *network, desc oci.Descriptor) {
		net.down = 4 // each try dials twice: HTTPS and HTTP
		if _, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHostIsUnknown(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
		_, err := fetch(client, reference(t, "nowhere.test/acme/app"), desc)
		if !errors.Is(err, registry.ErrUnreachable) || !strings.Contains(err.Error(), "nowhere.test/acme/app") || !strings.Contains(err.Error(), "no such host") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestPartsAreFetchedOnce(t *testing.T) {
	inBubble(t, large, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		if _, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil {
			t.Fatal(err)
		}
		if got := client.Stats().Bytes; got < large || got > large+100 { // the pings' bodies are the rest
			t.Errorf("%d bytes over the wire for a blob of %d", got, large)
		}
		seen := map[string]bool{}
		for _, line := range repo.log {
			if seen[line] && strings.Contains(line, "blobs") {
				t.Errorf("asked twice: %s", line)
			}
			seen[line] = true
		}
		if repo.asks < 5 {
			t.Errorf("%d requests are no parts", repo.asks)
		}
	})
}

func TestNoSecondRequestWithoutRanges(t *testing.T) {
	inBubble(t, large, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, serve func()) {
			r.Header.Del("Range")
			serve()
		}
		if _, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil || repo.asks != 1 {
			t.Fatalf("%d requests, %v", repo.asks, err)
		}
	})
}

// idleReader opens a large blob, reads its first 10 bytes and stands still. All
// of the client's memory is taken then.
func idleReader(t *testing.T, client *registry.Client, ref oci.Reference, desc oci.Descriptor) *registry.Blob {
	t.Helper()
	blob, err := client.Blob(t.Context(), ref, desc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, blob, 10); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return blob
}

// Several large blobs share the memory for parts; a reader that stands still
// must not hold up another one.
func TestReadersDoNotHoldEachOtherUp(t *testing.T) {
	inBubble(t, large, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		idle := idleReader(t, client, ref, desc)
		defer idle.Close()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if got, err := fetch(client, ref, desc); err != nil || !bytes.Equal(got, noise(large)) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		if rest, err := io.ReadAll(idle); err != nil || len(rest) != large-10 {
			t.Errorf("the idle reader got %d bytes, %v", len(rest), err)
		}
	})
}

func TestCloseGivesMemoryBack(t *testing.T) {
	inBubble(t, large, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		for range 5 {
			blob, err := client.Blob(t.Context(), ref, desc)
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, blob, partSize+1)
			blob.Close()
			if _, err := blob.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Fatalf("a read after Close gives %v", err)
			}
		}
		synctest.Wait() // the server has seen what was broken off
		repo.mu.Lock()
		repo.asks, repo.log = 0, nil
		repo.mu.Unlock()
		if _, err := fetch(client, ref, desc); err != nil {
			t.Fatal(err)
		}
		if repo.asks != 17 { // every part by itself: the memory is all there
			t.Errorf("%d requests, want one for each of 17 parts:\n%s", repo.asks, strings.Join(repo.log, "\n"))
		}
	})
}

// drip answers a range so slowly that it would take an hour and more.
func drip(w http.ResponseWriter, r *http.Request, raw []byte) {
	var from, to int
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(raw)))
	w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
	w.WriteHeader(http.StatusPartialContent)
	for _, b := range raw[from : to+1] {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		time.Sleep(time.Second)
	}
}

func TestSlowPartGoesOnElsewhere(t *testing.T) {
	inBubble(t, large, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n != 6 {
				time.Sleep(100 * time.Millisecond)
				serve()
				return
			}
			drip(w, r, noise(large))
		}
		began := time.Now() // the bubble's clock
		got, err := fetch(client, reference(t, host+"/acme/app"), desc)
		if err != nil || !bytes.Equal(got, noise(large)) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %s", took)
		}
		if client.Stats().Bytes > large+100 {
			t.Errorf("%d bytes over the wire: the part began anew", client.Stats().Bytes)
		}
	})
}

func TestContextEndsReading(t *testing.T) {
	for _, size := range []int{small, large} {
		inBubble(t, size, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
			repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				halfway(w, r, noise(size))
				<-r.Context().Done()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			blob, err := client.Blob(ctx, reference(t, host+"/acme/app"), desc)
			if err != nil {
				t.Fatal(err)
			}
			defer blob.Close()
			if _, err := io.ReadAll(blob); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestProgressHearsEachByteOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		repo := newRepository()
		desc := repo.addBlob(noise(large))
		repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n%2 == 0 {
				halfway(w, r, noise(large))
				panic(http.ErrAbortHandler)
			}
			serve()
		}
		net.serve(t, host, repo)
		var heard atomic.Int64
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial, PartSize: partSize, Progress: func(n int64) { heard.Add(n) }})
		defer client.Close()
		if _, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil || heard.Load() != large {
			t.Fatalf("heard of %d bytes of %d, %v", heard.Load(), large, err)
		}
	})
}
