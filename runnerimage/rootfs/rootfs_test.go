package rootfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// inNamespace says that the tests run in a mount namespace of their own.
const inNamespace = "ROOTFS_TEST_NAMESPACE"

func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) != "" {
		syscall.Umask(0o077) // nothing may depend on it
		if root := os.Getenv(layingOut); root != "" {
			os.Exit(layOutForever(root))
		}
		os.Exit(m.Run())
	}
	self := exec.Command("/proc/self/exe", os.Args[1:]...)
	self.Env = append(os.Environ(), inNamespace+"=1")
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	self.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	err := self.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "these tests mount things and need root:", err)
		os.Exit(1)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(target, unix.MNT_DETACH)) })
}

// scratch is a directory of fast storage.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rootfs") // t.TempDir has commas, which overlay's options cannot
	must(t, err)
	t.Cleanup(func() { must(t, os.Remove(dir)) })
	mount(t, "scratch", dir, "tmpfs", 0, "size=64m")
	return dir
}

// container is a root as an engine makes it: an overlay over the bare image.
type container struct {
	t        *testing.T
	root     string
	outside  string // for sources of binds
	opts     Options
	warnings *[]string
	way      way
}

// way is how a layout is written.
type way struct {
	name string
	walk bool // without openat2
	once bool // AtOnce
}

var ways = []way{{name: "in place"}, {name: "without openat2", walk: true}, {name: "at once", once: true}, {name: "at once, without openat2", walk: true, once: true}}

var bare = []string{"etc", "etc/passwd", "tmp", "var", "var/run", "run", "bin", "bin/sh", "lib", "lib/ld-musl", "lib64", "lib64/ld-linux"}

// waiters are the bare image's; the last of them stays.
var waiters = []Link{{"/bin/sh", "/.clipper-runner/sh"}, {"/lib/ld-musl", "/.clipper-runner/loader"}, {"/lib64/ld-linux", "/.clipper-runner/loader"}}

func newContainer(t *testing.T) *container {
	t.Helper()
	dir := scratch(t)
	for _, name := range []string{"lower/.clipper-runner", "lower/etc", "lower/tmp", "lower/var", "lower/run", "lower/bin", "lower/lib", "lower/lib64", "upper", "work", "root", "outside"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	must(t, os.Chmod(filepath.Join(dir, "root"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "lower/etc/passwd"), []byte("bare"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "lower/.clipper-runner/runner"), []byte("runner"), 0o755))
	must(t, os.Symlink("../run", filepath.Join(dir, "lower/var/run")))
	for _, waiter := range waiters {
		must(t, os.Symlink(waiter.Target, filepath.Join(dir, "lower", waiter.Path)))
	}
	mount(t, "overlay", dir+"/root", "overlay", 0, fmt.Sprintf("lowerdir=%s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir))
	warnings := &[]string{}
	c := &container{t: t, root: dir + "/root", outside: dir + "/outside", warnings: warnings, opts: Options{
		Keep: []string{".clipper-runner"}, Bare: bare, BareLinks: map[string]string{"var/run": "../run"}, Workers: 4,
		Warn: func(text string) { *warnings = append(*warnings, text) },
	}}
	c.file(".dockerenv", "")
	must(t, os.Symlink("/proc/mounts", c.at("etc/mtab")))
	return c
}

func (c *container) at(name string) string { return filepath.Join(c.root, name) }

func (c *container) file(name, content string) {
	c.t.Helper()
	must(c.t, os.MkdirAll(filepath.Dir(c.at(name)), 0o755))
	must(c.t, os.WriteFile(c.at(name), []byte(content), 0o644))
}

// bindFile mounts a file with content "mounted" at name.
func (c *container) bindFile(name string, flags uintptr) {
	c.t.Helper()
	source := filepath.Join(c.outside, strings.ReplaceAll(name, "/", "-"))
	must(c.t, os.WriteFile(source, []byte("mounted"), 0o644))
	c.file(name, "")
	mount(c.t, source, c.at(name), "", unix.MS_BIND, "")
	if flags != 0 {
		must(c.t, unix.Mount("", c.at(name), "", unix.MS_BIND|unix.MS_REMOUNT|flags, ""))
	}
}

// bindDir mounts the directory source, relative to outside, at name.
func (c *container) bindDir(source, name string, flags uintptr) string {
	c.t.Helper()
	source = filepath.Join(c.outside, source)
	must(c.t, os.MkdirAll(source, 0o755))
	must(c.t, os.Chmod(source, 0o755))
	must(c.t, os.MkdirAll(c.at(name), 0o755))
	mount(c.t, source, c.at(name), "", unix.MS_BIND, "")
	if flags != 0 {
		must(c.t, unix.Mount("", c.at(name), "", unix.MS_BIND|unix.MS_REMOUNT|flags, ""))
	}
	return source
}

func (c *container) open() *Root {
	c.t.Helper()
	opts := c.opts
	if opts.AtOnce = c.way.once; c.way.once {
		opts.Waiters, opts.Default = waiters, waiters[2:]
	}
	r, err := Open(c.root, opts)
	must(c.t, err)
	r.realm.walk.Store(c.way.walk)
	c.t.Cleanup(func() { r.Close() })
	return r
}

// layOut makes the container become the layers.
func (c *container) layOut(layers ...[]byte) {
	c.t.Helper()
	r := c.open()
	found, err := r.Survey()
	must(c.t, err)
	must(c.t, r.Clear(found, false))
	must(c.t, r.Plant())
	_, err = write(r, layers...)
	must(c.t, err)
}

func write(r *Root, layers ...[]byte) (Stats, error) {
	return writeTree(r, toc.NewTree(len(layers)), -1, layers...)
}

// writeTree writes layers, at most limit at once.
func writeTree(r *Root, tree *toc.Tree, limit int, layers ...[]byte) (Stats, error) {
	ctx := context.Background()
	w, err := r.NewWriter(ctx, tree)
	if err != nil {
		return Stats{}, err
	}
	defer w.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for rank, blob := range layers {
		group.Go(func() error {
			entries, err := layer.NewReader(bytes.NewReader(blob), layer.Limits{})
			if err != nil {
				return err
			}
			defer entries.Close()
			return w.Layer(ctx, rank, interleaved{entries})
		})
	}
	if err := group.Wait(); err != nil {
		return w.Stats(), err
	}
	return w.Stats(), w.Finish()
}

// interleaved lets other layers run between entries.
type interleaved struct{ Entries }

func (i interleaved) Next() (*layer.Entry, error) {
	runtime.Gosched()
	return i.Entries.Next()
}

// shows checks what is at paths: "content", "-> target", "dir" or "absent".
func (c *container) shows(want map[string]string) {
	c.t.Helper()
	for name, want := range want {
		if got := show(c.at(name)); got != want {
			c.t.Errorf("/%s: want %.60q, got %.60q", name, want, got)
		}
	}
}

func show(path string) string {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "absent"
	case err != nil:
		return err.Error()
	case st.Mode()&os.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		return "-> " + target
	case st.IsDir():
		return "dir"
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// warned checks that there is one warning for each text, and no other.
func (c *container) warned(texts ...string) {
	c.t.Helper()
	if len(*c.warnings) != len(texts) {
		c.t.Errorf("want %d warnings, got %q", len(texts), *c.warnings)
		return
	}
	for i, text := range texts {
		if !strings.Contains((*c.warnings)[i], text) {
			c.t.Errorf("want a warning of %q, got %q", text, (*c.warnings)[i])
		}
	}
}

var capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func nanos(n int64) Option { return Time(time.Unix(1_500_000_000, n)) }

// everything is a layer with one of everything.
func everything() []byte {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	holes := strings.Repeat("\x00", 100_000) + "data" + strings.Repeat("\x00", 200_000)
	entries := []Entry{
		Dir("etc", nanos(1)),
		Dir("bin", Mode(0o755), nanos(123456789)),
		File("bin/ping", "ping", Mode(0o755), Xattr("security.capability", capNetRaw), nanos(5)),
		File("bin/su", "su", Mode(0o4755), Owner(0, 7), nanos(7)),
		File("bin/su-user", "su", Mode(0o6711), Owner(1000, 1001)),
		File("bin/noted", "", Mode(0o640), Owner(3, 4), Xattr("user.note", "a\x00b"), Xattr("user.empty", "")),
		HardLink("bin/su-too", "bin/su", Mode(0o4755), Owner(0, 7), nanos(7)),
		HardLink("su-three", "/bin/su", Mode(0o4755), Owner(0, 7), nanos(7)),
		Symlink("bin/sym", "su", Owner(12, 13), nanos(99)),
		HardLink("sym-link", "bin/sym", Owner(12, 13)),
		Symlink("dangling", "/nowhere"),
		Dir("tmp", Mode(0o1777)),
		Dir("closed", Mode(0o000), Owner(8, 9)),
		File("closed/inside", "x", Mode(0o000)),
		Dir("group", Mode(0o2775), Owner(0, 50), Xattr("user.dir", "yes")),
		Dir("group/sub", Mode(0o755)),
		File("group/file", "not of the group", Mode(0o644)),
		Dir("dev", nanos(3)),
		Char("dev/null", 1, 3, Mode(0o666)),
		Block("dev/loop7", 7, 7, Mode(0o660), Owner(0, 6)),
		FIFO("dev/pipe", Mode(0o622), nanos(11)),
		File("big", big, Mode(0o755), Owner(1, 1), Xattr("security.capability", capNetRaw)),
		File("holes", holes, Mode(0o444)),
		File("exact", big[:64<<10]),
		File("zeros", strings.Repeat("\x00", 128<<10)),
		File("odd \xff\xfe\n\t\"name", "odd"),
		File("old", "old", Time(time.Unix(0, 0))),
		Dir(strings.Repeat("deep/", 100)+"end", nanos(2)),
	}
	for d := range 5 {
		entries = append(entries, Dir(fmt.Sprintf("many/%d", d), nanos(int64(d))))
		for f := range 40 {
			entries = append(entries, File(fmt.Sprintf("many/%d/%d", d, f), strings.Repeat("x", f*200), nanos(int64(f))))
		}
	}
	return Build(entries...)
}

// TestAgainstTar compares with what GNU tar makes of the same layer.
func TestAgainstTar(t *testing.T) {
	for _, way := range ways {
		c := newContainer(t)
		c.way = way
		c.layOut(everything())
		c.warned()

		reference := filepath.Join(c.outside, "reference")
		must(t, os.Mkdir(reference, 0o755))
		tar := exec.Command("tar", "-x", "-C", reference, "--numeric-owner", "--same-owner", "-p", "--xattrs", "--xattrs-include=*", "--delay-directory-restore")
		tar.Stdin = bytes.NewReader(everything())
		if out, err := tar.CombinedOutput(); err != nil {
			t.Fatalf("tar: %v: %s", err, out)
		}
		opts := treediff.Options{Exclude: []string{".clipper-runner", ".dockerenv", "etc/mtab"}}
		if way.once {
			opts.Exclude = append(opts.Exclude, "lib64") // of the waiter that stays
		}
		want, err := treediff.Snapshot(reference, opts)
		must(t, err)
		got, err := treediff.Snapshot(c.root, opts)
		must(t, err)
		for _, line := range treediff.Diff(want[1:], got[1:]) {
			// Parents without an entry have no time to compare.
			if !strings.HasPrefix(line, `"deep`) && !strings.HasPrefix(line, `"many": mtime`) && !strings.HasPrefix(line, `"many": mode`) {
				t.Errorf("%s: %s", way.name, line)
			}
		}
		c.shows(map[string]string{".clipper-runner/tmp": "absent", ".clipper-runner/runner": "runner", "etc/passwd": "absent", "etc/mtab": "-> /proc/mounts"})
		var st unix.Stat_t
		must(t, unix.Stat(c.at("zeros"), &st))
		if st.Size != 128<<10 || st.Blocks != 0 {
			t.Errorf("zeros: %d bytes in %d blocks", st.Size, st.Blocks)
		}
	}
}

// TestNewFilesAttributes: what a new file has by itself depends on where it is
// made, on the umask and on what it was dressed in before.
func TestNewFilesAttributes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		defer syscall.Umask(syscall.Umask(umask))
		c := newContainer(t)
		must(t, os.Mkdir(c.at("mail"), 0o755))
		must(t, os.Chown(c.at("mail"), 0, 8))
		must(t, os.Chmod(c.at("mail"), 0o755|os.ModeSetgid))
		c.layOut(Build(
			File("mail/box", "x", Mode(0o644)), Dir("mail/dir"), File("mail/own", "x", Mode(0o640), Owner(0, 8)),
			File("open", "x", Mode(0o666)), File("closed", "x", Mode(0o044)), File("su", "x", Mode(0o4755)),
			File("listed", "x", Mode(0o640), Xattr("system.posix_acl_access", accessList)),
			File("ping", "x", Mode(0o755), Xattr("security.capability", capNetRaw)), HardLink("pong", "ping", Mode(0o755)),
			File("wall", "x", Mode(0o2755)), HardLink("wall-of-others", "wall", Mode(0o2755), Owner(0, 5)),
		))
		for name, want := range map[string]string{
			"mail/box": "0:0 100644", "mail/dir": "0:0 40755", "mail/own": "0:8 100640", "open": "0:0 100666", "closed": "0:0 100044",
			"su": "0:0 104755", "listed": "0:0 100640", "ping": "0:0 100755", "wall": "0:5 102755",
		} {
			var st unix.Stat_t
			must(t, unix.Lstat(c.at(name), &st))
			if got := fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode); got != want {
				t.Errorf("umask %#o: %s: want %s, got %s", umask, name, want, got)
			}
		}
		// The later entry has no capabilities.
		if n, err := unix.Lgetxattr(c.at("ping"), "security.capability", nil); err != unix.ENODATA {
			t.Errorf("umask %#o: ping has capabilities of %d bytes: %v", umask, n, err)
		}
	}
}

// accessList lets user 7 write, so that the kernel makes the mode 0660.
var accessList = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x06\x00\x07\x00\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

// TestManyLayersAtOnce lets layers race: whatever the order, the highest wins.
func TestManyLayersAtOnce(t *testing.T) {
	const layers, names = 8, 60
	var blobs [][]byte
	want := map[string]string{}
	for rank := range layers {
		var entries []Entry
		for n := range names {
			if (n+rank)%3 == 0 {
				continue
			}
			name, content := fmt.Sprintf("d%d/f%d", n%7, n), fmt.Sprintf("%d of %d", n, rank)
			if n%11 == 3 && rank%2 == 0 {
				entries = append(entries, Symlink(name, content))
				want[name] = "-> " + content
				continue
			}
			if n%10 == 5 {
				content = strings.Repeat(content, 20_000) // streamed
			}
			entries = append(entries, File(name, content))
			want[name] = content
		}
		blobs = append(blobs, Build(entries...))
	}
	// The last layer of all removes one directory and replaces another.
	blobs = append(blobs, Build(Whiteout("d3"), Symlink("d4", "d5")))
	for name := range want {
		if strings.HasPrefix(name, "d3/") {
			want[name] = "absent"
		}
		if strings.HasPrefix(name, "d4/") {
			delete(want, name)
		}
	}
	want["d4"] = "-> d5"
	for n := range 6 {
		c := newContainer(t)
		c.way = ways[n%len(ways)]
		c.layOut(blobs...)
		c.shows(want)
		c.warned()
	}
}

// randomLayer is a layer over few names, so that much meets.
func randomLayer(random *rand.Rand, rank int) []byte {
	name := func() string {
		parts := make([]string, 1+random.IntN(3))
		for i := range parts {
			parts[i] = string(rune('a' + random.IntN(4)))
		}
		return strings.Join(parts, "/")
	}
	var entries []Entry
	var files []string
	taken := map[string]bool{} // path → is a directory
	// free reports whether the layer has nothing at, above or below path that
	// a file there would clash with.
	free := func(path string) bool {
		for other, directory := range taken {
			if other == path || beneath(other, path) || !directory && beneath(path, other) {
				return false
			}
		}
		return true
	}
	for n := range 5 + random.IntN(40) {
		path, at := name(), Time(time.Unix(int64(1000*rank+n), 5))
		kind := random.IntN(12)
		if !free(path) && kind != 8 {
			continue
		}
		taken[path] = kind < 2 || taken[path]
		switch kind {
		case 0, 1:
			entries = append(entries, Dir(path, at, Mode(int64(0o700+rank)), Owner(n, rank)))
		case 2:
			entries = append(entries, Symlink(path, name(), at))
		case 3:
			entries = append(entries, FIFO(path, at))
		case 4, 5:
			if len(files) > 0 {
				entries = append(entries, HardLink(path, files[random.IntN(len(files))]))
			}
		case 6, 7:
			entries = append(entries, Whiteout(path))
			taken[path] = true
		case 8:
			entries = append(entries, Opaque(path))
		case 9:
			entries = append(entries, File(path, strings.Repeat(fmt.Sprintln(rank, n), 20_000), at, Owner(rank, n)))
			files = append(files, path)
		default:
			entries = append(entries, File(path, fmt.Sprintln(rank, n), at, Mode(int64(0o4700+n))))
			files = append(files, path)
		}
	}
	return Build(entries...)
}

// TestRandomLayers writes random layers at once and one after the other; both
// must be what the tree says.
func TestRandomLayers(t *testing.T) {
	written, base := 0, scratch(t)
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 2))
		var layers [][]byte
		for rank := range 2 + random.IntN(4) {
			layers = append(layers, randomLayer(random, rank))
		}
		var trees [3][]treediff.Node
		var failures [3]error
		for i, limit := range []int{1, -1, -1} {
			dir := fmt.Sprintf("%s/%d", base, i)
			must(t, os.RemoveAll(dir))
			must(t, os.Mkdir(dir, 0o755))
			r, err := Open(dir, Options{Keep: []string{"keep"}, Workers: 3, AtOnce: i == 2})
			must(t, err)
			tree := toc.NewTree(len(layers))
			_, failures[i] = writeTree(r, tree, limit, layers...)
			must(t, r.Close())
			if failures[i] != nil {
				continue
			}
			trees[i], err = treediff.Snapshot(dir, treediff.Options{Exclude: []string{"keep"}})
			must(t, err)
			for _, line := range againstTree(tree, trees[i][1:]) {
				t.Errorf("seed %d, tree %d: %s", seed, i, line)
			}
		}
		if (failures[0] == nil) != (failures[1] == nil) || (failures[0] == nil) != (failures[2] == nil) {
			t.Errorf("seed %d: %v", seed, failures)
			continue
		}
		if failures[0] != nil {
			if !errors.Is(failures[0], toc.ErrEntry) {
				t.Errorf("seed %d: %v", seed, failures[0])
			}
			continue
		}
		written++
		implied := func(line string) bool { return strings.Contains(line, "mtime: want 20") } // now
		for _, other := range trees[1:] {
			for _, line := range slices.DeleteFunc(treediff.Diff(trees[0][1:], other[1:]), implied) {
				t.Errorf("seed %d: %s", seed, line)
			}
		}
		if t.Failed() {
			return
		}
	}
	if written < 30 {
		t.Errorf("only %d stacks could be written", written)
	}
}

// againstTree says where nodes are not what the tree shows.
func againstTree(tree *toc.Tree, nodes []treediff.Node) []string {
	var lines []string
	types := map[layer.Type]string{layer.Regular: "file", layer.Directory: "dir", layer.Symlink: "symlink", layer.FIFO: "fifo"}
	want := map[string]string{}
	first := map[toc.File]string{}
	for node := range tree.Walk {
		want[node.Path] = types[node.Type]
		if old, ok := first[node.File]; node.File != 0 && (!ok || node.Path < old) {
			first[node.File] = node.Path
		}
	}
	group := map[string]string{}
	for node := range tree.Walk {
		if node.File != 0 {
			group[node.Path] = first[node.File]
		}
	}
	for _, node := range nodes {
		if want[node.Path] != node.Type {
			lines = append(lines, fmt.Sprintf("%s: want %q, got %q", node.Path, want[node.Path], node.Type))
		}
		if node.Type != "dir" && node.Group != "" && node.Group != group[node.Path] || node.Group == "" && node.Type != "dir" && group[node.Path] != node.Path {
			lines = append(lines, fmt.Sprintf("%s: want a link of %q, got %q", node.Path, group[node.Path], node.Group))
		}
		delete(want, node.Path)
	}
	for path := range want {
		lines = append(lines, path+": missing")
	}
	return lines
}

func TestStats(t *testing.T) {
	c := newContainer(t)
	stats, err := write(c.open(), Build(Dir("a"), File("a/b", "12345"), Symlink("c", "d")))
	must(t, err)
	if stats != (Stats{Entries: 3, Files: 2, Bytes: 5}) {
		t.Errorf("%+v", stats)
	}
}

func TestFailures(t *testing.T) {
	t.Run("no space", func(t *testing.T) {
		dir := t.TempDir()
		mount(t, "small", dir, "tmpfs", 0, "size=1m")
		r, err := Open(dir, Options{Keep: []string{"keep"}})
		must(t, err)
		defer r.Close()
		_, err = write(r, Build(File("big", strings.Repeat("x", 3<<20))), Build(File("other", "x")))
		if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), `"/big"`) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no inodes", func(t *testing.T) {
		dir := t.TempDir()
		mount(t, "small", dir, "tmpfs", 0, "nr_inodes=8")
		r, err := Open(dir, Options{Keep: []string{"keep"}})
		must(t, err)
		defer r.Close()
		var entries []Entry
		for i := range 100 {
			entries = append(entries, File(fmt.Sprint(i), "x"))
		}
		if _, err = write(r, Build(entries...)); !errors.Is(err, ErrNoSpace) {
			t.Errorf("%v", err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		dir := t.TempDir()
		mount(t, "ro", dir, "tmpfs", unix.MS_RDONLY, "")
		if _, err := Open(dir, Options{Keep: []string{"keep"}}); !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "--read-only") {
			t.Errorf("%v", err)
		}
	})
	t.Run("truncated layer", func(t *testing.T) {
		c := newContainer(t)
		blob := Build(File("big", strings.Repeat("x", 1<<20)))
		if _, err := write(c.open(), blob[:500_000]); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("connection ends between entries", func(t *testing.T) {
		w, err := newContainer(t).open().NewWriter(t.Context(), toc.NewTree(1))
		must(t, err)
		defer w.Close()
		if err := w.Layer(t.Context(), 0, broken{}); err == nil {
			t.Error("taken for the layer's end")
		}
	})
	t.Run("canceled", func(t *testing.T) {
		c := newContainer(t)
		ctx, cancel := context.WithCancel(context.Background())
		w, err := c.open().NewWriter(ctx, toc.NewTree(1))
		must(t, err)
		defer w.Close()
		entries, err := layer.NewReader(bytes.NewReader(Build(File("a", "b"))), layer.Limits{})
		must(t, err)
		cancel()
		if err := w.Layer(ctx, 0, entries); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("spare mounted", func(t *testing.T) {
		c := newContainer(t)
		c.bindDir("own", ".clipper-runner", 0)
		if _, err := Open(c.root, c.opts); err == nil || !strings.Contains(err.Error(), "mount") {
			t.Errorf("%v", err)
		}
	})
	t.Run("nothing kept", func(t *testing.T) {
		if _, err := Open(t.TempDir(), Options{Keep: []string{"/"}}); err == nil {
			t.Error("accepted")
		}
	})
}

// broken is a layer whose connection was closed at once.
type broken struct{ io.Reader }

func (broken) Next() (*layer.Entry, error) { return nil, fmt.Errorf("read: %w", io.EOF) }

// terabyte is a layer of one file of a terabyte of zeros, as far as it is
// read.
type terabyte struct {
	once sync.Once
	left int64
}

func (z *terabyte) Next() (e *layer.Entry, err error) {
	err = errors.New("that was enough")
	z.once.Do(func() {
		e, err = &layer.Entry{Name: "sparse", Type: layer.Regular, Size: 1 << 40}, nil
	})
	return e, err
}

func (z *terabyte) Read(p []byte) (int, error) {
	if z.left -= int64(len(p)); z.left < 0 {
		return 0, errors.New("that was enough")
	}
	clear(p)
	return len(p), nil
}

func TestZerosFillNoDisk(t *testing.T) {
	c := newContainer(t)
	w, err := c.open().NewWriter(t.Context(), toc.NewTree(1))
	must(t, err)
	defer w.Close()
	// Four times what the disk holds.
	if err := w.Layer(t.Context(), 0, &terabyte{left: 256 << 20}); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("%v", err)
	}
}

// TestSingleID writes in a user namespace that knows one user only.
func TestSingleID(t *testing.T) {
	const inside = "ROOTFS_TEST_SINGLE_ID"
	if os.Getenv(inside) == "" {
		self := exec.Command("/proc/self/exe", "-test.run=^TestSingleID$", "-test.v")
		self.Env = append(os.Environ(), inside+"=1")
		one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
		self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: one, GidMappings: one}
		if out, err := self.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestSingleID")) {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir := t.TempDir()
	var warnings []string
	r, err := Open(dir, Options{Keep: []string{"keep"}, NoOwners: true, Warn: func(text string) { warnings = append(warnings, text) }})
	must(t, err)
	defer r.Close()
	_, err = write(r, Build(
		File("own", "own", Mode(0o4755)), File("other", "other", Mode(0o6755), Owner(1000, 1000)), Dir("dir", Mode(0o2755), Owner(5, 5)),
		Symlink("link", "own", Owner(7, 7)), Char("null", 1, 3), HardLink("null-too", "null")), Build(Whiteout("null-too")))
	must(t, err)
	nodes, err := treediff.Snapshot(dir, treediff.Options{Exclude: []string{"keep"}})
	must(t, err)
	modes := map[string]uint32{"own": 0o4755, "other": 0o755, "dir": 0o755, "link": 0o777}
	for _, node := range nodes[1:] {
		if want, ok := modes[node.Path]; !ok || node.Mode != want {
			t.Errorf("%s: mode %04o, want %04o", node.Path, node.Mode, want)
		}
		delete(modes, node.Path)
	}
	if len(modes) != 0 {
		t.Errorf("missing: %v", modes)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `device "/null"`) {
		t.Errorf("%q", warnings)
	}
}
