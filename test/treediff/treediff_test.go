package treediff_test

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/treediff"
	"golang.org/x/sys/unix"
)

// tree makes a tree with one of everything.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.Mkdir(at("d"), 0o755))
	do(os.WriteFile(at("d/file"), []byte("content"), 0o644))
	do(os.Link(at("d/file"), at("a-link")))
	do(os.Symlink("d/file", at("sym")))
	do(unix.Mkfifo(at("fifo"), 0o600))
	do(unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	do(os.WriteFile(at("odd \xff\n\"name"), nil, 0o600))
	do(os.WriteFile(at("privileged"), nil, 0o755))
	do(os.Chown(at("privileged"), 12, 34))
	do(unix.Lsetxattr(at("privileged"), "user.note", []byte{0, 255}, 0))
	do(os.Chmod(at("privileged"), 0o755|os.ModeSetuid))
	do(os.Mkdir(at("left-out"), 0o755))
	do(os.WriteFile(at("left-out/x"), nil, 0o644))
	for _, name := range []string{"d", "d/file", "odd \xff\n\"name", "privileged", "fifo", "null", "."} {
		do(os.Chtimes(at(name), time.Time{}, time.Unix(1000, 123456789)))
	}
	return dir
}

var withoutLeftOut = treediff.Options{Exclude: []string{"/left-out"}}

func snapshot(t *testing.T, dir string, opts treediff.Options) []treediff.Node {
	t.Helper()
	nodes, err := treediff.Snapshot(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func TestSnapshot(t *testing.T) {
	byPath := map[string]treediff.Node{}
	for _, node := range snapshot(t, tree(t), withoutLeftOut) {
		byPath[node.Path] = node
	}
	want := []string{".", "a-link", "d", "d/file", "fifo", "null", "odd \xff\n\"name", "privileged", "sym"}
	if got := slices.Sorted(maps.Keys(byPath)); !slices.Equal(got, want) {
		t.Fatalf("paths %q, want %q", got, want)
	}
	const digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
	if f := byPath["d/file"]; f.Type != "file" || f.Size != 7 || f.Digest != digest || f.Group != "a-link" || f.MTime != 1000123456789 {
		t.Errorf("d/file: %+v", f)
	}
	if p := byPath["privileged"]; p.Mode != 0o4755 || p.UID != 12 || p.GID != 34 || p.Xattrs["user.note"] != "\x00\xff" || p.Group != "" {
		t.Errorf("privileged: %+v", p)
	}
	if n := byPath["null"]; n.Type != "char" || n.Major != 1 || n.Minor != 3 {
		t.Errorf("null: %+v", n)
	}
	if s := byPath["sym"]; s.Type != "symlink" || s.Target != "d/file" {
		t.Errorf("sym: %+v", s)
	}
}

func TestDiffTellsEveryField(t *testing.T) {
	base := snapshot(t, tree(t), withoutLeftOut)
	if lines := treediff.Diff(base, base); len(lines) != 0 {
		t.Fatalf("a tree differs from itself: %q", lines)
	}
	for name, change := range map[treediff.Field]func(*treediff.Node){
		treediff.Mode:       func(n *treediff.Node) { n.Mode ^= 0o4000 },
		treediff.Owner:      func(n *treediff.Node) { n.GID++ },
		treediff.Content:    func(n *treediff.Node) { n.Digest = "0" },
		treediff.Target:     func(n *treediff.Node) { n.Target += "x" },
		treediff.Group:      func(n *treediff.Node) { n.Group += "x" },
		treediff.Device:     func(n *treediff.Node) { n.Minor++ },
		treediff.Xattrs:     func(n *treediff.Node) { n.Xattrs = map[string]string{"user.x": ""} },
		treediff.MTime:      func(n *treediff.Node) { n.MTime += 2e9 },
		treediff.MTimeNanos: func(n *treediff.Node) { n.MTime++ },
	} {
		changed := slices.Clone(base)
		change(&changed[3])
		if lines := treediff.Diff(base, changed); len(lines) != 1 || !strings.HasPrefix(lines[0], `"d/file": `) {
			t.Errorf("%s: %q", name, lines)
		}
		if lines := treediff.Diff(base, changed, name); len(lines) != 0 {
			t.Errorf("%s ignored: %q", name, lines)
		}
	}
	if lines := treediff.Diff(base, base[1:]); !slices.Equal(lines, []string{`".": missing (dir)`}) {
		t.Errorf("missing: %q", lines)
	}
	if lines := treediff.Diff(base[:8], base); !slices.Equal(lines, []string{`"sym": extra (symlink)`}) {
		t.Errorf("extra: %q", lines)
	}
}

func TestWriteAndRead(t *testing.T) {
	want := snapshot(t, tree(t), withoutLeftOut)
	var lines bytes.Buffer
	if err := treediff.Write(&lines, want); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(lines.String(), "\n"); n != len(want) {
		t.Errorf("%d lines for %d nodes", n, len(want))
	}
	got, err := treediff.Read(&lines)
	if err != nil {
		t.Fatal(err)
	}
	if diff := treediff.Diff(want, got); len(diff) != 0 {
		t.Errorf("changed on the way: %q", diff)
	}
	if _, err := treediff.Read(strings.NewReader(`{"path":"a\\q","mode":"0"}`)); err == nil {
		t.Error("a bad escape is accepted")
	}
}

func TestFromTar(t *testing.T) {
	dir := tree(t)
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	write := func(header tar.Header, content string) {
		t.Helper()
		header.Size, header.Format, header.ModTime = int64(len(content)), tar.FormatPAX, time.Unix(1000, 0)
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	write(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	write(tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	write(tar.Header{Name: "d/file", Typeflag: tar.TypeReg, Mode: 0o644}, "content")
	write(tar.Header{Name: "a-link", Typeflag: tar.TypeLink, Linkname: "/d/file"}, "")
	write(tar.Header{Name: "sym", Typeflag: tar.TypeSymlink, Linkname: "d/file", Mode: 0o777}, "")
	write(tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o600}, "")
	write(tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o644, Devmajor: 1, Devminor: 3}, "")
	write(tar.Header{Name: "privileged", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 12, Gid: 34,
		PAXRecords: map[string]string{"SCHILY.xattr.user.note": "x"}}, "")
	write(tar.Header{Name: "left-out/x", Typeflag: tar.TypeReg}, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	got, err := treediff.FromTar(&stream, treediff.Options{Exclude: []string{"left-out", "null"}})
	if err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, dir, treediff.Options{Exclude: []string{"left-out", "odd \xff\n\"name", "null"}})
	diff := treediff.Diff(want, got, treediff.Mode, treediff.MTimeNanos)
	diff = slices.DeleteFunc(diff, func(line string) bool { return strings.HasPrefix(line, `"sym": mtime`) })
	if !slices.Equal(diff, []string{`"privileged": xattrs: want [user.note=00ff], got [user.note=78]`}) {
		t.Errorf("%q", diff)
	}
}
