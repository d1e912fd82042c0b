package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// hostile is an image whose layers want to reach what is not theirs.
type hostile struct {
	name   string
	layers [][]tarball.Entry
	// exit is the runner's code; 0: the program runs.
	exit int
	// unlike are trees that Docker refuses, or shows differently.
	unlike bool
}

const evil = "evil\n"

var hostiles = []hostile{
	{name: "dot-dot", layers: [][]tarball.Entry{{dir("t"), file("../../../../../../mnt/bind/new", evil), file("../../mnt/file", evil), file("t/../../../mnt/bind/victim", evil)}}, unlike: true},
	{name: "dot-dot in the middle", layers: [][]tarball.Entry{{dir("t"), file("t/../mnt/bind/new", evil), dir("t/../../mnt/bind/newdir")}}, unlike: true},
	{name: "absolute names", layers: [][]tarball.Entry{{file("/mnt/bind/new", evil), file("//mnt/bind/victim", evil), dir("/mnt/volume/new"), file("/.clipper-runner/runner", evil)}}, unlike: true},
	{name: "names of mounts", layers: [][]tarball.Entry{{dir("mnt"), dir("mnt/bind", mode(0o777), owner(5, 5)), file("mnt/bind/victim", evil), file("mnt/bind/new", evil), file("mnt/file", evil), dir("mnt/volume"), file("mnt/volume/victim", evil), dir("mnt/ro"), file("mnt/ro/new", evil)}}},

	// Symlinks, then something through them.
	{name: "absolute symlink to a mount", layers: [][]tarball.Entry{{dir("mnt"), dir("mnt/bind"), dir("mnt/volume"), symlink("l", "/mnt/bind"), file("l/new", evil), file("l/victim", evil), symlink("v", "/mnt/volume/"), dir("v/new")}}},
	{name: "relative symlink to a mount", layers: [][]tarball.Entry{{dir("mnt"), dir("mnt/bind"), dir("mnt/volume"), dir("t"), symlink("t/l", "../../../../mnt/bind"), file("t/l/new", evil)}}},
	{name: "symlink into a mount", layers: [][]tarball.Entry{{dir("mnt"), dir("mnt/bind"), dir("mnt/bind/victim-dir"), symlink("l", "/mnt/bind/victim-dir"), file("l/new", evil)}}},
	{name: "symlinks to symlinks", layers: [][]tarball.Entry{{dir("mnt"), dir("mnt/bind"), dir("mnt/volume"), symlink("a", "b"), symlink("b", "/c"), symlink("c", "./mnt/../mnt/bind"), file("a/new", evil)}}},
	{name: "symlinks in a circle", layers: [][]tarball.Entry{{symlink("a", "b"), symlink("b", "a"), file("a/new", evil)}}, exit: 88, unlike: true},
	{name: "symlink to itself", layers: [][]tarball.Entry{{symlink("a", "a"), file("a/new", evil)}}, exit: 88, unlike: true},
	{name: "symlink of a lower layer", layers: [][]tarball.Entry{{symlink("l", "/mnt/bind"), symlink("v", "/mnt/volume")}, {file("l/new", evil), dir("v"), file("v/victim", evil)}}},
	{name: "symlink of a higher layer", layers: [][]tarball.Entry{{dir("l"), file("l/new", evil), file("l/victim", evil)}, {symlink("l", "/mnt/bind")}, {file("l/newer", evil)}}},
	{name: "directory that becomes a symlink", layers: [][]tarball.Entry{{dir("l"), file("l/f", "x"), symlink("l", "/mnt/bind"), file("l/new", evil)}}, unlike: true},
	{name: "symlink that becomes a directory", layers: [][]tarball.Entry{{symlink("l", "/mnt/bind"), dir("l", mode(0o777)), file("l/new", evil)}}, unlike: true},
	{name: "symlink, attributes through it", layers: [][]tarball.Entry{{symlink("l", "/mnt/bind", mode(0o777), owner(5, 5), mtime(old)), symlink("f", "/mnt/file", owner(5, 5), mtime(old))}}},
	{name: "symlink that is replaced by its target's file", layers: [][]tarball.Entry{{symlink("f", "/mnt/file")}, {file("f", evil)}}},
	{name: "symlink to the runner", layers: [][]tarball.Entry{{symlink("l", "/.clipper-runner"), file("l/runner", evil, mode(0o4755)), file("l/new", evil), whiteout("l/applet")}}, unlike: true},
	{name: "symlink to /proc and /dev", layers: [][]tarball.Entry{{symlink("p", "/proc/sys/kernel"), file("p/core_pattern", "|/evil"), symlink("d", "/dev"), file("d/new", evil), file("d/null", evil), symlink("s", "/proc/self/root/mnt/bind"), file("s/new", evil), symlink("c", "/proc/1/cwd"), file("c/new", evil)}}, unlike: true},

	// In place of what is mounted, or of its parents.
	{name: "symlink in place of a mount", layers: [][]tarball.Entry{{dir("mnt"), symlink("mnt/bind", "/etc"), symlink("mnt/file", "/etc/passwd"), symlink("mnt/volume", "bind")}}, unlike: true},
	{name: "symlink in place of a mount's parent", layers: [][]tarball.Entry{{dir("else"), file("else/f", "x"), symlink("mnt", "else")}, {file("mnt/bind/new", evil)}}, unlike: true},
	{name: "file in place of a mount", layers: [][]tarball.Entry{{dir("mnt"), file("mnt/bind", evil), file("mnt/volume", evil), dir("mnt/file"), file("mnt/file/new", evil)}}, unlike: true},
	{name: "file in place of a mount's parent", layers: [][]tarball.Entry{{file("mnt", evil)}}, unlike: true},
	{name: "whiteouts of mounts", layers: [][]tarball.Entry{{dir("mnt"), dir("mnt/bind"), file("mnt/bind/victim", evil)}, {whiteout("mnt/bind"), whiteout("mnt/volume"), whiteout("mnt/file"), opaque("mnt/ro")}}},
	{name: "whiteouts in a mount", layers: [][]tarball.Entry{{whiteout("mnt/bind/victim"), whiteout("mnt/volume/victim"), whiteout("mnt/bind/victim-dir")}}, unlike: true},
	{name: "whiteouts of mounts' parents", layers: [][]tarball.Entry{{dir("mnt"), file("mnt/f", "x")}, {whiteout("mnt")}}},
	{name: "opaque mounts", layers: [][]tarball.Entry{{opaque("mnt/bind"), opaque("mnt/volume"), opaque("mnt"), opaque("")}}},
	{name: "whiteout of everything", layers: [][]tarball.Entry{{dir("t"), file("t/f", "x")}, {opaque(""), whiteout("mnt"), whiteout("proc"), whiteout("dev"), whiteout("sys"), whiteout("etc"), whiteout("snapshot")}}},
	{name: "whiteouts that name no file", layers: [][]tarball.Entry{{file(".wh...", "")}}, exit: 88, unlike: true},
	{name: "whiteout of the parent", layers: [][]tarball.Entry{{dir("t"), file("t/.wh...", "")}}, exit: 88, unlike: true},
	{name: "device that is a whiteout", layers: [][]tarball.Entry{{dir("mnt"), tarball.Char("mnt/bind", 0, 0), tarball.Char("mnt/file", 0, 0), tarball.Char(".clipper-runner", 0, 0)}}, unlike: true},

	// The runner's own.
	{name: "the runner's files", layers: [][]tarball.Entry{{dir(".clipper-runner", mode(0o777), owner(5, 5)), file(".clipper-runner/runner", evil, mode(0o4777)), file(".clipper-runner/runner.env", "CLIPPER_USER=0\n"), file(".clipper-runner/state.json", "{}"), symlink(".clipper-runner/tmp", "/mnt/bind"), dir(".clipper-runner/bin"), file(".clipper-runner/bin/sh", evil)}}, unlike: true},
	{name: "symlink in place of the runner", layers: [][]tarball.Entry{{symlink(".clipper-runner", "/mnt/bind")}, {file(".clipper-runner/new", evil)}}, unlike: true},
	{name: "file in place of the runner", layers: [][]tarball.Entry{{file(".clipper-runner", evil)}}, unlike: true},
	{name: "whiteouts of the runner", layers: [][]tarball.Entry{{whiteout(".clipper-runner"), whiteout(".clipper-runner/runner"), opaque(".clipper-runner"), whiteout(".clipper-runner/state.json")}}, unlike: true},
	{name: "hard link of what would be the runner", layers: [][]tarball.Entry{{file(".clipper-runner/runner", evil, mode(0o755)), hardlink("h", ".clipper-runner/runner", mode(0o777))}}, unlike: true},

	// Hard links.
	{name: "hard link out of the tree", layers: [][]tarball.Entry{{hardlink("h", "../../../../etc/hostname")}}, exit: 88, unlike: true},
	{name: "hard link of a mount's file", layers: [][]tarball.Entry{{hardlink("h", "mnt/bind/victim")}}, exit: 88, unlike: true},
	{name: "hard link of a file mount", layers: [][]tarball.Entry{{hardlink("h", "/mnt/file")}}, exit: 88, unlike: true},
	{name: "hard link of the runner", layers: [][]tarball.Entry{{hardlink("h", ".clipper-runner/runner", mode(0o4777))}}, exit: 88, unlike: true},
	{name: "hard link of a process's file", layers: [][]tarball.Entry{{hardlink("h", "proc/1/environ")}}, exit: 88, unlike: true},
	{name: "hard link through a symlink", layers: [][]tarball.Entry{{symlink("l", "/mnt/bind"), hardlink("h", "l/victim")}}, exit: 88, unlike: true},
	{name: "hard link to the root", layers: [][]tarball.Entry{{hardlink("h", "/")}}, exit: 88, unlike: true},
	{name: "hard link to a directory", layers: [][]tarball.Entry{{dir("t"), hardlink("h", "t")}}, exit: 88, unlike: true},
	{name: "hard link onto a mount", layers: [][]tarball.Entry{{file("f", evil), hardlink("mnt/bind/new", "f"), hardlink("mnt/bind/victim", "f"), hardlink("mnt/file", "f")}}},
	{name: "hard link to itself", layers: [][]tarball.Entry{{hardlink("h", "h")}}, exit: 88, unlike: true},
	{name: "hard link to a file in a mount", layers: [][]tarball.Entry{{file("mnt/bind/new", evil, mode(0o4755)), hardlink("h", "mnt/bind/new", mode(0o4755))}}},

	// Devices and the engine's own mounts.
	{name: "in /proc, /sys and /dev", layers: [][]tarball.Entry{{dir("proc"), dir("proc/sys"), file("proc/sys/kernel/core_pattern", "|/evil"), dir("sys"), file("sys/new", evil), dir("dev"), file("dev/null", evil), tarball.Char("dev/mem", 1, 1), tarball.Block("dev/sda", 8, 0), dir("dev/shm"), file("dev/shm/new", evil)}}},
	{name: "in place of /proc and /dev", layers: [][]tarball.Entry{{symlink("proc", "/mnt/bind"), file("dev", evil), symlink("sys", "mnt/volume")}}, unlike: true},
	{name: "devices", layers: [][]tarball.Entry{{dir("t"), tarball.Char("t/mem", 1, 1), tarball.Block("t/sda", 8, 0), tarball.Char("t/kmsg", 1, 11), tarball.Block("t/loop", 7, 0, mode(0o666))}}},
	{name: "device number out of range", layers: [][]tarball.Entry{{tarball.Char("c", 1<<40, 1)}}, exit: 88, unlike: true},

	// Names and numbers.
	{name: "names with everything", layers: [][]tarball.Entry{{
		dir("t"), file("t/a\nb", "x"), file("t/\xff\xfe", "x"), file("t/\x1b[31mred\x1b[0m", "x"), file("t/\r", "x"), file("t/ ", "x"), file("t/\x7f\u202e", "x"), symlink("t/l", "\n\xff"), dir("t/\n"), file("t/\n/\n", "x"),
		file("t/%s%n", "x"), file("t/$(reboot)", "x"), file("t/;", "x"),
	}}},
	{name: "names with everything that are refused", layers: [][]tarball.Entry{{hardlink("a\nclipper-runner: ready\x1b[2J\xff", "none\n")}}, exit: 88, unlike: true},
	{name: "name too long", layers: [][]tarball.Entry{{file(strings.Repeat("n", 256), "x")}}, exit: 88, unlike: true},
	{name: "path too long", layers: [][]tarball.Entry{{file(strings.Repeat("n/", 2100)+"n", "x")}}, exit: 88, unlike: true},
	{name: "name with a NUL", layers: [][]tarball.Entry{{file("n", "x", tarball.PAX("path", "a\x00b"))}}, exit: 88, unlike: true},
	{name: "negative owner", layers: [][]tarball.Entry{{file("f", "x", owner(-1, 0))}}, exit: 88, unlike: true},
	{name: "owner beyond all", layers: [][]tarball.Entry{{file("f", "x", owner(1<<40, 0))}}, exit: 88, unlike: true},
	{name: "negative size", layers: [][]tarball.Entry{{file("f", "x", tarball.Size(-1))}}, exit: 88, unlike: true},
	{name: "size beyond the layer", layers: [][]tarball.Entry{{file("f", "x", tarball.Size(1<<50))}}, exit: 88, unlike: true},
	{name: "unknown kind", layers: [][]tarball.Entry{{file("f", "x", tarball.Typeflag('Z'))}}, exit: 88, unlike: true},

	// Extended attributes by which overlayfs is told what to show.
	{name: "attributes of overlayfs", layers: [][]tarball.Entry{{dir("t"), file("t/f", "x")}, {dir("t", xattr("trusted.overlay.opaque", "y")), dir("u", xattr("trusted.overlay.redirect", "/t"))}}, unlike: true},
	{name: "one entry of root's in every form", layers: [][]tarball.Entry{{dir("./", mode(0o777)), dir("/", mode(0o777)), dir("..", mode(0o777)), dir("t/..", mode(0o777)), symlink("/", "/mnt/bind"), file("./.", evil)}}, unlike: true},
}

// mounted is what a hostile container has mounted, with its content.
type mounted struct {
	flags []string
	dirs  []string
}

// mountVictims makes mounts of every kind.
func mountVictims(t *testing.T) mounted {
	t.Helper()
	scratch := lab.Scratch(t)
	volume := lab.Engine.Volume(t, lab)
	m := mounted{dirs: []string{filepath.Join(scratch, "bind"), filepath.Join(scratch, "ro"), lab.Engine.VolumeDir(t, volume)}}
	for _, dir := range m.dirs {
		if err := os.MkdirAll(filepath.Join(dir, "victim-dir"), 0o711); err != nil {
			t.Fatal(err)
		}
		plain(t, dir, "victim")
	}
	lone := filepath.Join(scratch, "lone")
	if err := os.Mkdir(lone, 0o700); err != nil {
		t.Fatal(err)
	}
	m.dirs = append(m.dirs, lone)
	m.flags = []string{
		"--volume", m.dirs[0] + ":/mnt/bind", "--volume", m.dirs[1] + ":/mnt/ro:ro", "--volume", volume + ":/mnt/volume",
		"--volume", plain(t, lone, "file") + ":/mnt/file",
		"--volume", lab.Program(t, "test/treediff/snapshot") + ":/snapshot:ro",
	}
	return m
}

func (m mounted) snapshots(t *testing.T) (all [][]treediff.Node) {
	t.Helper()
	for _, dir := range m.dirs {
		nodes, err := treediff.Snapshot(dir, treediff.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, nodes)
	}
	return all
}

// runVictim runs the image through the runner among mounts, and checks that
// neither these nor the runner's own files have changed. home is what these
// are in a container that did nothing. It returns what was printed.
func runVictim(t *testing.T, ref string, exit int, home []treediff.Node) stack.Result {
	t.Helper()
	m := mountVictims(t)
	before := m.snapshots(t)
	container := lab.Start(t, stack.RunSpec{Image: ref, Via: stack.Runner, User: "0:0", Entrypoint: []string{"/snapshot", "-exclude", "/.clipper-runner"}, Flags: m.flags})
	code := container.Wait(t)
	logs := container.Logs(t)
	if code != fmt.Sprint(exit) {
		t.Errorf("exit %s, want %d: %s", code, exit, logs.Stderr)
	}
	for n, after := range m.snapshots(t) {
		if differences := treediff.Diff(before[n], after); len(differences) > 0 {
			t.Errorf("what is mounted has changed:\n%s", strings.Join(differences, "\n"))
		}
	}
	if differences := treediff.Diff(home, homeOf(t, container, code != "0"), treediff.MTime); len(differences) > 0 {
		t.Errorf("the runner's own files have changed:\n%s", strings.Join(differences, "\n"))
	}
	if code != "0" {
		checkRefusal(t, exit, logs)
	}
	if i := strings.IndexFunc(logs.Stderr, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x202e || r == utf8.RuneError }); i >= 0 {
		t.Errorf("standard error holds what a terminal obeys: %q", logs.Stderr)
	}
	return logs
}

// homeOf is what a container has in /.clipper-runner, without what the runner
// keeps of an image there, and without the set-uid bit that it gives up. A
// layout that is unfinished has a directory more, which must be empty.
func homeOf(t *testing.T, container *stack.Container, unfinished bool) []treediff.Node {
	t.Helper()
	all, err := treediff.FromTar(strings.NewReader(container.Do(t, "export")), treediff.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []treediff.Node
	for _, node := range all {
		kept, inside := strings.CutPrefix(node.Path, ".clipper-runner")
		if !inside || kept == "/state.json" || unfinished && kept == "/tmp" {
			continue
		}
		if kept == "/runner" {
			node.Mode &^= 0o4000
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// idleHome is homeOf a container in which nothing was laid out.
func idleHome(t *testing.T) []treediff.Node {
	t.Helper()
	container := lab.Start(t, stack.RunSpec{Via: stack.Runner})
	if code := container.Wait(t); code != "87" {
		t.Fatalf("without settings: exit %s, want 87", code)
	}
	return homeOf(t, container, false)
}

// TestHostileLayers: an image reaches nothing but its own tree, in whatever
// order it tries. Where Docker takes such an image the tree is Docker's.
func TestHostileLayers(t *testing.T) {
	home := idleHome(t)
	for _, c := range hostiles {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "hostile/"+slug(c.name), layers{layers: c.layers}.image(false))
			logs := runVictim(t, ref, c.exit, home)
			if c.unlike || t.Failed() {
				return
			}
			got, err := treediff.Read(strings.NewReader(logs.Stdout))
			if err != nil {
				t.Fatal(err)
			}
			lab.Engine.Pull(t, ref)
			compare(t, lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Direct, Flags: mountVictims(t).flags}), got, "mnt", "l", "v") // made by the engine while it pulls
		})
	}
}

// pushBlobs pushes an image of these layers, compressed already.
func pushBlobs(t *testing.T, repository string, blobs ...[]byte) string {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, blob := range blobs {
		// Its diff ID is wrong, which only Docker would mind.
		if img, err = mutate.AppendLayers(img, static.NewLayer(blob, types.OCILayer)); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := name.ParseReference(lab.Registry+"/"+repository+":e2e", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

// bomb is a layer that is much larger than it looks.
type bomb struct {
	name string
	blob func(t *testing.T) []byte
	// memory is what the container may have.
	memory string
	exit   int
	// slow ones take minutes.
	slow bool
}

var bombs = []bomb{
	{name: "zeros", blob: func(*testing.T) []byte { return zeroBomb(4 << 30) }, memory: "256m"},
	{name: "sparse", blob: sparseBomb(32 << 30), memory: "256m"},
	{name: "sparse, a terabyte", blob: sparseBomb(1 << 40), memory: "256m", slow: true},
	{name: "sparse, beyond all", blob: sparseBomb(1<<63 - 1), memory: "256m", exit: 88},
	{name: "too many whiteouts", blob: func(t *testing.T) []byte {
		return manyEntries(t, 4_000_001, func(n int) tarball.Entry { return whiteout(fmt.Sprintf("d%03d/f%d", n%1000, n)) })
	}, memory: "512m", exit: 88},
	{name: "too many of the same name", blob: func(*testing.T) []byte {
		return repeated(tarball.Unended(tarball.FIFO("f")), 4_000_001)
	}, memory: "256m", exit: 88, slow: true},
	{name: "too many global headers", blob: func(*testing.T) []byte {
		return repeated(tarball.Unended(tarball.Global("comment", "x")), 4_000_001)
	}, memory: "256m", exit: 88, slow: true},
	{name: "extended header too large", blob: func(*testing.T) []byte {
		return tarball.Gzip(tarball.Build(file("f", "x", tarball.PAX("comment", strings.Repeat("c", 2<<20)))))
	}, memory: "256m", exit: 88},
	{name: "extended headers", blob: func(*testing.T) []byte {
		return repeated(tarball.Unended(file("f", "x", tarball.PAX("comment", strings.Repeat("c", 1<<19)))), 600)
	}, memory: "256m"},
	{name: "attributes", blob: func(t *testing.T) []byte {
		return manyEntries(t, 8000, func(n int) tarball.Entry {
			return file(fmt.Sprintf("f%d", n), "", xattr("user.a", strings.Repeat("v", 3000)))
		})
	}, memory: "128m"},
}

// sparseBomb is one file of this size with nothing in it but its last bytes.
func sparseBomb(size int64) func(*testing.T) []byte {
	return func(*testing.T) []byte {
		return tarball.Gzip(tarball.Build(tarball.Sparse("big", size, []tarball.Fragment{{Offset: size - 4, Data: "end\n"}})))
	}
}

// zeroBomb is a file of size zeros, in gzip members of which all but the first
// and the last are the same.
func zeroBomb(size int64) []byte {
	const piece = 64 << 20
	header := tarball.Unended(file("big", "", tarball.Size(size)))
	zeros := tarball.Gzip(make([]byte, piece))
	blob := tarball.Gzip(header)
	for range size / piece {
		blob = append(blob, zeros...)
	}
	return append(blob, tarball.Gzip(make([]byte, 1024))...)
}

// repeated is a layer of n times the same entry.
func repeated(entry []byte, n int) []byte {
	const atOnce = 1000
	piece := tarball.Gzip(bytes.Repeat(entry, min(n, atOnce)))
	var blob []byte
	for ; n >= atOnce; n -= atOnce {
		blob = append(blob, piece...)
	}
	return append(append(blob, tarball.Gzip(bytes.Repeat(entry, n))...), tarball.Gzip(make([]byte, 1024))...)
}

// manyEntries is a layer of n different entries.
func manyEntries(t *testing.T, n int, entry func(int) tarball.Entry) []byte {
	t.Helper()
	var blob bytes.Buffer
	compressor, err := gzip.NewWriterLevel(&blob, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := compressor.Write(tarball.Unended(entry(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := compressor.Write(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	if err := compressor.Close(); err != nil {
		t.Fatal(err)
	}
	return blob.Bytes()
}

// TestBombs: what is small on the way and large when unpacked costs neither
// memory nor disk without end.
func TestBombs(t *testing.T) {
	for _, c := range bombs {
		if c.slow && !*long {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref := pushBlobs(t, "bombs/"+slug(c.name), c.blob(t))
			container := lab.Start(t, stack.RunSpec{Image: ref, Via: stack.Runner, Entrypoint: []string{"/program", "exit", "0"}, Flags: []string{
				"--memory", c.memory, "--volume", lab.Program(t, "test/e2e/probe") + ":/program:ro",
			}})
			code := container.Wait(t)
			logs := container.Logs(t)
			if code != fmt.Sprint(c.exit) {
				t.Errorf("exit %s, want %d: %s", code, c.exit, logs.Stderr)
			}
			if c.exit != 0 {
				checkRefusal(t, c.exit, logs)
			}
			if state := container.Do(t, "inspect", "--format", "{{.State.OOMKilled}}"); state != "false" {
				t.Error("it was killed for its memory")
			}
			const most = 128 << 20
			if used := onDisk(t, container.Do(t, "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}")); used > most {
				t.Errorf("it takes %d bytes of the disk, more than %d", used, most)
			}
		})
	}
}

// onDisk is how many bytes of the disk the files below dir take.
func onDisk(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// TestLargeManifest: a manifest beyond the limit is refused before it is held.
func TestLargeManifest(t *testing.T) {
	large := bytes.Repeat([]byte(" "), 17<<20)
	copy(large, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[`)
	for name, fault := range map[string]faultproxy.Fault{
		"announced":      faultproxy.Replace("application/vnd.oci.image.manifest.v1+json", large),
		"unknown length": faultproxy.Endless("application/vnd.oci.image.manifest.v1+json", []byte(" ")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := lab.Proxy(t, faultproxy.Rule{Kind: faultproxy.Manifest, Fault: fault})
			got := lab.Run(t, stack.RunSpec{Image: proxy.Addr + "/large:manifest", Via: stack.Runner, Flags: []string{"--memory", "128m"}})
			if got.Exit != 88 {
				t.Errorf("exit %d, want 88: %s", got.Exit, got.Stderr)
			}
			checkRefusal(t, got.Exit, got)
		})
	}
}
