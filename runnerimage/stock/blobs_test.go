package stock_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/store"
)

func digest(n int) oci.Digest {
	return oci.Digest{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", n)}
}

func reference(t *testing.T, s string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func platform(t *testing.T, s string) oci.Platform {
	t.Helper()
	p, err := oci.ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// names are the store's blobs.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		list = append(list, file.Name())
	}
	return list
}

// TestNames: the names are a format, which other versions read.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stock.Options{})
	kinds := []stock.Kind{stock.Document, stock.Table, stock.Claim, stock.Pieces, stock.Refuted, stock.Resume}
	for _, kind := range kinds {
		s.Put(kind, digest(10), []byte(kind))
	}
	s.Remember(reference(t, "ghcr.io/acme/app:1"), platform(t, "linux/arm64"), digest(1), digest(2))
	hex := digest(10).Hex
	want := []string{
		"claim-sha256-" + hex, "doc-sha256-" + hex, "pieces-sha256-" + hex,
		// of "ghcr.io/acme/app:1 linux/arm64"
		"ref-sha256-3dd2e2bdb4f34f0daa1fba1792458bb8b11bc73046e297dbacaedbc2f03ee1e3",
		"refuted-sha256-" + hex, "resume-sha256-" + hex, "toc-sha256-" + hex,
	}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, kind := range kinds {
		if got, ok := s.Get(kind, digest(10)); !ok || string(got) != string(kind) {
			t.Errorf("%s: %q, %v", kind, got, ok)
		}
		if _, ok := s.Get(kind, digest(11)); ok {
			t.Errorf("%s: another layer's", kind)
		}
	}
}

// TestPut: a blob is replaced, dropped, and seen by others at once; the very
// same is not written again.
func TestPut(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir, stock.Options{}), open(t, dir, stock.Options{})
	check := func(want string) {
		t.Helper()
		if got, ok := other.Get(stock.Table, digest(1)); string(got) != want || ok != (want != "") {
			t.Errorf("%q, %v, want %q", got, ok, want)
		}
	}
	check("")
	s.Put(stock.Table, digest(1), []byte("one"))
	check("one")
	s.Put(stock.Table, digest(1), []byte("two"))
	check("two")
	file := filepath.Join(dir, "blobs", names(t, dir)[0])
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(stock.Table, digest(1), []byte("two"))
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again, %v", err)
	}
	s.Drop(stock.Claim, digest(1))
	check("two")
	s.Drop(stock.Table, digest(1))
	s.Drop(stock.Table, digest(1))
	check("")
	// An empty one is one.
	s.Put(stock.Refuted, digest(1), nil)
	if _, ok := other.Get(stock.Refuted, digest(1)); !ok {
		t.Error("the empty blob is not there")
	}
}

// TestDamagedBlob: it counts as absent, and can be put again.
func TestDamagedBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stock.Options{})
	s.Put(stock.Table, digest(1), []byte("a table"))
	file := filepath.Join(dir, "blobs", names(t, dir)[0])
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Get(stock.Table, digest(1)); ok {
		t.Errorf("%q", got)
	}
	s.Put(stock.Table, digest(1), []byte("a table"))
	if got, ok := s.Get(stock.Table, digest(1)); !ok || string(got) != "a table" {
		t.Errorf("%q, %v", got, ok)
	}
}

func TestShelf(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, stock.Options{}).Keep(digest(1), []byte("manifest"))
	s := open(t, dir, stock.Options{})
	if got, ok := s.Document(digest(1)); !ok || string(got) != "manifest" {
		t.Errorf("%q, %v", got, ok)
	}
	if _, ok := s.Document(digest(2)); ok {
		t.Error("another document")
	}
}

func TestRemember(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stock.Options{})
	ref, arm, amd := reference(t, "debian:12"), platform(t, "linux/arm64"), platform(t, "linux/amd64")
	recalled := func(ref oci.Reference, p oci.Platform, want int) {
		t.Helper()
		got, ok := open(t, dir, stock.Options{}).Recall(ref, p)
		if ok != (want > 0) || ok && got != digest(want) {
			t.Errorf("%s for %s: %s, %v, want %d", ref, p, got, ok, want)
		}
	}
	recalled(ref, arm, 0)
	s.Remember(ref, arm, digest(1), digest(2))
	recalled(ref, arm, 1)
	recalled(ref, amd, 0)
	recalled(reference(t, "debian:13"), arm, 0)
	s.Remember(ref, amd, digest(3), digest(4))
	s.Remember(ref, arm, digest(5), digest(6))
	recalled(ref, arm, 5)
	recalled(ref, amd, 3)
	recalled(reference(t, "docker.io/library/debian:12"), arm, 5) // the same in full
}

// TestOthers: the most recently used come first, of one kind.
func TestOthers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stock.Options{})
	for n := range 4 {
		s.Put(stock.Pieces, digest(n), []byte("pieces"))
		age(t, dir, stock.Pieces, digest(n), time.Duration([]int{3, 1, 4, 2}[n])*time.Hour)
	}
	s.Put(stock.Table, digest(9), []byte("table"))
	if err := os.WriteFile(filepath.Join(dir, "blobs", "pieces-of-cake"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Others(stock.Pieces), []oci.Digest{digest(1), digest(3), digest(0), digest(2)}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := s.Others(stock.Claim); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// age makes a blob look as if it was used a while ago.
func age(t *testing.T, dir string, kind stock.Kind, d oci.Digest, ago time.Duration) {
	t.Helper()
	then := time.Now().Add(-ago)
	if err := os.Chtimes(filepath.Join(dir, "blobs", string(kind)+"-"+d.Algorithm+"-"+d.Hex), then, then); err != nil {
		t.Fatal(err)
	}
}

// TestImages: the most recently used come first, and then by name.
func TestImages(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stock.Options{})
	layer := func(size int64) oci.Descriptor { return oci.Descriptor{Digest: digest(7), Size: size} }
	manifest, err := json.Marshal(oci.Manifest{Config: layer(50), Layers: []oci.Descriptor{layer(1000), layer(234)}})
	if err != nil {
		t.Fatal(err)
	}
	s.Keep(digest(2), manifest)
	s.Keep(digest(8), []byte("no manifest"))
	for _, c := range []struct {
		name             string
		digest, manifest int
		ago              time.Duration
	}{{"b:1", 1, 2, time.Hour}, {"d:1", 5, 8, 0}, {"c:1", 5, 2, 0}, {"a:1", 3, 4, 2 * time.Hour}} {
		before := names(t, dir)
		s.Remember(reference(t, c.name), platform(t, "linux/amd64"), digest(c.digest), digest(c.manifest))
		then := time.Unix(2e9, 0).Add(-c.ago)
		for _, name := range names(t, dir) {
			if slices.Contains(before, name) {
				continue
			}
			if err := os.Chtimes(filepath.Join(dir, "blobs", name), then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A damaged one counts as absent.
	if err := os.WriteFile(filepath.Join(dir, "blobs", "ref-sha256-"+digest(77).Hex), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := store.Open(dir, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	list, err := stock.Images(d)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range list {
		got = append(got, fmt.Sprintf("%s %s %s %d", strings.TrimPrefix(i.Reference, "index.docker.io/library/"), i.Platform, i.Digest[len(i.Digest)-1:], i.Layers))
	}
	want := []string{"c:1 linux/amd64 5 1234", "d:1 linux/amd64 5 0", "b:1 linux/amd64 1 1234", "a:1 linux/amd64 3 0"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
