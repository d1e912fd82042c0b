package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// format is a form in which layers travel.
type format struct {
	name string
	push func(t *testing.T, repository string, img stack.Image) string
	// tables says that layers have tables of contents, but for the last one.
	tables bool
	// position is the annotation that begins with where the table is in the
	// blob; without one the blob's end says it.
	position string
	// refuses are rows of handMade that the format's tool refuses or breaks.
	refuses []string
	// own says that archives are others than those which the tool was given,
	// seconds that tables keep no finer times.
	own, seconds bool
}

var formats = []format{
	{name: "gzip", push: compressed(stack.Gzip)},
	{name: "zstd", push: compressed(stack.Zstd)},
	{name: "plain", push: compressed(stack.Plain)},
	{name: "published", push: published, tables: true, position: "com.clipperregistry.toc"},
	{name: "zstd-chunked", push: zstdChunked, tables: true, position: "io.containers.zstd-chunked.manifest-position", refuses: notRegular},
	{name: "estargz", push: stargz, tables: true, refuses: notRegular, own: true, seconds: true},
}

// notRegular are rows whose headers skopeo and estargz do not understand.
var notRegular = []string{"global header", "sparse", "sparse with nothing in it"}

func compressed(c stack.Compression) func(*testing.T, string, stack.Image) string {
	return func(t *testing.T, repository string, img stack.Image) string {
		return lab.Push(t, repository, img.With(c))
	}
}

func published(t *testing.T, repository string, img stack.Image) string {
	return publish(t, lab.Push(t, repository+"-source", img), repository)
}

func zstdChunked(t *testing.T, repository string, img stack.Image) string {
	return lab.PushZstdChunked(t, repository, img)
}

func stargz(t *testing.T, repository string, img stack.Image) string {
	return lab.PushStargz(t, repository, img)
}

// untold are rows of which no table of contents tells in some format: JSON has
// no names that are not UTF-8, and what a sparse file holds is not in the
// archive as it is.
var untold = []string{"names", "sparse", "sparse with nothing in it"}

// told is how many layers of everything a table can tell of: all but the last.
const told = 3

// everything is an image of the rows of handMade, but for that of many layers,
// each in a directory of its own. Every layer has noise that all versions of the image share, and a file
// that tells the version.
func everything(version string, without []string) stack.Image {
	var layers [told + 1]entries
	for _, row := range handMade {
		switch in := rowDir(row.name); {
		case len(row.layers) > told || slices.Contains(without, row.name):
		case slices.Contains(untold, row.name):
			layers[told] = append(layers[told], tarball.In(in, row.layers[0]...)...)
		default:
			for n, layer := range row.layers {
				layers[n] = append(layers[n], tarball.In(in, layer...)...)
			}
		}
	}
	img := stack.Image{Config: v1.Config{Cmd: []string{"/none"}}}
	for n, layer := range layers {
		layer = append(layer, dir("large"), noise(fmt.Sprintf("large/%d", n), 600<<10+n), file(fmt.Sprintf("version-%d", n), strings.Repeat(version, 100)))
		img.Layers = append(img.Layers, stack.Tar(tarball.Build(layer...)))
	}
	return img
}

func rowDir(name string) string { return "t-" + slug(name) }

// touchedRows are the directories in everything that no entry makes.
func touchedRows() (dirs []string) {
	for _, row := range handMade {
		dirs = append(dirs, rowDir(row.name))
		for _, dir := range implied[row.name] {
			dirs = append(dirs, rowDir(row.name)+"/"+dir)
		}
	}
	return dirs
}

// withoutRows returns the tree without the directories of these rows.
func withoutRows(tree []treediff.Node, rows []string) []treediff.Node {
	return slices.DeleteFunc(slices.Clone(tree), func(n treediff.Node) bool {
		first, _, _ := strings.Cut(n.Path, "/")
		return slices.ContainsFunc(rows, func(row string) bool { return first == rowDir(row) })
	})
}

// TestFormats: whatever the form of its layers, and wherever they come from, an
// image has the tree that the engine gives. The engine, which may be too old
// for zstd, gets a twin compressed with gzip.
func TestFormats(t *testing.T) {
	versions := []string{"before", "after"}
	var twins [2]pulled
	for n, version := range versions {
		twins[n] = push(t, "formats/twin-"+version, everything(version, nil))
	}
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var images [2]pulled
			for n, version := range versions {
				images[n] = described(t, f.push(t, "formats/"+f.name+"-"+version, everything(version, f.refuses)))
				images[n].snapped = withoutRows(twins[n].snapped, f.refuses)
				if f.own {
					images[n].snapped = pulledTree(t, images[n].ref)
				}
			}
			f.check(t, images[0], images[1])
		})
	}
}

// formatStep is a run with the store that the runs before it have left.
type formatStep struct {
	name  string
	image pulled
	toc   string
	// least and most bound the bytes of blobs that are fetched.
	least, most int64
	// claimed is how many layers are laid out by their tables alone.
	claimed int64
}

// steps are the runs of a version and of the next one.
func (f format) steps(before, after pulled) []formatStep {
	// What it costs to find out from the tables that nothing can be saved.
	const tables = (told + 1) * 80 << 10
	cold := []formatStep{
		{"cold", before, "auto", before.layers, before.total + tables, 0},
		{"again", before, "auto", 0, 0, 0},
	}
	if !f.tables {
		return append(cold, []formatStep{
			{"update", after, "auto", after.layers, after.total, 0},
			{"update again", after, "never", 0, 0, 0},
		}...)
	}
	archives := after.layers - after.last
	return append(cold, []formatStep{
		{"update", after, "auto", 1, after.layers / 2, told},
		{"update again", after, "auto", 0, 0, told},
		// Whoever trusts no table reads the layers of which one tells.
		{"update, never by tables", after, "never", archives, archives, 0},
		{"update that was read", after, "auto", 0, 0, 0},
	}...)
}

func (f format) check(t *testing.T, before, after pulled) {
	tree := lab.Snapshot(t, stack.RunSpec{Image: before.ref, Via: stack.Runner})
	compare(t, before.snapped, tree, touchedRows()...)
	proxy, store := lab.Proxy(t), newStore(t)
	for _, step := range f.steps(before, after) {
		t.Run(step.name, func(t *testing.T) {
			_, asked := proxy.Counts()
			bytes := proxy.Bytes()
			tree, s := store.snapshot(t, proxy.Through(step.image.ref), "CLIPPER_TOC="+step.toc)
			f.compare(t, step.image.snapped, tree, s, touchedRows()...)
			_, blobs := proxy.Counts()
			if n := proxy.Bytes() - bytes; n < step.least || n > step.most || step.most == 0 && blobs != asked {
				t.Errorf("%d requests for %d bytes of blobs, want %d to %d bytes", blobs-asked, n, step.least, step.most)
			}
			if s.Claimed != step.claimed || len(s.warnings) > 0 {
				t.Errorf("%d layers by their tables alone, want %d; warnings %q", s.Claimed, step.claimed, s.warnings)
			}
		})
	}
	store.verify(t)
}

// compare compares the tree of a run that said s.
func (f format) compare(t *testing.T, want, got []treediff.Node, s summary, touched ...string) {
	t.Helper()
	if f.seconds && s.Claimed > 0 {
		want, got = toTheSecond(want), toTheSecond(got)
	}
	compare(t, want, got, touched...)
}

// toTheSecond cuts off what is below a second of times.
func toTheSecond(nodes []treediff.Node) []treediff.Node {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		nodes[i].MTime = time.Unix(0, nodes[i].MTime).Unix() * int64(time.Second)
	}
	return nodes
}
