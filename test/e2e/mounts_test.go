package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// mountImage has content wherever the mounts of the cases go.
func mountImage(t *testing.T) stack.Image {
	img := busybox(t)
	img.Layers = append(img.Layers, stack.Tar(tarball.Build(
		dir("data", mode(0o750), owner(1000, 1000), mtime(old)), file("data/f", "image's", owner(1000, 1000)), dir("data/sub", mode(0o711), mtime(old)),
		file("data/sub/setuid", "x", mode(0o4755)), hardlink("data/sub/link", "data/f", owner(1000, 1000)), symlink("data/l", "f", owner(5, 5)), tarball.FIFO("data/p"),
		file("data/cap", "x", mode(0o755), xattr("security.capability", netRaw)),
		dir("etc"), dir("etc/app"), dir("etc/app/conf.d"), file("etc/app/one.conf", "image's"), file("etc/app/two.conf", "image's"),
		dir("opt"), dir("opt/a"), dir("opt/a/b"), file("opt/a/b/f", "x"),
		dir("usr"), dir("usr/sbin"), file("usr/sbin/tool", "tool\n"), symlink("sbin", "usr/sbin"),
		dir("real"), file("real/f", "real\n"), dir("real/sub"), symlink("link", "real"),
	))) // sbin and link are what mounts end up beneath
	return img
}

// mountCase is a container with mounts. Each run gets mounts of its own, made
// alike, and what is in them afterwards is compared too.
type mountCase struct {
	name string
	// flags makes the mounts and returns the flags for them, and the
	// directories on this machine to compare.
	flags func(t *testing.T, scratch string) (flags, dirs []string)
	// touched are the directories in which the engine makes mount points.
	touched []string
	// covered are paths in the mounts that another mount lies over: the
	// engine fills a volume there before that mount is made.
	covered []string
}

// tree makes a directory with a little content.
func tree(t *testing.T, scratch string) string {
	t.Helper()
	name := filepath.Join(scratch, "bind")
	if err := os.MkdirAll(filepath.Join(name, "own"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain(t, filepath.Join(name, "own"), "f")
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	return name
}

// plain makes a file.
func plain(t *testing.T, dir, base string) string {
	t.Helper()
	name := filepath.Join(dir, base)
	if err := os.WriteFile(name, []byte("the mount's\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	return name
}

// bind is a case of one bind mount of a directory.
func bind(target, options string) func(*testing.T, string) ([]string, []string) {
	return func(t *testing.T, scratch string) ([]string, []string) {
		name := tree(t, scratch)
		return []string{"--volume", name + ":" + target + options}, []string{name}
	}
}

// bindFile is a case of one bind mount of a file.
func bindFile(target string) func(*testing.T, string) ([]string, []string) {
	return func(t *testing.T, scratch string) ([]string, []string) {
		return []string{"--volume", plain(t, scratch, "bound") + ":" + target}, []string{scratch}
	}
}

// volume is a case of one empty named volume.
func volume(target, options string) func(*testing.T, string) ([]string, []string) {
	return func(t *testing.T, _ string) ([]string, []string) {
		name := lab.Engine.Volume(t, lab)
		return []string{"--mount", "type=volume,source=" + name + ",target=" + target + options}, []string{lab.Engine.VolumeDir(t, name)}
	}
}

func only(flags ...string) func(*testing.T, string) ([]string, []string) {
	return func(*testing.T, string) ([]string, []string) { return flags, nil }
}

// mountCases has no empty volume that is read-only or made with
// volume-nocopy: the engine fills the one before it mounts it, which cannot be
// done from inside, and the other cannot be told from inside.
var mountCases = []mountCase{
	{name: "empty volume over content", flags: volume("/data", ""), touched: []string{"data"}},
	{name: "empty volume over nothing", flags: volume("/new", "")},
	{name: "volume at depth over content", flags: volume("/opt/a/b", ""), touched: []string{"opt/a"}},
	{name: "volume at depth over nothing", flags: volume("/opt/a/new/deep/er", ""), touched: []string{"opt/a", "opt/a/new", "opt/a/new/deep"}},
	{name: "volume that has content", flags: func(t *testing.T, scratch string) ([]string, []string) {
		flags, dirs := volume("/data", "")(t, scratch)
		plain(t, dirs[0], "kept")
		return flags, dirs
	}},
	{name: "anonymous volume", flags: only("--volume", "/data")},
	{name: "bind over content", flags: bind("/data", "")},
	{name: "read-only bind over content", flags: bind("/data", ":ro")},
	{name: "bind over nothing", flags: bind("/opt/a/new/deep", ""), touched: []string{"opt/a", "opt/a/new"}},
	{name: "bind of an empty directory", flags: func(t *testing.T, scratch string) ([]string, []string) {
		empty := filepath.Join(scratch, "empty")
		if err := os.Mkdir(empty, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(empty, old, old); err != nil {
			t.Fatal(err)
		}
		return []string{"--volume", empty + ":/data"}, []string{empty}
	}},
	{name: "bind inside a volume", flags: func(t *testing.T, scratch string) ([]string, []string) {
		flags, dirs := volume("/data", "")(t, scratch)
		name := tree(t, scratch)
		return append(flags, "--volume", name+":/data/sub"), append(dirs, name)
	}, touched: []string{"data"}, covered: []string{"sub"}},
	{name: "file bind over a file", flags: bindFile("/etc/app/one.conf")},
	{name: "file bind beside files", flags: bindFile("/etc/app/new.conf"), touched: []string{"etc/app"}},
	{name: "file bind in a new directory", flags: bindFile("/etc/new/deep/f"), touched: []string{"etc/new", "etc/new/deep"}},
	{name: "socket in /var/run", flags: func(t *testing.T, scratch string) ([]string, []string) {
		name := filepath.Join(scratch, "x.sock")
		if err := unix.Mknod(name, unix.S_IFSOCK|0o660, 0); err != nil {
			t.Fatal(err)
		}
		for _, made := range []string{name, scratch} {
			if err := os.Chtimes(made, old, old); err != nil {
				t.Fatal(err)
			}
		}
		return []string{"--volume", name + ":/var/run/x.sock"}, []string{scratch}
	}, touched: []string{"run"}},
	{name: "tmpfs", flags: only("--tmpfs", "/tmp", "--tmpfs", "/run"), touched: []string{}},
	{name: "tmpfs over content", flags: only("--tmpfs", "/data"), touched: []string{}},
}

func TestMounts(t *testing.T) {
	ref := lab.Push(t, "mounts/image", mountImage(t))
	lab.Engine.Pull(t, ref)
	for _, c := range mountCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wantTree, wantDirs := c.run(t, ref, stack.Direct)
			gotTree, gotDirs := c.run(t, ref, stack.Runner)
			compare(t, wantTree, gotTree, c.touched...)
			for n := range wantDirs {
				if differences := treediff.Diff(wantDirs[n], gotDirs[n]); len(differences) > 0 {
					t.Errorf("what is mounted differs:\n%s", strings.Join(differences, "\n"))
				}
			}
		})
	}
}

// run returns the container's tree, and those of the mounts when it has ended.
func (c mountCase) run(t *testing.T, ref string, via stack.Via) (root []treediff.Node, dirs [][]treediff.Node) {
	flags, names := c.flags(t, lab.Scratch(t))
	root = lab.Snapshot(t, stack.RunSpec{Image: ref, Via: via, Flags: flags})
	for _, name := range names {
		nodes, err := treediff.Snapshot(name, treediff.Options{Exclude: c.covered})
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "_data" {
			nodes = withoutDirectoryTimes(nodes)
		}
		dirs = append(dirs, nodes)
	}
	return root, dirs
}

// withoutDirectoryTimes is for volumes: the engine, filling one, leaves its
// directories with the time of their making.
func withoutDirectoryTimes(nodes []treediff.Node) []treediff.Node {
	for i := range nodes {
		if nodes[i].Type == "dir" {
			nodes[i].MTime = 0
		}
	}
	return nodes
}

// TestDeclaredVolume: the engine fills an anonymous volume where an image it
// runs declares one. Through the runner the same content is in the container.
func TestDeclaredVolume(t *testing.T) {
	img := mountImage(t)
	img.Config.Volumes = map[string]struct{}{"/data": {}, "/new/volume": {}}
	ref := lab.Push(t, "mounts/declared", img)
	lab.Engine.Pull(t, ref)
	for _, root := range []string{"/data", "/new/volume"} {
		want := lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Direct, Args: []string{"-root", root}})
		got := lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Runner, Args: []string{"-root", root}})
		want, got = withoutDirectoryTimes(want), withoutDirectoryTimes(got)
		if differences := treediff.Diff(want, got); len(differences) > 0 {
			t.Errorf("%s differs:\n%s", root, strings.Join(differences, "\n"))
		}
	}
}

// TestMountBeneathSymlink: where the image has a symlink the engine, which
// knows only the bare image, has made a directory to mount in. It cannot go,
// so the tree differs there; what a program reads must not.
func TestMountBeneathSymlink(t *testing.T) {
	ref := lab.Push(t, "mounts/symlink", mountImage(t))
	lab.Engine.Pull(t, ref)
	for _, c := range []struct {
		name   string
		flags  func(*testing.T, string) ([]string, []string)
		script string
	}{
		{"init", only("--init"), "cat /sbin/tool /usr/sbin/tool; ls /sbin/; test -x /sbin/docker-init && echo init"},
		{"directory", bind("/link/sub", ""), "cat /link/f /real/f /link/sub/own/f; ls /link/"},
		{"file", bindFile("/link/file"), "cat /link/f /link/file; ls /link/"},
		{"volume", volume("/link/sub", ""), "cat /link/f; ls /link/ /link/sub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run := func(via stack.Via) stack.Result {
				flags, _ := c.flags(t, lab.Scratch(t))
				return lab.Run(t, stack.RunSpec{Image: ref, Via: via, Flags: flags, Args: []string{"sh", "-c", c.script}})
			}
			want, got := run(stack.Direct), run(stack.Runner)
			if want.Exit != 0 || got.Exit != 0 || got.Stdout != want.Stdout {
				t.Errorf("want exit %d:\n%s%s\ngot exit %d:\n%s%s", want.Exit, want.Stdout, want.Stderr, got.Exit, got.Stdout, got.Stderr)
			}
		})
	}
}

// TestReadOnlyRoot: there is nowhere to lay the image out, and that is said.
func TestReadOnlyRoot(t *testing.T) {
	ref := lab.Push(t, "mounts/read-only", mountImage(t))
	got := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, Args: []string{"true"}, Flags: []string{"--read-only"}})
	if got.Exit < 80 || got.Exit > 89 || !strings.Contains(got.Stderr, "read-only") {
		t.Errorf("want one of the runner's exit codes and a line that says read-only, got %d: %s", got.Exit, got.Stderr)
	}
}
