package stock

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

func TestFailures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open := func() *Stock {
		s, err := Open(t.Context(), dir, Options{Warn: func(text string) { t.Error(text) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	ref, err := oci.ParseReference("debian:12")
	if err != nil {
		t.Fatal(err)
	}
	amd64, arm64 := oci.Platform{OS: "linux", Architecture: "amd64"}, oci.Platform{OS: "linux", Architecture: "arm64"}
	want := Failures{First: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Until: time.Date(2026, 1, 2, 3, 4, 35, 6, time.UTC)}
	open().NoteFailures(ref, amd64, want)

	s := open()
	if got := s.Failures(ref, amd64); got != want {
		t.Errorf("noted %+v, read %+v", want, got)
	}
	if got := s.Failures(ref, arm64); got != (Failures{}) {
		t.Errorf("the other platform's: %+v", got)
	}
	s.Put(failures, referenceDigest(ref, arm64), []byte("{"))
	if got := s.Failures(ref, arm64); got != (Failures{}) {
		t.Errorf("what cannot be read counts as %+v", got)
	}
	if images, err := Images(s.dir); len(images) != 0 || err != nil {
		t.Errorf("images that never started: %v, %v", images, err)
	}
}
