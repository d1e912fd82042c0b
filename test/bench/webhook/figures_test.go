package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
)

// BenchmarkAccept: deliveries of 12 KB of twenty installations, over 64
// connections.
func BenchmarkAccept(b *testing.B) {
	const deliveries, installations, connections = 10_000, 20, 64
	each(b, func(b *testing.B, database string, w *world) {
		var letters []letter
		for i := range installations {
			letters = append(letters, w.letter(payload(12<<10, i+1)))
		}
		begun := time.Now()
		took := w.send(letters, deliveries, connections)
		rate := deliveries / time.Since(begun).Seconds()
		slowest := took[len(took)*99/100]
		results.add("accept", database, rate)
		results.add("accept p99", database, slowest.Seconds())
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(rate, "deliveries/s")
		b.ReportMetric(float64((w.busy() / deliveries).Microseconds()), "cpu-µs")
		b.ReportMetric(float64(slowest.Milliseconds()), "p99-ms")
	})
}

// BenchmarkLarge: four bodies of 25 MB at once.
func BenchmarkLarge(b *testing.B) {
	each(b, func(b *testing.B, database string, w *world) {
		large := w.letter(payload(25_000_000, 1))
		begun := time.Now()
		w.send([]letter{large}, 4, 4)
		took := time.Since(begun).Seconds()
		results.add("large", database, took)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(took, "s")
	})
}

const deployYAML = `
name: Deploy
run-name: "Deploy ${{ inputs.clipper_run }}"
on: {workflow_dispatch: {inputs: {clipper_run: {}}}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

const clipperYAML = `version: 1
rules:
  - id: deploy
    on: { push: { branches: ["**"] } }
    run: { workflow: { file: deploy.yml } }
`

// BenchmarkDecide: from the first of many pushes to the last decision, and to
// the last start of a workflow.
func BenchmarkDecide(b *testing.B) {
	const pushes, repositories, connections = 1500, 4, 16
	each(b, func(b *testing.B, database string, w *world) {
		var repos []*fakehub.Repo
		w.hub.User("mona")
		for i := range repositories {
			repo := w.hub.Repo(fmt.Sprintf("account%d/app", i))
			repo.Permit("mona", "write")
			repo.Commit(map[string]string{".github/workflows/deploy.yml": deployYAML, ".github/clipper.yml": clipperYAML})
			w.app.Install(fmt.Sprintf("account%d", i), repo)
			repos = append(repos, repo)
		}
		w.until("GitHub's list is compared", func() bool { return w.ready().Apps[0].Reconciled != nil })
		letters := w.written(func() {
			for i := range pushes {
				repos[i%repositories].Push("mona", fmt.Sprintf("topic-%d", i), map[string]string{"main.go": strconv.Itoa(i)})
			}
		})
		begun := time.Now()
		w.send(letters, len(letters), connections)
		w.until("all is decided", func() bool { return w.ready().Queue.Undecided == 0 })
		rate := pushes / time.Since(begun).Seconds()
		w.until("all is started", func() bool {
			started := 0
			for _, repo := range repos {
				started += len(repo.Runs())
			}
			return started == pushes
		})
		started := pushes / time.Since(begun).Seconds()
		results.add("decide", database, rate)
		results.add("start runs", database, started)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(rate, "runs/s")
		b.ReportMetric(started, "started/s")
		b.ReportMetric(float64((w.busy() / pushes).Microseconds()), "cpu-µs")
	})
}

// settling is how long a service that was started has to come to rest.
const settling = 5 * time.Second

// BenchmarkIdle: the memory of a service that has nothing to do, and how long
// it took to be ready.
func BenchmarkIdle(b *testing.B) {
	each(b, func(b *testing.B, database string, w *world) {
		w.until("it is ready", func() bool { return w.ready().Ready })
		start := time.Since(w.began)
		time.Sleep(settling)
		memory := w.memory()
		results.add("start", database, start.Seconds())
		results.add("memory", database, float64(memory)/(1<<20))
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(start.Milliseconds()), "start-ms")
		b.ReportMetric(float64(memory)/(1<<20), "MiB")
	})
}

// memory is how much of it the service has, its program's own pages too.
func (w *world) memory() (bytes int64) {
	w.b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.PID))
	if err != nil {
		w.b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		w.b.Fatalf("proc has %q: %v", text, err)
	}
	return kib << 10
}
