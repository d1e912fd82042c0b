package bench

import "testing"

// BenchmarkPatch: an image's next version over a slow network, where the engine
// has the version before and the runner's store has it too. The engine pulls
// layers of gzip, the runner the same as `clipper-runner publish` writes them.
func BenchmarkPatch(b *testing.B) {
	for _, u := range updates {
		if u.long && !*everything {
			continue
		}
		b.Run(u.name, func(b *testing.B) { measurePatch(b, u) })
	}
}

func measurePatch(b *testing.B, u update) {
	loadRunner(b)
	want := wanted.get(b, u.version(1)) // before the engine has the older one
	older, newer := made.get(b, u.version(0), gzipped), made.get(b, u.version(1), gzipped)
	before, patched := filledStore(b, made.get(b, u.version(0), published).ref), made.get(b, u.version(1), published)
	lab.Engine.Pull(b, older.ref)
	over := connect(b, office)
	there, patchedThere := *newer, *patched
	there.ref, patchedThere.ref = over.behind(newer.ref), over.behind(patched.ref)

	pulled, checked := newer.since(older), false
	var fetched int64
	by := map[string]samples{}
	inTurns(b, u.name, by,
		turn{"docker", func() measurement {
			m := untilOutput(b, over, byDocker(b, &there)().commands...)
			lab.Engine.Docker(b, "rmi", "--force", there.ref) // all but what the version before has
			return m
		}},
		turn{"runner", func() measurement {
			s := before.copy(b)
			defer s.remove(b)
			settle()
			m, said := s.run(b, over, patchedThere.ref, newer.command)
			if said.Pulled >= pulled {
				b.Fatalf("the runner fetched %d bytes, the engine pulls %d", said.Pulled, pulled)
			}
			fetched = max(fetched, said.Pulled)
			if !checked {
				again := before.copy(b)
				throughRunner(b, patched, nil, again.flags()...).check(b, u.name, want)
				again.remove(b)
				checked = true
			}
			return m
		}})
	results.patch(u, newer, pulled, fetched, by["docker"].took(), by["runner"].took())
	b.ReportMetric(0, "ns/op")
}
