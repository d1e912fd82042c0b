package pull_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	goregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// host is a registry that counts what it is asked for, and fails as it is told.
type host struct {
	registry http.Handler
	server   *httptest.Server

	mu    sync.Mutex
	asked []string // the Range of each request for a blob, or "all"
	sent  int64    // bytes of blobs
	// left is how many of these it sends yet, before it breaks off every
	// connection; negative is any number.
	left int64
	// answer, if not nil, answers requests for blobs, by serve or itself.
	answer func(w http.ResponseWriter, r *http.Request, serve func())
}

func newHost(t *testing.T) *host {
	quiet := log.New(io.Discard, "", 0)
	h := &host{registry: goregistry.New(goregistry.Logger(quiet)), left: -1}
	h.server = httptest.NewUnstartedServer(h)
	h.server.Config.ErrorLog = quiet // clients that try HTTPS first
	h.server.Start()
	t.Cleanup(h.server.Close)
	return h
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
		h.registry.ServeHTTP(w, r)
		return
	}
	text := r.Header.Get("Range")
	if text == "" {
		text = "all"
	}
	h.mu.Lock()
	h.asked = append(h.asked, text)
	left, answer := h.left, h.answer
	h.mu.Unlock()
	if left == 0 {
		panic(http.ErrAbortHandler) // the client sees an EOF in place of an answer
	}
	w = &counted{ResponseWriter: w, host: h}
	serve := func() { h.registry.ServeHTTP(w, r) }
	if answer == nil {
		serve()
		return
	}
	answer(w, r, serve)
}

// counted is an answer of the host.
type counted struct {
	http.ResponseWriter
	host  *host
	sent  int
	stall func() // when much was sent, if not nil
}

func (c *counted) Write(p []byte) (int, error) {
	const much = 1400 << 10
	if c.stall != nil && c.sent+len(p) > much {
		c.ResponseWriter.Write(p[:much-c.sent])
		c.stall()
	}
	c.sent += len(p)
	n := c.host.send(len(p))
	n, err := c.ResponseWriter.Write(p[:n])
	if err == nil && n < len(p) {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// send says how many of n bytes may be sent.
func (h *host) send(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left >= 0 {
		n = int(min(int64(n), h.left))
		h.left -= int64(n)
	}
	h.sent += int64(n)
	return n
}

// set changes how the host behaves, and forgets what it has counted.
func (h *host) set(left int64, answer func(w http.ResponseWriter, r *http.Request, serve func())) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left, h.answer, h.asked, h.sent = left, answer, nil, 0
}

// counts are the requests for blobs since set, and the bytes sent.
func (h *host) counts() (requests int, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked), h.sent
}

func (h *host) ref(t *testing.T) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(strings.TrimPrefix(h.server.URL, "http://") + "/app")
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// push puts a blob into the registry.
func (h *host) push(t *testing.T, b blob) oci.Descriptor {
	t.Helper()
	digest, size, err := v1.SHA256(bytes.NewReader(b.bytes))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(h.server.URL+"/v2/app/blobs/uploads/?digest="+digest.String(), "application/octet-stream", bytes.NewReader(b.bytes))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	return oci.Descriptor{Digest: digest, Size: size, Annotations: b.annotations}
}

// ignoring answers requests for ranges with all of the blob.
func ignoring(_ http.ResponseWriter, r *http.Request, serve func()) {
	r.Header.Del("Range")
	serve()
}

// stalling sends the beginning of a blob, and then nothing for as long as the
// client stays.
func stalling(w http.ResponseWriter, r *http.Request, serve func()) {
	w.(*counted).stall = func() {
		w.(*counted).ResponseWriter.(http.Flusher).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	serve()
}

// refusing answers requests for ranges with a status.
func refusing(status int) func(http.ResponseWriter, *http.Request, func()) {
	return func(w http.ResponseWriter, r *http.Request, serve func()) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(status)
			return
		}
		serve()
	}
}

// spoiled sends all blobs with a wrong byte.
func (h *host) spoiled(at int64) func(http.ResponseWriter, *http.Request, func()) {
	return func(w http.ResponseWriter, r *http.Request, _ func()) {
		answer := httptest.NewRecorder()
		r = r.Clone(context.Background())
		r.Header.Del("Range")
		h.registry.ServeHTTP(answer, r)
		b := answer.Body.Bytes()
		b[at] ^= 1
		w.Write(b)
	}
}

func newClient(t *testing.T) *registry.Client { return newPatientClient(t, 1) }

// newPatientClient makes a client that tries so often.
func newPatientClient(t *testing.T, attempts int) *registry.Client {
	client := registry.New(registry.Options{Attempts: attempts})
	t.Cleanup(client.Close)
	return client
}
