package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// content is what the registry has at every path.
var content = bytes.Repeat([]byte("0123456789abcdef"), 8<<10)

func registry(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// answer is what a client gets.
type answer struct {
	code   int
	header http.Header
	body   []byte
	err    error
}

func ask(t *testing.T, p *Proxy, path, rng string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rng != "" {
		request.Header.Set("Range", rng)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body, err}
}

const blobPath = "/v2/a/blobs/sha256:1"

func TestFaults(t *testing.T) {
	size := int64(len(content))
	flipped := bytes.Clone(content)
	flipped[100] ^= 0x10
	for _, c := range []struct {
		name  string
		fault Fault
		rng   string
		want  answer
	}{
		{"none", pass, "", answer{code: 200, body: content}},
		{"none of a range", pass, "bytes=5-9", answer{code: 206, body: content[5:10]}},
		{"cut before the header", Cut(-1), "", answer{err: syscall.ECONNRESET}},
		{"cut", Cut(9), "", answer{code: 200, err: syscall.ECONNRESET}},
		{"truncate", Truncate(9), "", answer{code: 200, body: content[:9], err: io.ErrUnexpectedEOF}},
		{"chunked", Chunked(9), "", answer{code: 200, body: content[:9]}},
		{"status", Status(429, "Retry-After", "7"), "", answer{code: 429, header: http.Header{"Retry-After": {"7"}}}},
		{"replace", Replace("text/html", []byte("<html>")), "", answer{code: 200, body: []byte("<html>")}},
		{"flip", Flip(100), "", answer{code: 200, body: flipped}},
		{"flip in a range", Flip(100), "bytes=90-110", answer{code: 206, body: flipped[90:111]}},
		{"flip beside a range", Flip(100), "bytes=0-9", answer{code: 206, body: content[:10]}},
		{"shorter", Resize(-1), "", answer{code: 200, body: content[:size-1]}},
		{"longer", Resize(2), "", answer{code: 200, body: append(bytes.Clone(content), 0, 0)}},
		{"longer in a range", Resize(2), "bytes=0-9", answer{code: 206, body: content[:10], header: http.Header{"Content-Range": {"bytes 0-9/131074"}}}},
		{"range ignored", IgnoreRange(), "bytes=5-9", answer{code: 200, body: content}},
		{"range refused", RefuseRange(416), "bytes=5-9", answer{code: 416}},
		{"no range refused", RefuseRange(416), "", answer{code: 200, body: content}},
		{"range shifted", ShiftRange(3), "bytes=5-9", answer{code: 206, body: content[8:13], header: http.Header{"Content-Range": {"bytes 8-12/131072"}}}},
		{"range swapped", SwapRange(3), "bytes=5-9", answer{code: 206, body: content[8:13], header: http.Header{"Content-Range": {"bytes 5-9/131072"}}}},
		{"redirect", Redirect(1), "", answer{code: 200, body: content}},
		{"redirect that has run out", Redirect(0), "", answer{code: 403}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Start(t, registry(t), Rule{Kind: Blob, Fault: c.fault})
			got := ask(t, p, blobPath, c.rng)
			if got.code != c.want.code || !errors.Is(got.err, c.want.err) {
				t.Fatalf("got %d, %v; want %d, %v", got.code, got.err, c.want.code, c.want.err)
			}
			if c.want.body != nil && !bytes.Equal(got.body, c.want.body) {
				t.Errorf("got %d bytes, want %d others", len(got.body), len(c.want.body))
			}
			for name := range c.want.header {
				if got.header.Get(name) != c.want.header.Get(name) {
					t.Errorf("%s: got %q, want %q", name, got.header.Get(name), c.want.header.Get(name))
				}
			}
		})
	}
}

func TestRulesAreForSomeRequests(t *testing.T) {
	p := Start(t, registry(t),
		Rule{Kind: Blob, Path: "sha256:1", Skip: 1, Times: 2, Fault: Status(500)},
		Rule{Kind: Manifest, Fault: Status(404)},
	)
	for _, c := range []struct {
		path string
		code int
	}{
		{blobPath, 200}, {"/v2/a/blobs/sha256:2", 200}, {blobPath, 500}, {blobPath, 500}, {blobPath, 200},
		{"/v2/a/manifests/x", 404}, {"/v2/a/manifests/x", 404}, {"/v2/", 200},
	} {
		if got := ask(t, p, c.path, ""); got.code != c.code {
			t.Errorf("%s: got %d, want %d", c.path, got.code, c.code)
		}
	}
	if manifests, blobs := p.Counts(); manifests != 2 || blobs != 5 {
		t.Errorf("counted %d manifests and %d blobs", manifests, blobs)
	}
	if got, want := p.Bytes(), int64(3*len(content)); got != want {
		t.Errorf("counted %d bytes of blobs, want %d", got, want)
	}
	if through := p.Through("127.0.0.1:5000/a/b:c"); through != p.Addr+"/a/b:c" {
		t.Error(through)
	}
}

func TestStall(t *testing.T) {
	p := Start(t, registry(t), Rule{Kind: Blob, Fault: Stall(9)})
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr+blobPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := response.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("there was something after 9 bytes: %v", err)
	}
}

func TestFreeze(t *testing.T) {
	p := Start(t, registry(t))
	reached, thaw := p.FreezeAfter(t, 1000)
	done := make(chan answer)
	go func() { done <- ask(t, p, blobPath, "") }()
	<-reached
	if p.Bytes() != 1000 {
		t.Errorf("%d bytes went out, want 1000", p.Bytes())
	}
	thaw()
	if got := <-done; !bytes.Equal(got.body, content) || got.err != nil {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
}

func TestHold(t *testing.T) {
	p := Start(t, registry(t))
	release := p.Hold(t)
	done := make(chan answer)
	go func() { done <- ask(t, p, blobPath, "") }()
	if got := ask(t, p, "/v2/a/manifests/x", ""); got.code != 200 {
		t.Errorf("a manifest is held up: %d %v", got.code, got.err)
	}
	select {
	case <-done:
		t.Error("a blob is not held up")
	default:
	}
	release()
	if got := <-done; !bytes.Equal(got.body, content) {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
}

func TestRequests(t *testing.T) {
	p := Start(t, registry(t), Rule{Kind: Blob, Fault: Redirect(5)})
	ask(t, p, blobPath, "bytes=1-2")
	got := p.Requests()
	if len(got) != 2 || got[0].Redirected || !got[1].Redirected || got[1].Range != "bytes=1-2" || !strings.HasSuffix(got[1].Path, "sha256:1") {
		t.Errorf("%+v", got)
	}
}
