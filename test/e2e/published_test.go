package e2e

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

// reader is an engine or a tool that knows nothing of our form of layers.
type reader struct {
	name string
	// tree is what it makes of an image.
	tree func(t *testing.T, ref string) []treediff.Node
	// otherwise are rows of handMade that it reads in its own way, in whatever
	// form they come.
	otherwise []string
}

var readers = []reader{
	{"containerd", byContainerd, []string{"times before the epoch"}},
	{"podman", byPodman, nil},
	{"umoci", byUmoci, []string{
		"times before the epoch", "hard link with attributes of its own", "lower symlink, no directory entry",
		"whiteout, then the same name as a directory", "opaque last", "names that AUFS reserved",
	}},
}

// unreadable are rows at which some reader gives up.
var unreadable = []string{"xattrs that cannot be set", "global header", "directory over file, no entry"}

// TestPublished: what publish makes is an image like any other.
func TestPublished(t *testing.T) {
	img := everything("published", unreadable)
	img.Layers = append([]stack.Layer{stack.TarFile(lab.Debian(t, stack.Debian{}))}, img.Layers...)
	source := push(t, "published/source", img)
	ref := publish(t, source.ref, "published/image")
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			compare(t, r.comparable(source.snapped), r.comparable(r.tree(t, ref)), touchedRows()...)
		})
	}
	t.Run("skopeo", func(t *testing.T) {
		t.Parallel()
		dir := "dir:" + lab.Scratch(t)
		output(t, "skopeo", "copy", "--quiet", "--src-tls-verify=false", "docker://"+ref, dir)
		there, here := inspected(t, "docker://"+ref), inspected(t, dir)
		if len(there.Layers) != len(img.Layers) || there.Digest != here.Digest || !slices.Equal(there.Layers, here.Layers) {
			t.Errorf("%d layers published; skopeo finds %+v and copies %+v", len(img.Layers), there, here)
		}
	})
}

// comparable is the part of a tree that is the image's whoever reads it.
func (r reader) comparable(tree []treediff.Node) []treediff.Node {
	return stack.ImagesOwn(withoutRows(tree, r.otherwise))
}

// byContainerd is the tree that containerd pulls and runs.
func byContainerd(t *testing.T, ref string) []treediff.Node {
	ctr := lab.StartContainerd(t, stack.Containerd{Bin: lab.Built(t)})
	ctr.Output(t, "images", "pull", "--plain-http", ref)
	return snapshotBy(t, func(program string) []byte {
		return ctr.Output(t, "run", "--rm", "--mount", "type=bind,src="+program+",dst=/snapshot,options=bind:ro", ref, "snapshot", "/snapshot")
	})
}

// byPodman is the tree that Podman pulls and runs.
func byPodman(t *testing.T, ref string) []treediff.Node {
	podman := lab.NewPodman(t)
	podman.Output(t, "pull", "--quiet", "--tls-verify=false", ref)
	return snapshotBy(t, func(program string) []byte {
		run := append([]string{"run", "--rm", "--network", "none", "--volume", program + ":/snapshot:ro"}, stack.PodmanRun...)
		return podman.Output(t, append(run, ref, "/snapshot")...)
	})
}

// snapshotBy is the tree of a container in which run runs the snapshot
// program, mounted as /snapshot.
func snapshotBy(t *testing.T, run func(program string) []byte) []treediff.Node {
	t.Helper()
	nodes, err := treediff.Read(bytes.NewReader(run(lab.Program(t, "test/treediff/snapshot"))))
	try(t, err)
	return nodes
}

// byUmoci is the tree that umoci unpacks. Debian's umoci 0.4.7 refuses layers
// of zstd, so skopeo decompresses them and makes them gzip.
func byUmoci(t *testing.T, ref string) []treediff.Node {
	dir := lab.Scratch(t)
	layout, bundle := filepath.Join(dir, "layout")+":e2e", filepath.Join(dir, "bundle")
	output(t, "skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-compress-format", "gzip", "docker://"+ref, "oci:"+layout)
	output(t, "umoci", "unpack", "--image", layout, bundle)
	nodes, err := treediff.Snapshot(filepath.Join(bundle, "rootfs"), treediff.Options{})
	try(t, err)
	return nodes
}

// inspection is what skopeo says of an image.
type inspection struct {
	Digest string
	Layers []string
}

func inspected(t *testing.T, image string) (i inspection) {
	t.Helper()
	out := output(t, "skopeo", "inspect", "--tls-verify=false", image)
	if err := json.Unmarshal(out, &i); err != nil {
		t.Fatalf("skopeo inspect %s: %v: %s", image, err, out)
	}
	return i
}
