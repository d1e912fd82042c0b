// Package e2e proves the promise of the runner image against real parts: an
// image run by a Docker Engine, and the same image run through the runner on
// the same engine, give the same tree and the same process.
//
// The tests need root, an engine, a registry and a built runner image; `make
// test` sets them up and names them in DOCKER_HOST, CLIPPER_TEST_REGISTRY
// (host:port; without it docker-registry is started) and CLIPPER_TEST_SCRATCH.
// A missing part fails the tests and says so.
//
//	-stacks N   random layer stacks to compare (default 100)
//	-seed N     the first stack's seed (default 1; 0: random, printed)
//	-kills N    moments at which a layout is killed (default 12)
//	-storekills N  moments at which a runner with a store is killed (default 100)
//	-long       what takes minutes too
//	-screenshots DIR  where TestWebhookBrowser writes pictures of the webhook
//	            service's pages (default none): make those of webhook/screenshots with
//	            -run TestWebhookBrowser -screenshots ../../webhook/screenshots
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

var (
	stacks = flag.Int("stacks", 100, "random layer stacks to compare")
	seed   = flag.Uint64("seed", 1, "seed of the first random layer stack; 0: random")
)

// lab is set by TestMain before the first test and never after.
var lab *stack.Stack

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	s, err := stack.Open(context.Background(), stack.Config{
		DockerHost: os.Getenv("DOCKER_HOST"),
		Registry:   os.Getenv("CLIPPER_TEST_REGISTRY"),
		Scratch:    os.Getenv("CLIPPER_TEST_SCRATCH"),
		Root:       "../..",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		return 1
	}
	defer func() {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
			code = 1
		}
	}()
	lab = s
	return m.Run()
}

// made lists the paths that the engine makes or touches whenever it makes a
// container, so that their modification times are the container's and not the
// image's. Nothing else of them is left out of a comparison.
var made = []struct{ path, why string }{
	{".", "holds /.dockerenv, the mount points and, through the runner, /.clipper-runner"},
	{".dockerenv", "made with the container"},
	{"etc", "holds hosts, hostname, resolv.conf and mtab, which are made with the container"},
	{"etc/mtab", "a symlink that is made with the container"},
}

// compare fails the test with every difference between the tree that the
// engine gave and the one that the runner gave. Mount points and
// /.clipper-runner are not in either snapshot. touched names directories that
// hold a mount point of this test: the engine made it in them.
func compare(t *testing.T, want, got []treediff.Node, touched ...string) {
	t.Helper()
	for _, m := range made {
		touched = append(touched, m.path)
	}
	differences := treediff.Diff(without(want, touched), without(got, touched))
	if len(differences) == 0 {
		return
	}
	const most = 40
	more := ""
	if len(differences) > most {
		more = fmt.Sprintf("\n… and %d more", len(differences)-most)
		differences = differences[:most]
	}
	t.Errorf("the tree differs:\n%s%s", strings.Join(differences, "\n"), more)
}

// without returns the nodes without the modification times of some paths.
func without(nodes []treediff.Node, touched []string) []treediff.Node {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		if slices.Contains(touched, nodes[i].Path) {
			nodes[i].MTime = 0
		}
	}
	return nodes
}

// compareTrees pulls the image, runs it both ways and compares the trees.
func compareTrees(t *testing.T, ref string, touched ...string) {
	t.Helper()
	want := pulledTree(t, ref)
	got := lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Runner})
	compare(t, want, got, touched...)
}

// pulledTree pulls the image and returns the tree that the engine gives.
func pulledTree(t *testing.T, ref string) []treediff.Node {
	t.Helper()
	lab.Engine.Pull(t, ref)
	return lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Direct})
}
