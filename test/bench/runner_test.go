package bench

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

// The ways through the runner, and a copy of the tree, which is as much to
// write.
var (
	runner          = way{"runner", "runner", gzipped, byRunner}
	runnerZstd      = way{"runner-zstd", "runner, image of zstd", zstdded, byRunner}
	runnerPublished = way{"runner-published", "runner, published image", published, byRunner}
	intoStore       = way{"store-empty", "runner, its store is empty", gzipped, byRunnerIntoStore}
	fromStore       = way{"store-warm", "runner, its store has the image", gzipped, byRunnerFromStore}
	copied          = way{"copy", "for comparison: `cp -a` of the tree", gzipped, byCopy}
)

// byRunner has no store.
func byRunner(b *testing.B, img *built) func() attempt {
	return func() attempt { return throughRunner(b, img, func() {}) }
}

func byRunnerIntoStore(b *testing.B, img *built) func() attempt {
	return func() attempt {
		s := newStore(b)
		return throughRunner(b, img, func() { s.remove(b) }, s.flags()...)
	}
}

func byRunnerFromStore(b *testing.B, img *built) func() attempt {
	s := filledStore(b, img.ref)
	return func() attempt { return throughRunner(b, img, func() {}, s.flags()...) }
}

// throughRunner is the runner's attempt. The tree goes with the container.
func throughRunner(b *testing.B, img *built, clean func(), flags ...string) attempt {
	return attempt{
		commands: []*exec.Cmd{lab.Engine.Command(b.Context(), slices.Concat(
			[]string{"run", "--rm", "--network", "host"}, flags, viaRunner(img.ref), img.command)...)},
		tree: func() []treediff.Node {
			return lab.Snapshot(b, stack.RunSpec{Image: img.ref, Via: stack.Runner, Flags: flags})
		},
		clean: clean,
	}
}

func viaRunner(ref string) []string {
	return []string{"--env", "CLIPPER_MAGIC_IMAGE=" + ref, stack.RunnerImage}
}

// loadRunner sees that the engine has the runner image that was built last.
func loadRunner(b *testing.B) {
	b.Helper()
	img := made.get(b, small, gzipped)
	if out := lab.Run(b, stack.RunSpec{Image: img.ref, Via: stack.Runner}); out.Exit != 0 {
		b.Fatalf("%s exits %d: %s", img.ref, out.Exit, out.Stderr)
	}
}

// byCopy copies the image's tree from a directory of the fast file system to
// the root of a container that has coreutils, and runs the program there.
func byCopy(b *testing.B, img *built) func() attempt {
	coreutils := made.get(b, bare, gzipped)
	lab.Engine.Pull(b, coreutils.ref)
	tree := lab.Scratch(b)
	for _, cmd := range craneTo(b, img, tree) {
		stack.Output(b, cmd)
	}
	run := []string{"run", "--rm", "--network", "host", "--volume", tree + ":/tree:ro", coreutils.ref, "sh", "-ec"}
	return func() attempt {
		return attempt{
			commands: []*exec.Cmd{lab.Engine.Command(b.Context(), slices.Concat(
				run, []string{`cp -a /tree /copy; exec chroot /copy "$@"`, "sh"}, img.command)...)},
			tree: func() []treediff.Node {
				snapshot, err := treediff.Snapshot(tree, treediff.Options{})
				if err != nil {
					b.Fatal(err)
				}
				return snapshot
			},
			losesTimes: true, // crane has, not cp
			clean:      func() {},
		}
	}
}
