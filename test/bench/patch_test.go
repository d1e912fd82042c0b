package bench

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// BenchmarkPatch: an image's next version over a slow link, where the engine
// has the version before and the runner's store has it too. The engine pulls
// layers of gzip, the runner the same as `clipper-runner publish` writes them.
func BenchmarkPatch(b *testing.B) {
	for _, u := range updates {
		b.Run(u.name, func(b *testing.B) {
			loadRunner(b)
			older, newer := made.get(b, u.version(0)), made.get(b, u.version(1))
			before, published := filledStore(b, publish(b, older)), publish(b, newer)
			lab.Engine.Pull(b, older.ref)
			registry := slowRegistry(b)
			behind := func(ref string) string { return registry + strings.TrimPrefix(ref, lab.Registry) }

			pulled := newer.since(older)
			var docker, runner sample
			var fetched int64
			inTurns(b,
				func() { docker.add(pullUpdate(b, behind(newer.ref), newer.command)) },
				func() {
					s := before.copy(b)
					settle()
					took, said := s.run(b, behind(published), newer.command)
					if said.Pulled >= pulled {
						b.Fatalf("the runner fetched %d bytes, the engine pulls %d", said.Pulled, pulled)
					}
					runner.add(took)
					fetched = max(fetched, said.Pulled)
					b.Logf("the runner fetched %d bytes, reused %d, took ms %v", said.Pulled, said.Reused, said.Phases)
					s.remove(b)
				})
			sameTree(b, newer, published, before.copy(b).flags()...)
			results.patch(u, newer, pulled, fetched, docker, runner)
			results.memory("patched: "+u.title, peak(b, published, before.copy(b).flags()...))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(docker.median().Seconds(), "docker-s")
			b.ReportMetric(runner.median().Seconds(), "runner-s")
		})
	}
}

// publish publishes an image of the registry under another name.
func publish(b *testing.B, img *built) (ref string) {
	b.Helper()
	ref = strings.Replace(img.ref, "/bench/", "/bench/published-", 1)
	command := exec.CommandContext(b.Context(), lab.Program(b, "cmd/clipper-runner"), "publish", img.ref, ref)
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", command, err, out)
	}
	return ref
}

// pullUpdate pulls and runs an image of which the engine has the version
// before, and takes it away again.
func pullUpdate(b *testing.B, ref string, command []string) time.Duration {
	b.Helper()
	start := time.Now()
	lab.Engine.Docker(b, "pull", ref)
	took := time.Since(start) + firstOutput(b, append([]string{"run", "--rm", "--network", "host", ref}, command...)...)
	lab.Engine.Docker(b, "rmi", "--force", ref)
	return took
}
