package e2e

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// layers is a hand-made image: what its layers say, from the lowest.
type layers struct {
	name   string
	layers [][]tarball.Entry
}

// Short names, because a table of layers is read as a picture.
type entries = []tarball.Entry

var (
	dir, file, symlink, hardlink = tarball.Dir, tarball.File, tarball.Symlink, tarball.HardLink
	whiteout, opaque             = tarball.Whiteout, tarball.Opaque
	mode, owner, mtime, xattr    = tarball.Mode, tarball.Owner, tarball.Time, tarball.Xattr
)

// netRaw is the value of security.capability for cap_net_raw=ep, and netRawV3
// the same in the form that names a root user.
const (
	netRaw   = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	netRawV3 = "\x01\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe8\x03\x00\x00"
)

var old = time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)

// handMade leaves out what the engine refuses: the same path twice in a layer, a
// whiteout after what takes its name, hard links to what only lower layers have.
var handMade = []layers{
	// What an entry may be.
	{"kinds", [][]tarball.Entry{{
		dir("t", mode(0o1777)), file("t/file", "content"), symlink("t/symlink", "file"), symlink("t/dangling", "/nothing/here"),
		hardlink("t/hardlink", "t/file"), tarball.Char("t/char", 1, 3, mode(0o666)), tarball.Block("t/block", 7, 99),
		tarball.FIFO("t/fifo", mode(0o600)), file("t/empty", ""), dir("t/empty-dir", mode(0)),
	}}},
	{"device numbers beyond a byte", [][]tarball.Entry{{dir("t"), tarball.Char("t/c", 259, 70000), tarball.Block("t/b", 4095, 1048575)}}},
	{"modes", [][]tarball.Entry{{
		dir("t"), file("t/setuid", "x", mode(0o4755)), file("t/setgid", "x", mode(0o2755)), file("t/sticky", "x", mode(0o1644)), file("t/none", "x", mode(0)),
		file("t/setuid-owned", "x", mode(0o6711), owner(1000, 1000)), dir("t/setgid-dir", mode(0o2775), owner(0, 50)), file("t/setgid-dir/inside", "x"),
		dir("t/setgid-dir/sub"), file("t/type-bits", "x", mode(0o100644)),
	}}},
	{"owners", [][]tarball.Entry{{
		dir("t", owner(1000, 1001)), file("t/f", "x", owner(65534, 65534)), symlink("t/l", "f", owner(33, 34)), tarball.FIFO("t/p", owner(7, 8)),
		tarball.Char("t/c", 1, 3, owner(5, 6)), file("t/big", "x", owner(3_000_000, 4_000_000)), file("t/max", "x", owner(0x7fffffff, 0x7fffffff)),
	}}},
	{"times", [][]tarball.Entry{{
		dir("t", mtime(old)), dir("t/sub", mtime(old.Add(time.Hour))), file("t/sub/f", "x", mtime(old)), symlink("t/sub/l", "f", mtime(old)),
		file("t/epoch", "x", mtime(time.Unix(0, 0))), file("t/far", "x", mtime(time.Unix(1<<33, 5))), tarball.FIFO("t/p", mtime(old)),
		tarball.Char("t/c", 1, 3, mtime(old)), hardlink("t/h", "t/sub/f", mtime(old)),
	}}},
	{"times before the epoch", [][]tarball.Entry{{dir("t"), file("t/before", "x", mtime(time.Unix(-100, 0))), dir("t/before-dir", mtime(time.Unix(-100, 0))), symlink("t/before-link", "x", mtime(time.Unix(-100, 0)))}}},
	{"xattrs", [][]tarball.Entry{{
		dir("t", xattr("user.dir", "d")), file("t/user", "x", xattr("user.one", "1"), xattr("user.two", "\x00\xff=\n")), file("t/cap", "x", mode(0o755), xattr("security.capability", netRaw)),
		file("t/cap-owned", "x", mode(0o755), owner(1000, 1000), xattr("security.capability", netRaw)),
		file("t/cap-and-setuid", "x", mode(0o4755), owner(1000, 1000), xattr("security.capability", netRaw)),
	}}},
	{"xattrs that cannot be set", [][]tarball.Entry{{dir("t"), symlink("t/l", "x", xattr("user.no", "1")), tarball.FIFO("t/p", xattr("user.no", "1"))}}},
	{"capability of a root user", [][]tarball.Entry{{dir("t"), file("t/v3", "x", mode(0o755), xattr("security.capability", netRawV3))}}},
	{"capability on a hard link", [][]tarball.Entry{{dir("t"), file("t/a", "x", mode(0o755), xattr("security.capability", netRaw)), hardlink("t/b", "t/a", mode(0o755), xattr("security.capability", netRaw))}}},
	{"names", [][]tarball.Entry{{
		dir("t"), file("t/new\nline", "x"), file("t/sp ace", "x"), file("t/ünï", "x"), file("t/bad\xff\xfeutf8", "x"), file("t/back\\slash", "x"), file("t/-dash", "x"),
		file("t/"+strings.Repeat("n", 255), "x"), symlink("t/l", "new\nline\xff"), file("t/\\040", "x"), file("t/*", "x"), file("t/..dots", "x"), file("t/...", "x"), file("t/wh.not", "x"),
	}}},
	{"deep", [][]tarball.Entry{deep(60)}},
	{"names as tools write them", [][]tarball.Entry{{
		dir("./"), dir("./t"), file("./t/./dot", "x"), file("/t/absolute", "x"), dir("t//double"), file("t//double//f", "x"), dir("t/sub/"), file("t/sub/../up", "x"),
	}}},
	{"GNU long names", [][]tarball.Entry{{
		dir("t", tarball.Format(4)), file("t/"+strings.Repeat("g", 200), "x", tarball.Format(4)), symlink("t/l", strings.Repeat("target/", 40), tarball.Format(4)),
	}}},
	{"sparse", [][]tarball.Entry{{dir("t"), tarball.Sparse("t/sparse", 3<<20, []tarball.Fragment{{Offset: 0, Data: "start"}, {Offset: 1 << 20, Data: "middle"}, {Offset: 3<<20 - 3, Data: "end"}})}}},
	{"sparse with nothing in it", [][]tarball.Entry{{dir("t"), tarball.Sparse("t/hole", 1<<20, nil)}}},
	{"global header", [][]tarball.Entry{{tarball.Global("comment", "of a commit"), dir("t"), file("t/f", "x")}}},
	{"root's attributes", [][]tarball.Entry{{dir("./", mode(0o750), owner(7, 8)), file("f", "x")}}},
	{"directories before their parents", [][]tarball.Entry{{dir("t/a/b"), file("t/a/b/f", "x"), dir("t/a", mode(0o700), owner(5, 5), mtime(old)), dir("t", mode(0o711), mtime(old))}}},

	// Hard links.
	{"hard link to an absolute name", [][]tarball.Entry{{dir("t"), file("t/a", "x"), hardlink("t/b", "/t/a"), hardlink("t/c", "./t/./a")}}},
	{"hard link to a symlink", [][]tarball.Entry{{dir("t"), file("t/a", "x"), symlink("t/l", "a"), hardlink("t/h", "t/l")}}},
	{"hard link to a device", [][]tarball.Entry{{dir("t"), tarball.Char("t/c", 1, 3), hardlink("t/h", "t/c"), tarball.FIFO("t/p"), hardlink("t/q", "t/p")}}},
	{"hard link with attributes of its own", [][]tarball.Entry{{dir("t"), file("t/a", "x", mode(0o600), owner(1, 1)), hardlink("t/b", "t/a", mode(0o755), owner(2, 2), mtime(old))}}},
	{"hard link through a symlink", [][]tarball.Entry{{dir("t"), dir("t/d"), file("t/d/f", "x"), symlink("t/l", "d"), hardlink("t/h", "t/l/f")}}},
	{"hard links replaced above", [][]tarball.Entry{
		{dir("t"), file("t/a", "x"), hardlink("t/b", "t/a"), hardlink("t/c", "t/a")},
		{dir("t"), file("t/a", "new")},
		{dir("t"), whiteout("t/b")},
	}},
	{"hard link in a layer to what the layer replaces", [][]tarball.Entry{
		{dir("t"), file("t/a", "low")},
		{dir("t"), file("t/a", "high"), hardlink("t/b", "t/a")},
	}},

	// Symlinks among the parents.
	{"lower symlink, no directory entry", [][]tarball.Entry{
		{dir("t"), dir("t/real"), file("t/real/low", "x"), symlink("t/lnk", "real")},
		{file("t/lnk/x", "high")},
	}},
	{"lower symlink, directory entry", [][]tarball.Entry{
		{dir("t"), dir("t/real"), file("t/real/low", "x"), symlink("t/lnk", "real")},
		{dir("t"), dir("t/lnk", mode(0o711)), file("t/lnk/x", "high")},
	}},
	{"symlink of the same layer", [][]tarball.Entry{
		{dir("t"), file("t/low", "x")},
		{dir("t"), dir("t/a"), symlink("t/b", "a"), file("t/b/x", "through")},
	}},
	{"absolute symlink of the same layer", [][]tarball.Entry{{dir("t"), dir("t/a"), symlink("t/b", "/t/a"), file("t/b/x", "through"), dir("t/b/sub"), hardlink("t/h", "t/b/x")}}},
	{"symlinks that lead out", [][]tarball.Entry{{dir("t"), symlink("t/up", "../../../../.."), symlink("t/abs", "/../../etc"), file("f", "x")}}},
	{"usr merge in a higher layer", [][]tarball.Entry{
		{dir("bin"), file("bin/sh", "old"), dir("usr"), dir("usr/bin")},
		{dir("usr"), dir("usr/bin"), file("usr/bin/sh", "new"), whiteout("bin"), symlink("bin", "usr/bin")},
	}},

	// Whiteouts.
	{"whiteouts", [][]tarball.Entry{
		{dir("t"), file("t/f", "x"), dir("t/d"), file("t/d/f", "x"), symlink("t/l", "f"), tarball.FIFO("t/p"), file("t/stays", "x")},
		{dir("t"), whiteout("t/f"), whiteout("t/d"), whiteout("t/l"), whiteout("t/p"), whiteout("t/never-was")},
	}},
	{"whiteout and back again", [][]tarball.Entry{
		{dir("t"), file("t/f", "one"), dir("t/d"), file("t/d/one", "x")},
		{dir("t"), whiteout("t/f"), whiteout("t/d")},
		{dir("t"), file("t/f", "three"), dir("t/d"), file("t/d/three", "x")},
	}},
	{"whiteout, then the same name as a directory", [][]tarball.Entry{
		{dir("t"), dir("t/foo"), file("t/foo/low", "x")},
		{dir("t"), whiteout("t/foo"), dir("t/foo"), file("t/foo/new", "x")},
	}},
	{"whiteout, then the same name as a file", [][]tarball.Entry{
		{dir("t"), file("t/foo", "low"), dir("t/bar"), file("t/bar/low", "x")},
		{dir("t"), whiteout("t/foo"), file("t/foo", "new"), whiteout("t/bar"), file("t/bar", "new")},
	}},
	{"opaque first", [][]tarball.Entry{
		{dir("t"), dir("t/op"), file("t/op/low", "x"), dir("t/op/sub"), file("t/op/sub/low", "x")},
		{dir("t"), dir("t/op"), opaque("t/op"), dir("t/op/sub"), file("t/op/sub/new", "x")},
	}},
	{"opaque last", [][]tarball.Entry{
		{dir("t"), dir("t/op"), file("t/op/low", "x"), dir("t/op/sub"), file("t/op/sub/low", "x")},
		{dir("t"), dir("t/op"), dir("t/op/sub"), file("t/op/sub/new", "x"), opaque("t/op")},
	}},
	{"opaque before its directory", [][]tarball.Entry{
		{dir("t"), dir("t/op"), file("t/op/low", "x")},
		{dir("t"), opaque("t/op"), dir("t/op", mode(0o700)), file("t/op/new", "x")},
	}},
	{"opaque where nothing was", [][]tarball.Entry{{dir("t"), dir("t/op"), opaque("t/op"), file("t/op/f", "x")}}},
	{"opaque over a file", [][]tarball.Entry{{dir("t"), file("t/op", "x")}, {dir("t"), dir("t/op"), opaque("t/op"), file("t/op/f", "x")}}},
	{"opaque at the root", [][]tarball.Entry{{dir("t"), file("t/low", "x"), file("low", "x")}, {opaque(""), dir("t"), file("t/new", "x")}}},
	{"opaque and whiteout", [][]tarball.Entry{
		{dir("t"), dir("t/op"), file("t/op/a", "x"), file("t/op/b", "x")},
		{dir("t"), dir("t/op"), opaque("t/op"), whiteout("t/op/a"), file("t/op/b", "new")},
		{dir("t"), dir("t/op"), file("t/op/c", "x")},
	}},
	{"names that AUFS reserved", [][]tarball.Entry{
		{dir("t"), file("t/f", "x")},
		{dir("t"), file("t/.wh..wh.aufs", "x"), dir("t/.wh..wh.plnk"), file("t/.wh..wh.plnk/1.2", "x")},
	}},

	// What is in the way.
	{"file over directory", [][]tarball.Entry{{dir("t"), dir("t/d"), dir("t/d/sub"), file("t/d/sub/f", "x")}, {dir("t"), file("t/d", "file")}}},
	{"directory over file", [][]tarball.Entry{{dir("t"), file("t/f", "x")}, {dir("t"), dir("t/f"), file("t/f/x", "x")}}},
	{"directory over file, no entry", [][]tarball.Entry{{dir("t"), file("t/f", "x")}, {file("t/f/x", "x")}}},
	{"symlink over directory", [][]tarball.Entry{{dir("t"), dir("t/d"), file("t/d/f", "x"), dir("t/e")}, {dir("t"), symlink("t/d", "e")}}},
	{"directory over symlink", [][]tarball.Entry{{dir("t"), dir("t/d"), file("t/d/f", "x"), symlink("t/l", "d")}, {dir("t"), dir("t/l")}}},
	{"every kind over every kind", everyKind()},
	{"attributes of a directory from the layer above", [][]tarball.Entry{
		{dir("t", mode(0o700), owner(1, 1), mtime(old), xattr("user.low", "1")), file("t/f", "x")},
		{dir("t", mode(0o755), owner(2, 2), xattr("user.high", "2"))},
	}},
	{"directory touched by no entry of its own", [][]tarball.Entry{{dir("t", mtime(old)), dir("t/d", mtime(old)), file("t/d/low", "x")}, {file("t/d/high", "x")}}},
	{"an empty layer among others", [][]tarball.Entry{{dir("t"), file("t/f", "x")}, {}, {dir("t"), file("t/g", "x")}}},
	{"many layers", manyLayers(60)},

	// What the engine has its own hands in.
	{"the engine's own paths", [][]tarball.Entry{{
		dir("etc"), file("etc/hosts", "image"), file("etc/hostname", "image"), symlink("etc/resolv.conf", "../run/resolv.conf"), file("etc/mtab", "image"),
		file(".dockerenv", "image"), dir("dev"), file("dev/left", "x"), dir("proc"), file("proc/left", "x"), dir("sys"), file("sys/left", "x"),
	}}},
	{"the engine's paths as links", [][]tarball.Entry{{
		dir("etc"), symlink("etc/hosts", "/run/hosts"), symlink("etc/hostname", "elsewhere"), symlink("etc/mtab", "../proc/self/mounts"),
	}}},
	{"the runner's own paths", [][]tarball.Entry{{
		dir("etc"), file("etc/passwd", "image::0:0::/:/x\n"), dir("var"), dir("var/run"), file("var/run/pid", "1"),
		dir("tmp", mode(0o1777)), dir("usr"), dir("usr/bin"), dir("root", mode(0o700)),
	}}},
	{"nothing of what the bare image has", [][]tarball.Entry{{file("only", "x")}}},
}

// deep is one path of n directories.
func deep(n int) entries {
	var list entries
	name := "t"
	for range n {
		list = append(list, dir(name, mtime(old)))
		name += "/directory-with-a-name"
	}
	return append(list, file(name, "at the bottom"))
}

// everyKind has a layer of every kind under every name, and one above in which
// each of them is every other kind.
func everyKind() [][]tarball.Entry {
	kinds := []struct {
		name string
		make func(string) entries
	}{
		{"file", func(n string) entries { return entries{file(n, n)} }},
		{"dir", func(n string) entries { return entries{dir(n), file(n+"/inside", n)} }},
		{"symlink", func(n string) entries { return entries{symlink(n, "/t")} }},
		{"fifo", func(n string) entries { return entries{tarball.FIFO(n)} }},
		{"char", func(n string) entries { return entries{tarball.Char(n, 1, 5)} }},
		{"hardlink", func(n string) entries { return entries{hardlink(n, "t/target")} }},
		{"whiteout", func(n string) entries { return entries{whiteout(n)} }},
	}
	low := entries{dir("t"), file("t/target", "low")}
	high := entries{dir("t"), file("t/target", "high")}
	for _, a := range kinds[:len(kinds)-1] {
		for _, b := range kinds {
			name := "t/" + a.name + "-" + b.name
			low, high = append(low, a.make(name)...), append(high, b.make(name)...)
		}
	}
	return [][]tarball.Entry{low, high}
}

func manyLayers(n int) [][]tarball.Entry {
	all := [][]tarball.Entry{{dir("t")}}
	for i := range n {
		name := string(rune('a' + i%7))
		layer := entries{dir("t", mtime(old.Add(time.Duration(i)*time.Second)))}
		switch i % 4 {
		case 0:
			layer = append(layer, file("t/"+name, strings.Repeat("x", i)))
		case 1:
			layer = append(layer, whiteout("t/"+name))
		default:
			layer = append(layer, dir("t/dir-"+name), file("t/dir-"+name+"/f", strings.Repeat("y", i)))
		}
		all = append(all, layer)
	}
	return all
}

// implied are, by row, the directories that no entry of a layer makes although
// it has something in them. The engine makes them while it pulls, so that their
// modification times are the pull's. Their other attributes are compared, and
// are 0755 and root's in every row: over a directory of a lower layer with
// others, containerd lets that directory's stay, as the runner does, and the
// graph drivers of Docker do not.
var implied = map[string][]string{
	"lower symlink, no directory entry":        {"t", "t/lnk"},
	"names that AUFS reserved":                 {"t/.wh..wh.plnk"},
	"directory over file, no entry":            {"t", "t/f"},
	"directory touched by no entry of its own": {"t", "t/d"},
}

func (l layers) image(docker bool) stack.Image {
	img := stack.Image{Docker: docker, Config: v1.Config{Cmd: []string{"/none"}}}
	for _, layer := range l.layers {
		img.Layers = append(img.Layers, stack.Tar(tarball.Build(layer...)))
	}
	return img
}

func TestHandMadeLayers(t *testing.T) {
	for n, c := range handMade {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			compareTrees(t, lab.Push(t, "layers/"+slug(c.name), c.image(n%2 == 0)), implied[c.name]...)
		})
	}
}
