package cache

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/store"
)

func TestReadToken(t *testing.T) {
	good := `{"url":"https://results.example/","token":"a.b.c","mode":"read"}`
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		ok            bool
	}{
		{"good", good, 0o600, true},
		{"for others' eyes", good, 0o644, false},
		{"no JSON", "secret-token", 0o600, false},
		{"no token", `{"url":"https://results.example/"}`, 0o600, false},
		{"a token of two lines", `{"url":"https://results.example/","token":"a\r\nb"}`, 0o600, false},
		{"no URL", `{"url":"results","token":"a"}`, 0o600, false},
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
			t.Fatal(err)
		}
		s, err := ReadToken(path)
		if tt.ok && (err != nil || s.Token != "a.b.c" || s.URL != "https://results.example/" || s.Mode != "read") || !tt.ok && !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v, %v", tt.name, s, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is left: %v", tt.name, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "workspace")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadToken(dir); !errors.Is(err, ErrToken) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error("an empty directory is gone")
	}
	if _, err := ReadToken(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrToken) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadToken(link); !errors.Is(err, ErrToken) {
		t.Errorf("a link: %v", err)
	}
}

func FuzzIndex(f *testing.F) {
	ix := index{Bases: []string{"k"}, Files: []file{{name{store.Blobs, "a"}, 3}, {name{store.Packs, "b"}, 5}}}
	text, err := json.Marshal(ix)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, int64(len(text)+headerSize+8))
	f.Add([]byte(`{"files":[{"kind":"blob","name":"a","size":9223372036854775807}]}`), int64(1<<40))
	f.Add([]byte(`{"files":[{"kind":"blob","name":"a","size":-1}]}`), int64(100))
	f.Add([]byte(`{}`), int64(headerSize+2))
	f.Fuzz(func(t *testing.T, text []byte, size int64) {
		_, files, err := parseIndex(text, size)
		if err != nil {
			return
		}
		end := int64(headerSize + len(text))
		for _, file := range files {
			if file.offset != end || file.Size < 0 {
				t.Fatalf("%+v does not begin at %d", file, end)
			}
			end += file.Size
		}
		if end != size {
			t.Fatalf("the files end at %d of %d", end, size)
		}
	})
}

func FuzzHeader(f *testing.F) {
	good, err := index{}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:headerSize-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if length, _, err := parseHeader(b); err == nil && (length < 0 || length > maxIndex) {
			t.Fatalf("an index of %d bytes", length)
		}
	})
}
