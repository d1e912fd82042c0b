// Package chaos has the webhook service live through bad days. It runs the real
// command between a GitHub (package fakehub) and an ECS (package ecsfake) that
// are strict and fail by turns, lets people push and open pull requests, sends
// deliveries twice, late, in another order and not at all, and kills the
// service every few seconds, with SIGKILL, while it works. When all that is
// over and the service has caught up,
//
//   - every delivery that GitHub has sent, or tried to, is in the inbox and
//     decided;
//   - every rule has had its one effect on every event: one task, one run of a
//     workflow;
//   - of a pull request, the newest commit has run, whatever came last;
//   - every check run, deployment and comment is there once, and shows how its
//     run truly ended; GitHub shows nothing else;
//   - nothing is stuck: what nobody can know waits for a person, GitHub has
//     started nothing of it, and it is no more than answers were lost;
//   - all of that stays so, and the storm was one.
//
// All that happens follows from a seed, which a failure says; when it happens
// is the machine's to choose.
//
//	go test ./test/chaos [-deliveries N] [-seed N]
package chaos

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/test/service"
)

var (
	deliveriesFlag = flag.Int("deliveries", 5000, "how many deliveries GitHub sends at least, in each world")
	seedFlag       = flag.Uint64("seed", 1, "what happens; 0: anything")
)

// Set by TestMain before the first test and never after.
var (
	cluster *postgres.Server
	program service.Program
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(service.With("../..", func(p service.Program, s *postgres.Server) int {
		program, cluster = p, s
		return m.Run()
	}))
}

// TestSQLite is one service, which is killed and started again.
func TestSQLite(t *testing.T) {
	t.Parallel()
	live(t, "", 1)
}

// TestReplicas are two services on PostgreSQL, which are killed by turns; at
// half time one is killed for good, and the other takes and ends everything.
func TestReplicas(t *testing.T) {
	t.Parallel()
	live(t, cluster.Database(t), 2)
}

// live is a world's life.
func live(t *testing.T, database string, replicas int) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again: go test ./test/chaos -run '^%s$' -deliveries %d -seed %d", t.Name(), *deliveriesFlag, seed)
		}
	})
	w := newWorld(t, seed, database, replicas)
	for replica := range replicas {
		w.up(replica)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var actions sync.WaitGroup
	actions.Go(func() { w.runners(ctx) })
	defer actions.Wait()
	defer cancel()

	start := time.Now()
	w.storm(ctx, *deliveriesFlag)
	storm := time.Since(start)
	for _, lack := range w.blown(*deliveriesFlag) {
		t.Errorf("the storm was none: %s", lack)
	}
	v := w.settle(ctx, 5*time.Minute+4*storm)
	if !t.Failed() {
		// All that searches, reconciles and looks for what was left has its turn.
		wait(ctx, 2*search)
		w.stays(ctx, "later")
	}
	w.ends(ctx)
	if !t.Failed() {
		w.stays(ctx, "after its end")
	}
	sent := w.hub.Count("webhook/deliver")
	if sent < *deliveriesFlag {
		t.Errorf("GitHub has sent %d deliveries, and was to send %d", sent, *deliveriesFlag)
	}
	t.Logf("faults that struck: %v", w.struck())
	t.Logf("%d deliveries, %d kills, runs: %v; the storm took %s, and it was over after %s",
		sent, w.kills, v.states(), storm.Round(time.Second), time.Since(start).Round(time.Second))
}

// ends asks the command for the inbox beside the service, as an operator would,
// and then ends the service.
func (w *world) ends(ctx context.Context) {
	w.t.Helper()
	listed, err := program.Deliveries(ctx, w.env)
	if err != nil {
		w.t.Error(err)
	}
	for _, a := range w.app.Deliveries() {
		if _, there := listed[a.GUID]; !there {
			w.t.Errorf("`webhook deliveries list` lacks %s (%s %s)", a.GUID, a.Event, a.Action)
			break
		}
	}
	for replica, s := range w.servers {
		if s == nil {
			continue
		}
		if err := s.Stop(); err != nil {
			w.t.Errorf("replica %d, asked to end: %v", replica, err)
		}
	}
}
