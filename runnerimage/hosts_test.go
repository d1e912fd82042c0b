package runnerimage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestHosts(t *testing.T) {
	s, err := ParseSettings([]string{"CLIPPER_MAGIC_IMAGE=debian", "CLIPPER_HOSTS=db=127.0.0.1, cache.local=::1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for before, want := range map[string]string{
		"127.0.0.1 localhost":               "127.0.0.1 localhost\n127.0.0.1\tdb\n::1\tcache.local\n",
		"127.0.0.1 localhost\n":             "127.0.0.1 localhost\n127.0.0.1\tdb\n::1\tcache.local\n",
		"::1\tcache.local\n127.0.0.1\tdb\n": "::1\tcache.local\n127.0.0.1\tdb\n",
		"":                                  "127.0.0.1\tdb\n::1\tcache.local\n",
	} {
		root := t.TempDir()
		file := filepath.Join(root, "etc", "hosts")
		if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(before), 0o644)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := addHosts(root, s.Hosts); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%q, want %q: %v", got, want, err)
		}
	}
}

// TestHostsStay: a link of the image's leads nowhere.
func TestHostsStay(t *testing.T) {
	root, outside := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755), os.Symlink(outside, filepath.Join(root, "etc", "hosts"))); err != nil {
		t.Fatal(err)
	}
	s, err := ParseSettings([]string{"CLIPPER_MAGIC_IMAGE=debian", "CLIPPER_HOSTS=db=127.0.0.1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := addHosts(root, s.Hosts); err == nil {
		t.Error("it followed the link")
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("it wrote outside")
	}
}

func TestHostsRefused(t *testing.T) {
	for _, value := range []string{"db", "db=", "=127.0.0.1", "db=localhost", "d b=127.0.0.1", "db\n=127.0.0.1", "-=127.0.0.1", "a=127.0.0.1,,"} {
		if _, err := ParseSettings([]string{"CLIPPER_MAGIC_IMAGE=debian", "CLIPPER_HOSTS=" + value}, nil); !errors.Is(err, ErrSettings) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
