package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// writes fills an adopted file with b.
func writes(b []byte) func(io.WriterAt) error {
	return func(w io.WriterAt) error {
		_, err := w.WriteAt(b, 0)
		return err
	}
}

// TestCopy moves a store's packs and blobs into another one.
func TestCopy(t *testing.T) {
	from, to := open(t, t.TempDir(), Options{}), open(t, t.TempDir(), Options{})
	id := ID{1}
	pack, err := from.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pack.Put(id, []byte("stored"), 9), pack.Commit(), from.PutBlob("toc-1", []byte("table"))); err != nil {
		t.Fatal(err)
	}
	items, err := from.List()
	if err != nil || len(items) != 2 {
		t.Fatalf("%v, %v", items, err)
	}
	used := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	for _, item := range items {
		f, err := from.OpenItem(item)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if item.Kind == Packs {
			if err := from.Remove(item); !errors.Is(err, ErrBusy) {
				t.Errorf("a pack is removed while it is copied: %v", err)
			}
		}
		f.Close()
		item.LastUsed = used
		for range 2 { // the second time is nothing
			if err := to.Adopt(item, writes(content)); err != nil {
				t.Fatal(err)
			}
		}
		if !to.Has(item) {
			t.Errorf("the store does not have %s", item.Name)
		}
	}
	copied, err := to.List()
	if err != nil || !slices.EqualFunc(copied, items, func(a, b Item) bool { return a.LastUsed.Equal(used) }) {
		t.Errorf("%v, %v", copied, err)
	}
	s, err := to.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, err := s.ReadChunk(id, nil); err != nil || string(b) != "stored" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := to.Blob("toc-1"); err != nil || string(b) != "table" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAdoptRefuses(t *testing.T) {
	const name = "00112233445566778899aabbccddeeff"
	for _, tt := range []struct {
		name string
		item Item
		max  int64
		want error
	}{
		{"no pack", Item{Kind: Packs, Name: name, Size: 100}, 0, ErrCorrupt},
		{"a name with a path", Item{Kind: Packs, Name: "../" + name, Size: 100}, 0, ErrCorrupt},
		{"a blob's name with a path", Item{Kind: Blobs, Name: "../version", Size: 100}, 0, ErrCorrupt},
		{"an unfinished file", Item{Kind: Unfinished, Name: name, Size: 100}, 0, ErrCorrupt},
		{"a size", Item{Kind: Blobs, Name: "a", Size: -1}, 0, ErrCorrupt},
		{"beyond the limit", Item{Kind: Packs, Name: name, Size: 100}, 99, ErrNoSpace},
	} {
		d := open(t, t.TempDir(), Options{Max: tt.max})
		if err := d.Adopt(tt.item, writes(bytes.Repeat([]byte("x"), 100))); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if items, err := d.List(); err != nil || len(items) > 0 {
			t.Errorf("%s leaves %v, %v", tt.name, items, err)
		}
	}
	d := open(t, t.TempDir(), Options{})
	broken := errors.New("broken")
	if err := d.Adopt(Item{Kind: Blobs, Name: "a", Size: 1}, func(io.WriterAt) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("what breaks off: %v", err)
	}
	// What is not whole is noticed by whoever reads it.
	if err := d.Adopt(Item{Kind: Blobs, Name: "a", Size: 40}, writes([]byte("short"))); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Blob("a"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a blob that is none: %v", err)
	}
	if _, err := d.OpenItem(Item{Kind: Blobs, Name: "b"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
	if files, err := os.ReadDir(filepath.Join(d.path, tmpDir)); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
