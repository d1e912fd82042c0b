package bench

import (
	"testing"

	"github.com/clipperregistry/runner/test/stack"
)

// BenchmarkRestart: `docker start` of a container that has run before.
func BenchmarkRestart(b *testing.B) {
	built := made.get(b, small, gzipped)
	loadRunner(b)
	lab.Engine.Pull(b, built.ref)
	var turns []turn
	const plain, ours = "plain", "runner"
	for name, spec := range map[string]stack.RunSpec{
		plain: {Image: built.ref, Via: stack.Direct, Args: built.command},
		ours:  {Image: built.ref, Via: stack.Runner, Args: built.command},
	} {
		container := lab.Start(b, spec)
		container.Wait(b)
		turns = append(turns, turn{name, func() measurement {
			return untilOutput(b, connect(b, loopback), lab.Engine.Command(b.Context(), "start", "--attach", container.Name))
		}})
	}
	by := map[string]samples{}
	for range 4 { // it is short
		inTurns(b, "restart", by, turns...)
	}
	results.restart(by[plain].took(), by[ours].took())
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(1000*(by[ours].took().seconds()-by[plain].took().seconds()), "more-ms")
}
