package checkout_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/checkout"
)

const (
	commit = "c0ffee1c0ffee1c0ffee1c0ffee1c0ffee1c0ffe"
	token  = "ghs_0123456789"
)

// archive is one as git makes it.
func archive(t testing.TB, of string, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	if of != "" {
		headers = append([]tar.Header{{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": of}}}, headers...)
	}
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content = h.Linkname // that a file has none
			h.Linkname, h.Size = "", int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
func file(name, content string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content, Mode: mode}
}
func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

// hub is a GitHub whose archives are at another host.
type hub struct {
	api     *httptest.Server
	archive []byte
	private bool
	fails   int // how many requests fail first
	seen    []string
}

func newHub(t *testing.T, archive []byte) *hub {
	h := &hub{archive: archive}
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.seen = append(h.seen, "files "+r.Header.Get("Authorization"))
		_, _ = w.Write(h.archive)
	}))
	t.Cleanup(files.Close)
	h.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.seen = append(h.seen, "api "+r.Header.Get("Authorization"))
		switch {
		case h.fails > 0:
			h.fails--
			http.Error(w, "later", http.StatusBadGateway)
		case r.URL.Path != "/repos/acme/app/tarball/"+commit, h.private && r.Header.Get("Authorization") != "Bearer "+token:
			http.NotFound(w, r)
		default:
			http.Redirect(w, r, strings.Replace(files.URL, "127.0.0.1", "localhost", 1)+"/archive", http.StatusFound)
		}
	}))
	t.Cleanup(h.api.Close)
	return h
}

func (h *hub) fetch(t *testing.T, s checkout.Source, into string) error {
	t.Helper()
	s.API = h.api.URL
	if s.FullName == "" {
		s.FullName = "acme/app"
	}
	if s.Commit == "" {
		s.Commit = commit
	}
	return checkout.Fetcher{First: time.Millisecond}.Fetch(t.Context(), s, into)
}

func TestFetch(t *testing.T) {
	h := newHub(t, archive(t, commit, dir("acme-app-c0ffee1/"), dir("acme-app-c0ffee1/bin/"), file("acme-app-c0ffee1/bin/test", "#!/bin/sh\n", 0o755),
		file("acme-app-c0ffee1/README", "hello", 0o644), link("acme-app-c0ffee1/link", "bin/test"), file("acme-app-c0ffee1/deep/er/file", "x", 0o644)))
	h.private, h.fails = true, 2
	into := t.TempDir()
	if err := h.fetch(t, checkout.Source{Token: token}, into); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(h.seen, ", "), "api Bearer ghs_0123456789, api Bearer ghs_0123456789, api Bearer ghs_0123456789, files "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for name, want := range map[string]string{".": "drwxrwxrwx", "bin": "drwxrwxrwx", "bin/test": "-rwxrwxrwx", "README": "-rw-rw-rw-", "deep/er/file": "-rw-rw-rw-"} {
		if info, err := os.Lstat(filepath.Join(into, name)); err != nil || info.Mode().String() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(into, "link")); err != nil || string(text) != "#!/bin/sh\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := h.fetch(t, checkout.Source{Token: token}, into); err != nil {
		t.Errorf("once more: %v", err)
	}
}

func TestRefused(t *testing.T) {
	good := archive(t, commit, dir("a/"), file("a/f", "x", 0o644))
	for name, test := range map[string]struct {
		source  checkout.Source
		private bool
		fails   int
		want    error
		text    string
	}{
		"without a token":    {checkout.Source{}, true, 0, checkout.ErrRefused, "public repositories alone"},
		"with a wrong one":   {checkout.Source{Token: "ghs_wrong"}, true, 0, checkout.ErrRefused, "404"},
		"another":            {checkout.Source{FullName: "acme/other"}, false, 0, checkout.ErrRefused, "404"},
		"no repository":      {checkout.Source{FullName: "acme/../x"}, false, 0, checkout.ErrSource, ""},
		"no commit":          {checkout.Source{Commit: "main"}, false, 0, checkout.ErrSource, ""},
		"it does not answer": {checkout.Source{}, false, 9, nil, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, good)
			h.private, h.fails = test.private, test.fails
			err := h.fetch(t, test.source, t.TempDir())
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "ghs_") {
				t.Error(err)
			}
		})
	}
}

// TestHostile: nothing leaves the directory, and nothing else passes for the
// commit.
func TestHostile(t *testing.T) {
	for name, text := range map[string][]byte{
		"another commit":          archive(t, strings.Repeat("d", 40), dir("a/"), file("a/f", "x", 0o644)),
		"no commit":               archive(t, "", dir("a/"), file("a/f", "x", 0o644)),
		"nothing":                 archive(t, commit),
		"out by dots":             archive(t, commit, file("a/../../out", "x", 0o644)),
		"out by the root":         archive(t, commit, file("/out", "x", 0o644)),
		"out by a link":           archive(t, commit, link("a/l", ".."), file("a/l/out", "x", 0o644)),
		"out by an absolute link": archive(t, commit, link("a/l", "/tmp"), file("a/l/out", "x", 0o644)),
		"two directories":         archive(t, commit, file("a/f", "x", 0o644), file("b/f", "x", 0o644)),
		"a device":                archive(t, commit, tar.Header{Typeflag: tar.TypeChar, Name: "a/null"}),
		"a hard link":             archive(t, commit, tar.Header{Typeflag: tar.TypeLink, Name: "a/l", Linkname: "/etc/passwd"}),
		"no gzip":                 []byte("<html>a page of GitHub's</html>"),
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			into := filepath.Join(above, "source")
			if err := os.Mkdir(into, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := newHub(t, text).fetch(t, checkout.Source{}, into); !errors.Is(err, checkout.ErrArchive) {
				t.Error(err)
			}
			for _, outside := range []string{filepath.Join(above, "out"), "/tmp/out", "/out"} {
				if _, err := os.Lstat(outside); err == nil {
					t.Errorf("%s was written", outside)
				}
			}
		})
	}
}

// TestBroken: an archive that breaks off is fetched again.
func TestBroken(t *testing.T) {
	whole := archive(t, commit, dir("a/"), file("a/f", strings.Repeat("content ", 10_000), 0o644))
	h := newHub(t, whole[:len(whole)/2])
	if err := h.fetch(t, checkout.Source{}, t.TempDir()); err == nil || errors.Is(err, checkout.ErrArchive) {
		t.Error(err)
	}
	if len(h.seen) != 8 {
		t.Errorf("%q", h.seen)
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(archive(f, commit, dir("a/"), file("a/f", "x", 0o644), link("a/l", "f")))
	f.Add(archive(f, commit, link("a/l", ".."), file("a/l/out", "x", 0o644)))
	f.Fuzz(func(t *testing.T, text []byte) {
		above := t.TempDir()
		into := filepath.Join(above, "source")
		if err := os.Mkdir(into, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = checkout.Unpack(bytes.NewReader(text), commit, into)
		if entries, err := os.ReadDir(above); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	})
}
