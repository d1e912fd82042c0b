// Package bench measures what the webhook service promises in figures: the real
// command in a process of its own, on a file and on PostgreSQL, with GitHub and
// whoever delivers (package fakehub, and this one) on the same cores.
//
//   - How many deliveries a second are taken in durably, over HTTP, and how long
//     the slowest hundredth waits, while the service does with them what it
//     always does.
//   - How long four of the largest bodies take that GitHub sends, at once.
//   - How many runs a second are decided, while those decided before are started
//     and shown on GitHub.
//   - How much memory it takes when nothing happens, and how long from its
//     start until it is ready.
//
// A figure is the median of -rounds, each with a new service on a new database.
//
//	go test ./test/bench/webhook -run '^$' -bench . -benchtime 1x [-rounds N] [-readme FILE]
package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/test/service"
)

var (
	rounds = flag.Int("rounds", 5, "how often everything is measured")
	readme = flag.String("readme", "", "a file to put the table into, between the lines that say so")
)

// Set by TestMain before the first benchmark. Benchmarks run one by one.
var (
	program service.Program
	cluster *postgres.Server
	results report
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(service.With("../../..", func(p service.Program, s *postgres.Server) int {
		program, cluster = p, s
		code := m.Run()
		if code != 0 {
			return code
		}
		results.print(os.Stdout)
		if *readme != "" {
			if err := results.document(*readme); err != nil {
				fmt.Fprintln(os.Stderr, "benchmarks:", err)
				return 1
			}
		}
		return 0
	}))
}
