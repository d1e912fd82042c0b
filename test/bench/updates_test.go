package bench

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// update is an image in two versions, 0 and 1. What changes is in the middle
// of three layers: base, packages or data, application.
type update struct {
	name, title string
	layers      func(b *testing.B, version int) []stack.Layer
	command     []string
	// long are measured with -all only.
	long bool
}

var updates = []update{
	{
		name: "package-web", title: "a Debian package upgraded beside nginx", command: typical.command,
		layers: upgraded("nginx-light"),
	},
	{
		name: "package-ci", title: "a Debian package upgraded beside compilers, Git and Node.js", command: []string{"node", "--version"},
		layers: upgraded("build-essential", "cmake", "git", "nodejs", "python3-dev"), long: true,
	},
	{
		name: "package-data", title: "a Debian package upgraded beside Python for data", command: large.command,
		layers: upgraded(dataPackages...), long: true,
	},
	{
		name: "file", title: "a file of 1 MB changed in a layer of 1 GB", long: true, command: []string{"busybox", "echo", "ready"},
		layers: func(b *testing.B, version int) []stack.Layer {
			changed := [2]int{-1, 500}
			return append(busybox(b), halves(changed[version]), application())
		},
	},
}

// version is one of an update's versions as an image.
func (u update) version(n int) image {
	return image{
		name: fmt.Sprintf("%s-v%d", u.name, n+1), title: u.title, command: u.command,
		layers: func(b *testing.B) []stack.Layer { return u.layers(b, n) },
	}
}

// application is the layer above the one that changes.
func application() stack.Layer {
	return stack.Tar(tarball.Build(tarball.Dir("srv"), tarball.Dir("srv/app"), tarball.File("srv/app/main", strings.Repeat("the application\n", 1<<16))))
}

// upgraded are Debian trees with packages and one more, which version 1 has in
// its newest version.
func upgraded(packages ...string) func(*testing.B, int) []stack.Layer {
	return func(b *testing.B, version int) []stack.Layer {
		base := lab.Debian(b, stack.Debian{})
		full := lab.Debian(b, stack.Debian{Packages: append(slices.Clone(packages), upgrade(b)[version])})
		return []stack.Layer{stack.TarFile(base), above(b, base, full), application()}
	}
}

// upgrade returns a library of which this machine's sources have two versions,
// as "name=version", the older one first.
func upgrade(b *testing.B) (versions [2]string) {
	for _, name := range []string{"libssl3", "libssl3t64", "libexpat1", "libxml2", "libsqlite3-0", "libgnutls30", "libgnutls30t64", "git"} {
		out, err := exec.CommandContext(b.Context(), "apt-cache", "madison", name).Output()
		if err != nil {
			b.Fatalf("apt-cache madison %s: %v", name, err)
		}
		var newest []string
		for line := range strings.Lines(string(out)) {
			if fields := strings.Split(line, "|"); len(fields) == 3 {
				newest = append(newest, name+"="+strings.TrimSpace(fields[1]))
			}
		}
		if newest = slices.Compact(newest); len(newest) > 1 {
			return [2]string{newest[1], newest[0]}
		}
	}
	b.Fatal("this machine's sources have no library in two versions to upgrade: add its security updates")
	return versions
}

// above is the layer that makes the tree in the one tar that in the other, as
// a RUN line would. Times do not count: both trees were made just now.
func above(b *testing.B, base, full string) stack.Layer {
	b.Helper()
	kept, err := changes(base, full)
	if err != nil {
		b.Fatal(err)
	}
	return stack.Layer{Open: func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeKept(w, full, kept)) }()
		return r, nil
	}}
}

// changes are the paths of which full has something else than base, and the
// directories on the way to them.
func changes(base, full string) (map[string]bool, error) {
	before, kept := map[string]string{}, map[string]bool{}
	describe := func(h *tar.Header, content io.Reader) (string, error) {
		digest := sha256.New()
		_, err := io.Copy(digest, content)
		return fmt.Sprintf("%c %o %d:%d %s %x", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, digest.Sum(nil)), err
	}
	err := eachEntry(base, func(h *tar.Header, content io.Reader) (err error) {
		before[path.Clean(h.Name)], err = describe(h, content)
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, eachEntry(full, func(h *tar.Header, content io.Reader) error {
		name := path.Clean(h.Name)
		now, err := describe(h, content)
		if err != nil || now == before[name] {
			return err
		}
		if h.Typeflag == tar.TypeLink {
			kept[path.Clean(h.Linkname)] = true
		}
		for ; name != "."; name = path.Dir(name) {
			kept[name] = true
		}
		return nil
	})
}

func writeKept(w io.Writer, full string, kept map[string]bool) error {
	out := tar.NewWriter(w)
	err := eachEntry(full, func(h *tar.Header, content io.Reader) error {
		if !kept[path.Clean(h.Name)] {
			return nil
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(out, content)
		return err
	})
	return errors.Join(err, out.Close())
}

func eachEntry(file string, do func(*tar.Header, io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(h, in)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}
