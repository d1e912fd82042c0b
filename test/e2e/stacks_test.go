package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// stacksPerImage is how many random stacks share an image, each in a
// directory of its own: a container costs more than what is in it.
const stacksPerImage = 10

// TestRandomStacks compares random layer stacks. A difference's path begins
// with the seed of its stack; -stacks 1 -seed N makes it alone.
func TestRandomStacks(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("stacks %d, first seed %d: go test ./test/e2e -run TestRandomStacks -stacks %d -seed %d", *stacks, first, *stacks, first)
	for from := 0; from < *stacks; from += stacksPerImage {
		seeds := make([]uint64, 0, stacksPerImage)
		for n := from; n < min(from+stacksPerImage, *stacks); n++ {
			seeds = append(seeds, first+uint64(n))
		}
		t.Run(fmt.Sprintf("seeds %d to %d", seeds[0], seeds[len(seeds)-1]), func(t *testing.T) {
			t.Parallel()
			compareStacks(t, seeds, stack.Compression(from/stacksPerImage%3))
		})
	}
}

// compareStacks compares an image of these stacks. The engine, which may be
// too old for zstd, gets a twin compressed with gzip.
func compareStacks(t *testing.T, seeds []uint64, compression stack.Compression) {
	img := stackImage(seeds)
	repository := fmt.Sprintf("stacks/%d", seeds[0])
	ref := lab.Push(t, repository, img)
	twin := ref
	if compression != stack.Gzip {
		twin = lab.Push(t, repository+"-twin", img.With(compression))
	}
	lab.Engine.Pull(t, ref)
	want := lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Direct})
	compare(t, want, lab.Snapshot(t, stack.RunSpec{Image: twin, Via: stack.Runner}))
}

func stackImage(seeds []uint64) stack.Image {
	var merged [][]tarball.Entry
	for _, seed := range seeds {
		for n, layer := range randomStack(seed) {
			if n == len(merged) {
				merged = append(merged, nil)
			}
			merged[n] = append(merged[n], layer...)
		}
	}
	img := stack.Image{Docker: seeds[0]%2 == 0, Config: v1.Config{Cmd: []string{"/none"}}}
	for _, layer := range merged {
		img.Layers = append(img.Layers, stack.Tar(tarball.Build(layer...)))
	}
	return img
}

// randomStack makes the layers of one stack in a directory named for its
// seed. Engines disagree on, or refuse, layers that no builder writes, so:
// every entry's parents are entries of its layer (the attributes of implied
// parents differ by engine), no name stands twice in a layer, a whiteout comes
// before what takes its name, and hard links name what the layer itself has.
func randomStack(seed uint64) [][]tarball.Entry {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), root: fmt.Sprintf("seed-%d", seed)}
	g.visible = map[string]bool{g.root: true}
	var all [][]tarball.Entry
	for range 2 + g.IntN(5) {
		all = append(all, g.layer(5+g.IntN(40)))
	}
	return all
}

// generator makes one stack. It keeps just enough of the tree to hit upon
// names that exist.
type generator struct {
	*rand.Rand
	root    string
	visible map[string]bool // what lower layers show: path → is a directory

	// Of the layer being made:
	entries []tarball.Entry
	late    []tarball.Entry // opaque whiteouts kept for the end
	own     map[string]kind
	given   map[string][]tarball.Option // attributes of what may be linked to
	opaque  map[string]bool
}

// kind is what the layer being made has at a path.
type kind int

const (
	isDir kind = iota + 1
	isLinkable
	isSymlinkToDir
	isHidden
)

func (g *generator) layer(operations int) []tarball.Entry {
	g.entries, g.late, g.own, g.opaque, g.given = nil, nil, map[string]kind{}, map[string]bool{}, map[string][]tarball.Option{}
	g.parents(g.root + "/x")
	for range operations {
		name := g.name()
		if g.own[name] != 0 && g.own[name] != isHidden || !g.parents(name) {
			continue
		}
		g.operation(name)
	}
	g.show()
	return append(g.entries, g.late...)
}

// operation adds one entry at name, whose parents are in the layer.
func (g *generator) operation(name string) {
	switch dice := g.IntN(100); {
	case dice < 32:
		g.given[name] = g.fileAttributes()
		g.add(name, isLinkable, tarball.File(name, g.content(), g.given[name]...))
	case dice < 46:
		g.add(name, isDir, tarball.Dir(name, g.dirAttributes()...))
	case dice < 56:
		g.symlink(name)
	case dice < 64:
		g.hardLink(name)
	case dice < 67:
		g.given[name] = g.attributes()
		g.add(name, isLinkable, tarball.FIFO(name, g.given[name]...))
	case dice < 70:
		g.given[name] = g.attributes()
		g.add(name, isLinkable, tarball.Char(name, 1+g.Int64N(300), g.Int64N(70000), g.given[name]...))
	case dice < 72:
		g.given[name] = g.attributes()
		g.add(name, isLinkable, tarball.Block(name, 1+g.Int64N(300), g.Int64N(300), g.given[name]...))
	case dice < 88:
		if g.own[name] == 0 && g.merges(path.Dir(name)) {
			g.add(name, isHidden, tarball.Whiteout(name))
		}
	case dice < 94:
		g.hideAll(path.Dir(name))
	default:
		g.throughSymlink()
	}
}

func (g *generator) add(name string, k kind, entry tarball.Entry) {
	g.own[name] = k
	g.entries = append(g.entries, entry)
}

// parents puts the directories above name into the layer. It says no where the
// layer has something else in their place.
func (g *generator) parents(name string) bool {
	parent := path.Dir(name)
	if parent == "." {
		return true
	}
	switch g.own[parent] {
	case isDir:
		return true
	case 0, isHidden:
		if !g.parents(parent) {
			return false
		}
		g.add(parent, isDir, tarball.Dir(parent, g.dirAttributes()...))
		return true
	}
	return false
}

func (g *generator) symlink(name string) {
	directories := g.having(isDir)
	target := directories[g.IntN(len(directories))]
	if g.IntN(3) == 0 {
		dangling := []string{"../nowhere", "/etc/passwd", ".", "..", "a/../b", strings.Repeat("long/", 30)}
		g.given[name] = g.attributes()
		g.add(name, isLinkable, tarball.Symlink(name, dangling[g.IntN(len(dangling))], g.given[name]...))
		return
	}
	if g.IntN(2) == 0 {
		g.add(name, isSymlinkToDir, tarball.Symlink(name, "/"+target, g.attributes()...))
		return
	}
	up := strings.Repeat("../", strings.Count(path.Dir(name), "/")+1)
	g.add(name, isSymlinkToDir, tarball.Symlink(name, up+target, g.attributes()...))
}

// hardLink links to what the layer has. Builders give the link's entry the
// attributes of its target; now and then it gets others, which then are those
// of all names of the file.
func (g *generator) hardLink(name string) {
	targets := g.having(isLinkable)
	if len(targets) == 0 {
		return
	}
	target := targets[g.IntN(len(targets))]
	attributes := g.given[target]
	if g.IntN(12) == 0 {
		attributes = g.attributes()
	}
	g.given[name] = attributes
	g.add(name, isLinkable, tarball.HardLink(name, target, attributes...))
}

// throughSymlink writes a file by a name that leads through a symlink of the
// same layer, if the directory it leads to has room for it.
func (g *generator) throughSymlink() {
	links := g.having(isSymlinkToDir)
	if len(links) == 0 {
		return
	}
	name := links[g.IntN(len(links))] + "/" + fmt.Sprintf("through-%d", g.IntN(1_000_000))
	g.entries = append(g.entries, tarball.File(name, g.content(), g.fileAttributes()...))
}

// hideAll makes dir opaque, in its place or at the end of the layer.
func (g *generator) hideAll(dir string) {
	if dir == g.root && g.IntN(4) > 0 || g.opaque[dir] || g.hides(dir) {
		return
	}
	g.opaque[dir] = true
	if g.IntN(2) == 0 {
		g.late = append(g.late, tarball.Opaque(dir))
		return
	}
	g.entries = append(g.entries, tarball.Opaque(dir))
}

// merges says whether dir shows lower layers. Where it does not, overlayfs
// lists a whiteout's name although nothing is there.
func (g *generator) merges(dir string) bool {
	if !g.visible[dir] {
		return false
	}
	for ; dir != "."; dir = path.Dir(dir) {
		if g.opaque[dir] {
			return false
		}
	}
	return true
}

// hides says whether the layer has a whiteout beneath dir.
func (g *generator) hides(dir string) bool {
	for name, k := range g.own {
		if k == isHidden && strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// show brings the layer's entries into what the next layer sees.
func (g *generator) show() {
	for dir := range g.opaque {
		g.hide(dir)
	}
	for name, k := range g.own {
		if k != isDir {
			g.hide(name)
			delete(g.visible, name)
		}
	}
	for name, k := range g.own {
		if k != isHidden {
			g.visible[name] = k == isDir
		}
	}
}

// hide forgets what is beneath dir.
func (g *generator) hide(dir string) {
	maps.DeleteFunc(g.visible, func(name string, _ bool) bool { return strings.HasPrefix(name, dir+"/") })
}

// name is a path that exists, more often than not, or a new one.
func (g *generator) name() string {
	names := slices.Sorted(maps.Keys(g.visible))
	name := names[g.IntN(len(names))]
	if name != g.root && g.IntN(100) < 60 {
		return name
	}
	for g.IntN(3) > 0 || name == g.root {
		name += "/" + g.element()
	}
	return name
}

func (g *generator) element() string {
	odd := []string{"new\nline", "sp ace", "ünï", "\xff\xfe", "*", "...", strings.Repeat("n", 200), "wh.", "\\"}
	if g.IntN(15) == 0 {
		return odd[g.IntN(len(odd))]
	}
	return string(rune('a' + g.IntN(8)))
}

func (g *generator) having(k kind) []string {
	var names []string
	for name, own := range g.own {
		if own == k {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (g *generator) content() string {
	return strings.Repeat(string(rune('a'+g.IntN(26))), []int{0, 1, 511, 512, 513, 4096, 70_000}[g.IntN(7)])
}

func (g *generator) attributes() []tarball.Option {
	modes := []int64{0o644, 0o600, 0o755, 0o4755, 0o2755, 0o6711, 0o1777, 0, 0o444}
	owners := [][2]int{{0, 0}, {0, 0}, {1000, 1000}, {33, 33}, {65534, 65534}, {100_000, 5}}
	owner := owners[g.IntN(len(owners))]
	return []tarball.Option{
		tarball.Mode(modes[g.IntN(len(modes))]), tarball.Owner(owner[0], owner[1]),
		tarball.Time(time.Unix(g.Int64N(2_000_000_000), g.Int64N(2)*g.Int64N(1_000_000_000))),
	}
}

func (g *generator) dirAttributes() []tarball.Option {
	options := g.attributes()
	if g.IntN(8) == 0 {
		options = append(options, tarball.Xattr("user.dir", g.element()))
	}
	return options
}

func (g *generator) fileAttributes() []tarball.Option {
	options := g.attributes()
	if g.IntN(6) == 0 {
		options = append(options, tarball.Xattr("user.file", g.element()))
	}
	if g.IntN(6) == 0 {
		options = append(options, tarball.Xattr("security.capability", netRaw))
	}
	return options
}
