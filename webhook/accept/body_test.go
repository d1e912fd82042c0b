package accept

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGzip(t *testing.T) {
	packed := func(content []byte) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(content) //nolint:errcheck // into memory
		z.Close()        //nolint:errcheck
		return b.String()
	}
	in := &memory{}
	h := handler(t, in)
	signed := header(headerSignature, sign("new", []byte(body)))
	encoded := header("Content-Encoding", "gzip")
	if w := serve(h, request(packed([]byte(body)), encoded, signed)); w.Code != http.StatusAccepted || string(in.have[guid].Body) != body {
		t.Errorf("%d", w.Code)
	}
	if w := serve(h, request(packed([]byte(body))[:40], encoded, signed)); w.Code != http.StatusBadRequest {
		t.Errorf("cut short: %d", w.Code)
	}
	bomb := make([]byte, MaxBody+1)
	if w := serve(h, request(packed(bomb), encoded, header(headerSignature, sign("new", bomb)))); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a bomb: %d", w.Code)
	}
}

// TestLarge takes the largest bodies there are, and none larger.
func TestLarge(t *testing.T) {
	in := &memory{}
	server := httptest.NewServer(handler(t, in))
	defer server.Close()
	for _, tt := range []struct {
		name   string
		size   int
		known  bool
		status int
	}{
		{"the largest", MaxBody, true, 202},
		{"the largest, of unknown length", MaxBody, false, 202},
		{"one larger", MaxBody + 1, true, 413},
		{"one larger, of unknown length", MaxBody + 1, false, 413},
		{"none", 0, true, 202},
	} {
		content := make([]byte, tt.size)
		rand.Read(content) //nolint:errcheck // it does not fail
		r := request("", header(headerSignature, sign("new", content)), header(headerGUID, strings.NewReplacer(" ", "-", ",", "").Replace(tt.name)))
		var reader io.Reader = bytes.NewReader(content)
		if !tt.known {
			reader = struct{ io.Reader }{reader}
		}
		out, err := http.NewRequest(http.MethodPost, server.URL, reader)
		if err != nil {
			t.Fatal(err)
		}
		out.Header = r.Header
		response, err := http.DefaultClient.Do(out)
		if err != nil {
			if tt.status == 413 {
				continue // it was answered while it was still being sent
			}
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, response.StatusCode, tt.status)
		}
		if d := in.have[r.Header.Get(headerGUID)]; tt.status == 202 && !bytes.Equal(d.Body, content) {
			t.Errorf("%s: stored otherwise", tt.name)
		}
	}
	if len(in.have) != 3 {
		t.Errorf("%d are stored, want 3", len(in.have))
	}
}
