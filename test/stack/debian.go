package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Debian is a tree of real Debian packages.
type Debian struct {
	// Packages are there beside the essential ones and what they need.
	Packages []string
	// Customize are shell commands, run on this machine after the packages
	// are set up; "$1" is the tree.
	Customize []string
}

// Debian builds the tree with mmdebstrap, from this machine's own sources, and
// returns its tar. A tree of the same description is built once per Scratch.
func (s *Stack) Debian(t testing.TB, d Debian) string {
	t.Helper()
	key, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(key)
	return s.once(t, filepath.Join(s.scratch, "debian", hex.EncodeToString(digest[:8])+".tar"), func(file string) error {
		return s.mmdebstrap(t, d, file)
	})
}

func (s *Stack) mmdebstrap(t testing.TB, d Debian, file string) error {
	sources, suite, err := debianSources(t)
	if err != nil {
		return err
	}
	args := []string{"--mode=root", "--variant=minbase", "--format=tar", "--quiet", "--dpkgopt=force-unsafe-io"}
	if len(d.Packages) > 0 {
		args = append(args, "--include="+strings.Join(d.Packages, ","))
	}
	for _, hook := range d.Customize {
		args = append(args, "--customize-hook="+hook)
	}
	for _, option := range aptProxy(t) {
		args = append(args, "--aptopt="+option)
	}
	args = append(append(args, suite, file), sources...)
	build := exec.CommandContext(t.Context(), "mmdebstrap", args...)
	build.Env = append(os.Environ(), "TMPDIR="+s.scratch)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap (run `make test`, which installs it): %w: %s", err, out)
	}
	return nil
}

// debianSources returns this machine's Debian sources, as lines of a
// sources.list, and the suite that the first of them names.
func debianSources(t testing.TB) (lines []string, suite string, err error) {
	out, err := exec.CommandContext(t.Context(), "apt-get", "indextargets",
		"--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages", "Origin: Debian").Output()
	if err != nil {
		return nil, "", fmt.Errorf("ask apt for its sources: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		if suite == "" {
			suite = fields[1]
		}
		if source := "deb " + strings.Join(fields, " "); !slices.Contains(lines, source) {
			lines = append(lines, source)
		}
	}
	if len(lines) == 0 {
		return nil, "", fmt.Errorf("apt knows no Debian packages: run `apt-get update`")
	}
	return lines, suite, nil
}

// aptProxy returns this machine's settings on how apt reaches its mirrors.
func aptProxy(t testing.TB) []string {
	out, err := exec.CommandContext(t.Context(), "apt-config", "dump", "--no-empty", "Acquire::http", "Acquire::https").Output()
	if err != nil {
		return nil // nothing set
	}
	var options []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "Acquire::http") {
			options = append(options, strings.TrimSpace(line))
		}
	}
	return options
}

// Packages returns the trees of these Debian packages as one layer each,
// nothing of them set up.
func (s *Stack) Packages(t testing.TB, packages ...string) []Layer {
	t.Helper()
	var layers []Layer
	for _, pkg := range packages {
		layers = append(layers, TarFile(s.once(t, filepath.Join(s.scratch, "debian", pkg+".tar"), func(file string) error {
			return extractPackage(t, pkg, s.Scratch(t), file)
		})))
	}
	return layers
}

func extractPackage(t testing.TB, pkg, dir, file string) error {
	download := exec.CommandContext(t.Context(), "apt-get", "download", "-o", "APT::Sandbox::User=root", pkg)
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download %s: %w: %s", pkg, err, out)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("apt-get download %s left %q: %v", pkg, archives, err)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	extract := exec.CommandContext(t.Context(), "dpkg-deb", "--fsys-tarfile", archives[0])
	extract.Stdout = out
	if err := extract.Run(); err != nil {
		return fmt.Errorf("dpkg-deb --fsys-tarfile %s: %w", archives[0], err)
	}
	return out.Close()
}
