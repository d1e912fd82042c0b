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

// atOnce is how many requests a host has at a time.
const atOnce = 24

// load counts the requests that a handler works at.
type load struct{ now, most atomic.Int32 }

func (l *load) work() {
	l.most.Store(max(l.most.Load(), l.now.Add(1)))
	time.Sleep(time.Second)
	l.now.Add(-1)
}

// fault is no fault but work, before an answer.
func (l *load) fault(_ int, _ http.ResponseWriter, _ *http.Request, serve func()) {
	l.work()
	serve()
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	for _, size := range []int{small, large} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inBubble(t, size, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
				var load load
				repo.blob = load.fault
				var readers sync.WaitGroup
				for range 40 {
					readers.Go(func() {
						if got, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil || !bytes.Equal(got, noise(size)) {
							t.Errorf("got %d bytes, %v", len(got), err)
						}
					})
				}
				readers.Wait()
				if load.most.Load() != atOnce {
					t.Errorf("up to %d requests at a time, want %d", load.most.Load(), atOnce)
				}
			})
		})
	}
}

// Each host has a bound of its own, a redirect's target as well.
func TestHostsDoNotHoldEachOtherUp(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
		elsewhere := newRepository()
		elsewhere.blobs = repo.blobs
		net.serve(t, "cdn.test", elsewhere)
		var here, there load
		repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
			here.work()
			http.Redirect(w, r, "http://cdn.test"+r.URL.Path, http.StatusTemporaryRedirect)
		}
		elsewhere.blob = there.fault
		var readers sync.WaitGroup
		for range 3 * atOnce {
			readers.Go(func() {
				if _, err := fetch(client, reference(t, host+"/acme/app"), desc); err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now() // the bubble's clock
		readers.Wait()
		if here.most.Load() != atOnce || there.most.Load() != atOnce {
			t.Errorf("up to %d and %d requests at a time, want %d", here.most.Load(), there.most.Load(), atOnce)
		}
		if took := time.Since(began); took >= 6*time.Second {
			t.Errorf("took %s: the hosts worked one after the other", took)
		}
	})
}

// More blobs are open than there are turns, and one reader goes from blob to
// blob: those that it does not read hold up none of the others.
func TestIdleReadersGiveTheirTurnUp(t *testing.T) {
	for _, size := range []int{small, large} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inBubble(t, size, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
				var blobs []*registry.Blob
				for range 2*atOnce + 1 {
					blob, err := client.Blob(t.Context(), reference(t, host+"/acme/app"), desc)
					if err != nil {
						t.Fatal(err)
					}
					defer blob.Close()
					if _, err := io.CopyN(io.Discard, blob, 10); err != nil {
						t.Fatal(err)
					}
					blobs = append(blobs, blob)
				}
				for _, blob := range blobs {
					if rest, err := io.ReadAll(blob); err != nil || !bytes.Equal(rest, noise(size)[10:]) {
						t.Fatalf("got %d bytes more, %v", len(rest), err)
					}
				}
			})
		})
	}
}

// Whoever waits for a turn stops when his context ends, and sends nothing.
func TestWaitForATurnEnds(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		if _, err := fetch(client, ref, desc); err != nil { // it has logged in
			t.Fatal(err)
		}
		release := make(chan struct{})
		repo.blob = func(_ int, _ http.ResponseWriter, _ *http.Request, serve func()) {
			<-release
			serve()
		}
		var readers sync.WaitGroup
		for range atOnce {
			readers.Go(func() {
				if _, err := fetch(client, ref, desc); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		sent := client.Stats().Requests
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Blob(ctx, ref, desc); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if client.Stats().Requests != sent {
			t.Errorf("%d requests were sent", client.Stats().Requests-sent)
		}
		close(release)
		readers.Wait()
		if _, err := fetch(client, ref, desc); err != nil { // all turns are back
			t.Error(err)
		}
	})
}

// Failures of every kind give their turns back.
func TestFailuresGiveTheirTurnsBack(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		faults := []fault{
			answerWith(404), answerWith(500), withoutRanges,
			func(_ int, w http.ResponseWriter, r *http.Request, _ func()) { panic(http.ErrAbortHandler) },
			func(_ int, w http.ResponseWriter, r *http.Request, _ func()) { <-r.Context().Done() },
			func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				halfway(w, r, noise(small))
				panic(http.ErrAbortHandler)
			},
			func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				halfway(w, r, noise(small))
				<-r.Context().Done()
			},
			func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				http.Redirect(w, r, "http://unlisted.test/", http.StatusFound)
			},
		}
		for i, fault := range faults {
			synctest.Wait() // the server has seen what was broken off
			repo.blob = fault
			for range atOnce {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				ranges := client.Ranges(ref, desc)
				_, err := ranges.Read(ctx, registry.Span{Offset: 1, Length: small - 2})
				ranges.Close()
				cancel()
				if err == nil {
					t.Fatalf("fault %d is none", i)
				}
			}
		}
		synctest.Wait()
		var load load
		repo.blob = load.fault
		var readers sync.WaitGroup
		for range atOnce {
			readers.Go(func() {
				if _, err := fetch(client, ref, desc); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		if load.most.Load() != atOnce {
			t.Errorf("up to %d requests at a time, want %d: turns are lost", load.most.Load(), atOnce)
		}
	})
}

// Waiting for a turn is not the connection's slowness: a blob that came fast
// until there was much else to do is not asked for again.
func TestWaitingIsNotSlow(t *testing.T) {
	inBubble(t, large, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		other := repo.addBlob(make([]byte, small))
		repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, serve func()) {
			if strings.Contains(r.URL.Path, other.Digest.Hex) {
				time.Sleep(10 * time.Second)
			} else {
				time.Sleep(100 * time.Millisecond)
				w = &halting{w}
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(repo.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]))
		}
		blob, err := client.Blob(t.Context(), ref, desc)
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		if _, err := io.CopyN(io.Discard, blob, 5*partSize); err != nil {
			t.Fatal(err)
		}
		var others sync.WaitGroup
		for range 2 * atOnce {
			others.Go(func() {
				if _, err := fetch(client, ref, other); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if rest, err := io.ReadAll(blob); err != nil || len(rest) != large-5*partSize {
			t.Fatalf("got %d bytes, %v", len(rest), err)
		}
		others.Wait()
		if asks := repo.asked(desc.Digest.Hex); asks != 17 {
			t.Errorf("%d requests, want one for each of 17 parts", asks)
		}
	})
}

// halting writes in two steps.
type halting struct{ http.ResponseWriter }

func (h *halting) Write(p []byte) (int, error) {
	n, err := h.ResponseWriter.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	h.ResponseWriter.(http.Flusher).Flush()
	time.Sleep(time.Millisecond)
	m, err := h.ResponseWriter.Write(p[len(p)/2:])
	return n + m, err
}
