package bench

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

// way is a way to get the program of an image running.
type way struct {
	// name is for -ways, title for the tables.
	name, title string
	form        form
	// prepare makes what outlives a start, and returns how a start goes of the
	// image, which is in the way's form.
	prepare func(b *testing.B, img *built) func() attempt
}

// attempt is one start of an image.
type attempt struct {
	// commands are run one after the other. The last one is the image's
	// program.
	commands []*exec.Cmd
	// tree is what they have made of the image.
	tree func() []treediff.Node
	// losesTimes says that some directories have the time of their last file in
	// place of the image's.
	losesTimes bool
	// clean takes all of it away, and fails the benchmark where something
	// stays.
	clean func()
}

// The ways that know nothing of the runner. Docker before 23.0 and Debian's
// umoci read no zstd.
var peers = []way{
	{"docker", "`docker pull`, `docker run`", gzipped, byDocker},
	{"podman", "`podman pull`, `podman run`", gzipped, byPodman},
	{"containerd", "`ctr image pull`, `ctr run`", gzipped, byContainerd},
	{"umoci", "`skopeo copy`, `umoci unpack`, `chroot`", gzipped, byUmoci},
	{"crane", "`crane export`, `tar x`, `chroot`", gzipped, byCrane},
}

// The same with zstd, for -all.
var peersOfZstd = []way{
	{"podman-zstd", "`podman pull`, `podman run`, of zstd", zstdded, byPodman},
	{"containerd-zstd", "`ctr image pull`, `ctr run`, of zstd", zstdded, byContainerd},
	{"crane-zstd", "`crane export`, `tar x`, `chroot`, of zstd", zstdded, byCrane},
	{"podman-published", "`podman pull`, `podman run`, of the published image", published, byPodman},
	{"containerd-published", "`ctr image pull`, `ctr run`, of the published image", published, byContainerd},
	{"crane-published", "`crane export`, `tar x`, `chroot`, of the published image", published, byCrane},
}

// byDocker pulls and runs with the engine that the runner runs on.
func byDocker(b *testing.B, img *built) func() attempt {
	run := append([]string{"run", "--rm", "--network", "host", img.ref}, img.command...)
	return func() attempt {
		return attempt{
			commands: []*exec.Cmd{lab.Engine.Command(b.Context(), "pull", img.ref), lab.Engine.Command(b.Context(), run...)},
			tree: func() []treediff.Node {
				return lab.Snapshot(b, stack.RunSpec{Image: img.ref, Via: stack.Direct})
			},
			clean: func() { removeImage(b, img) },
		}
	}
}

// removeImage sees that the engine keeps no layer of the image, which would
// make its next pull a warm one.
func removeImage(b *testing.B, img *built) {
	b.Helper()
	out := lab.Engine.Docker(b, "rmi", "--force", img.ref)
	// The image and as many chains of layers.
	if deleted := strings.Count(out, "Deleted: "); deleted != 1+len(img.layers) {
		b.Fatalf("the engine keeps layers of %s for other images, so its pulls are no cold starts: remove those that share them\n%s", img.ref, out)
	}
}

// byPodman has a Podman of its own on overlayfs.
func byPodman(b *testing.B, img *built) func() attempt {
	podman := lab.NewPodman(b)
	run := append([]string{"run", "--rm", "--network", "host", "--pull", "never"}, stack.PodmanRun...)
	return func() attempt {
		return attempt{
			commands: []*exec.Cmd{
				podman.Command(b.Context(), "pull", "--quiet", "--tls-verify=false", img.ref),
				podman.Command(b.Context(), slices.Concat(run, []string{img.ref}, img.command)...),
			},
			tree: func() []treediff.Node {
				mount := []string{"--volume", lab.Program(b, "test/treediff/snapshot") + ":/snapshot:ro"}
				return nodes(b, podman.Output(b, slices.Concat(run, mount, []string{img.ref, "/snapshot"})...))
			},
			clean: func() {
				podman.Output(b, "rmi", "--force", img.ref)
				nothingLeft(b, podman.Output(b, "images", "--all", "--quiet"))
			},
		}
	}
}

// parallelUnpack has containerd fetch a layer by ranges and unpack layers at
// once, which it does not by itself.
const parallelUnpack = `version = 3
[plugins.'io.containerd.transfer.v1.local']
max_concurrent_downloads = 8
concurrent_layer_fetch_buffer = 8388608
max_concurrent_unpacks = 4
`

// byContainerd has a containerd of its own on overlayfs.
func byContainerd(b *testing.B, img *built) func() attempt {
	ctr := lab.StartContainerd(b, stack.Containerd{Bin: lab.Built(b), Config: parallelUnpack})
	return func() attempt {
		return attempt{
			commands: []*exec.Cmd{
				ctr.Command(b.Context(), "images", "pull", "--plain-http", img.ref),
				ctr.Command(b.Context(), append([]string{"run", "--rm", "--net-host", img.ref, unique("ctr")}, img.command...)...),
			},
			tree: func() []treediff.Node {
				mount := "type=bind,src=" + lab.Program(b, "test/treediff/snapshot") + ",dst=/snapshot,options=bind:ro"
				return nodes(b, ctr.Output(b, "run", "--rm", "--mount", mount, img.ref, unique("ctr-snapshot"), "/snapshot"))
			},
			clean: func() {
				ctr.Output(b, "images", "rm", "--sync", img.ref)
				nothingLeft(b, ctr.Output(b, "content", "ls", "--quiet"))
			},
		}
	}
}

// byUmoci copies to an OCI layout and unpacks that.
func byUmoci(b *testing.B, img *built) func() attempt {
	return func() attempt {
		return inDirectory(b, img, func(dir string) (root string, commands []*exec.Cmd) {
			layout, bundle := filepath.Join(dir, "layout")+":bench", filepath.Join(dir, "bundle")
			return filepath.Join(bundle, "rootfs"), []*exec.Cmd{
				exec.CommandContext(b.Context(), "skopeo", "copy", "--quiet", "--src-tls-verify=false", "docker://"+img.ref, "oci:"+layout),
				exec.CommandContext(b.Context(), "umoci", "unpack", "--image", layout, bundle),
			}
		})
	}
}

// byCrane has crane write one archive of all layers, and tar unpack it.
func byCrane(b *testing.B, img *built) func() attempt {
	return func() attempt {
		a := inDirectory(b, img, func(dir string) (root string, commands []*exec.Cmd) { return dir, craneTo(b, img, dir) })
		a.losesTimes = true
		return a
	}
}

func craneTo(b *testing.B, img *built, dir string) []*exec.Cmd {
	return []*exec.Cmd{exec.CommandContext(b.Context(), "bash", "-o", "pipefail", "-c",
		`"$1" export --insecure "$2" - | tar --extract --directory "$3" --numeric-owner`, "bash", filepath.Join(lab.Built(b), "crane"), img.ref, dir)}
}

// inDirectory is the attempt of tools that unpack to a directory, here of the
// fast file system. The program runs in it by chroot alone.
func inDirectory(b *testing.B, img *built, unpack func(dir string) (root string, commands []*exec.Cmd)) attempt {
	dir := lab.Scratch(b)
	root, commands := unpack(dir)
	program := exec.CommandContext(b.Context(), "chroot", append([]string{root}, img.command...)...)
	program.Env = []string{searchPath}
	return attempt{
		commands: append(commands, program),
		tree: func() []treediff.Node {
			// The program may have left something in the first one.
			fresh := lab.Scratch(b)
			defer removeAll(b, fresh)
			root, commands := unpack(fresh)
			for _, cmd := range commands {
				stack.Output(b, cmd)
			}
			tree, err := treediff.Snapshot(root, treediff.Options{})
			if err != nil {
				b.Fatal(err)
			}
			return tree
		},
		clean: func() { removeAll(b, dir) },
	}
}

func (w way) is(other way) bool { return w.name == other.name }
