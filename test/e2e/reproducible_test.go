package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReproducible builds the programs and the image of one release in two
// places: every byte is the same.
func TestReproducible(t *testing.T) {
	t.Parallel()
	var built []string
	for _, name := range []string{"here", "another/place"} {
		dir := filepath.Join(lab.Scratch(t), name)
		copySource(t, "../..", dir)
		build := exec.CommandContext(t.Context(), "make", "image", "action", "VERSION=1.2.3", "REVISION=0123456789abcdef")
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("make: %v\n%s", err, out)
		}
		built = append(built, filepath.Join(dir, "dist"))
	}
	for _, file := range []string{"runner-image/index.json", "runner-image-amd64.tar", "action/linux-amd64", "action/SHA256SUMS", "linux-arm64/loader"} {
		if _, err := os.Stat(filepath.Join(built[0], file)); err != nil {
			t.Error(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "diff", "--recursive", "--brief", built[0], built[1]).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// copySource copies what is built: neither what was built before nor what
// belongs to tools.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case rel != "." && strings.HasPrefix(d.Name(), ".") || rel == "dist":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		copyFile(t, path, filepath.Join(to, rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
