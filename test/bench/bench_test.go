// Package bench measures what the runner promises in figures, against the same
// engine and registry that the end-to-end tests use, and prints them as
// Markdown tables:
//
//   - how long an image takes from the command to its program's first output,
//     by other engines and tools and through the runner, without a store and
//     with one, over several networks; and what processor time, memory and
//     bytes that takes;
//   - the limits of that, measured beside it: each part of the work alone;
//   - how long an update takes over a slow network, by the engine and through
//     the runner with a store, which both have the version before;
//   - what a restart costs over a restart of a plain container;
//   - how large the runner image and a store are, and how much memory the
//     runner takes;
//   - which goals that reaches.
//
// What is compared runs in turns, so that a slow minute of the machine hits
// all; a figure is the median with the lowest and the highest. Before each
// turn nothing of the image is on the machine but what the registry keeps, or
// what the row says, and the disk has nothing left to write; taking the former
// turn away is not timed. Every way's tree is once compared with the one that
// the engine makes.
//
// Processor time is that of the whole machine, so that it holds what daemons,
// their children and the kernel do for a way, and the registry's part, which
// all have. Memory is that of all processes over what it was before, so what a
// daemon holds already is not in it. Other work on the machine is in both.
//
//	go test ./test/bench -run '^$' -bench . -benchtime 1x -timeout 4h [-rounds N] [-all] [-ways REGEXP] [-chart FILE] [-readme FILE]
//
// Choose with -bench, such as -bench Start/small/loopback. -rounds 1 only shows
// that everything works. The environment is that of package e2e (`make bench`
// sets it up).
package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/test/stack"
)

var (
	rounds     = flag.Int("rounds", 5, "how often everything is measured")
	everything = flag.Bool("all", false, "measure every way with every image over every network, and every update: hours")
	onlyWays   = flag.String("ways", ".*", "the ways to measure, such as docker|runner.*")
	readme     = flag.String("readme", "", "a file to put the tables into, between the lines that say so")
	chartFile  = flag.String("chart", "speed.svg", "where the chart goes if all that it shows was measured; empty: nowhere")
)

// Set by TestMain before the first benchmark. Benchmarks run one by one.
var (
	lab     *stack.Stack
	made    = images{}
	wanted  = trees{}
	results = new(report)
	began   = time.Now()
)

const root = "../.."

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "benchmarks:", err)
			code = 1
		}
	}
	s, err := stack.Open(context.Background(), stack.Config{
		DockerHost: os.Getenv("DOCKER_HOST"), Registry: os.Getenv("CLIPPER_TEST_REGISTRY"), Scratch: os.Getenv("CLIPPER_TEST_SCRATCH"), Root: root,
	})
	if err != nil {
		fail(err)
		return code
	}
	defer func() { fail(s.Close()) }()
	lab = s
	if code = m.Run(); code == 0 {
		results.print(os.Stdout, small, typical, large, models)
		fail(results.draw(*chartFile))
		if *readme != "" {
			fail(results.document(*readme))
		}
	}
	return code
}

// say tells whoever waits how far it is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%7s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
}

// settle waits until the disk has nothing left to write.
func settle() { unix.Sync() }

// unique is a container's name that nobody else has.
func unique(what string) string {
	return fmt.Sprintf("clipper-bench-%s-%d", what, time.Now().UnixNano())
}
