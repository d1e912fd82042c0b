package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/test/treediff"
)

// sample is one thing measured several times.
type sample []time.Duration

func (s *sample) add(d time.Duration) { *s = append(*s, d) }

// median of an even number is the higher of the two in the middle.
func (s sample) median() time.Duration { return slices.Sorted(slices.Values(s))[len(s)/2] }

// String is the median with its spread.
func (s sample) String() string {
	unit, name := time.Second, "s"
	if s.median() < time.Second {
		unit, name = time.Millisecond, "ms"
	}
	digits := func(d time.Duration) string {
		if unit == time.Millisecond {
			return fmt.Sprint(d.Milliseconds())
		}
		return fmt.Sprintf("%.1f", d.Seconds())
	}
	return fmt.Sprintf("%s %s (%s–%s)", digits(s.median()), name, digits(slices.Min(s)), digits(slices.Max(s)))
}

// report gathers rows of tables, by table.
type report struct {
	starts, limit, warms, patches, figures []string
}

func (r *report) start(img image, built *built, docker, runner sample, tree []treediff.Node) {
	var bytes int64
	for _, node := range tree {
		bytes += node.Size
	}
	r.starts = append(r.starts, fmt.Sprintf("| %s | %s, %s unpacked, %d paths | %s | %s | %.2f |", img.title, size(built.size), size(bytes), len(tree),
		docker, runner, docker.median().Seconds()/runner.median().Seconds()))
}

func (r *report) limits(img image, inflated, copied sample) {
	r.limit = append(r.limit,
		fmt.Sprintf("| inflating the layers of “%s” and nothing else, on one core | %s |", img.name, inflated),
		fmt.Sprintf("| copying the tree of “%s” in a container with `cp -a` | %s |", img.name, copied))
}

func (r *report) restart(plain, runner sample) {
	r.figures = append(r.figures, fmt.Sprintf("| a restart, over that of a plain container | %+d ms: %s against %s | ≤ 30 ms |",
		(runner.median()-plain.median()).Milliseconds(), runner, plain))
}

func (r *report) image(bytes int64, pull sample) {
	r.figures = append(r.figures, fmt.Sprintf("| the runner image, compressed | %.2f MiB; the engine pulls it in %s | ≤ 8 MiB |", float64(bytes)/(1<<20), pull))
}

func (r *report) warm(img image, none, empty, warm, copied sample) {
	r.warms = append(r.warms, fmt.Sprintf("| %s | %s | %s | %s | %s | %.2f |", img.title,
		none, empty, warm, copied, copied.median().Seconds()/warm.median().Seconds()))
}

func (r *report) patch(u update, newer *built, pulled, fetched int64, docker, runner sample) {
	r.patches = append(r.patches, fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %.1f |", u.title,
		size(newer.size), size(pulled), docker, size(fetched), runner, docker.median().Seconds()/runner.median().Seconds()))
}

func (r *report) storeSize(img image, built *built, taken int64) {
	r.figures = append(r.figures, fmt.Sprintf("| a store that has “%s” (%s) | %s, %.2f times the compressed image | ≤ 1.5 times |",
		img.name, size(built.size), size(taken), float64(taken)/float64(built.size)))
}

func (r *report) memory(what string, peak int64) {
	r.figures = append(r.figures, fmt.Sprintf("| peak memory of the runner, %s | %d MiB | ≤ 128 MiB |", what, peak>>20))
}

// print writes what was measured, and on what machine.
func (r *report) print(w io.Writer) {
	table := func(rows []string, head ...string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(w, "\n| %s |\n|%s\n%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)), strings.Join(rows, "\n"))
	}
	table(r.starts, "image", "pulled", "`docker pull` and `docker run`", "runner", "times faster")
	table(r.limit, "for comparison", "time")
	table(r.warms, "image", "runner, no store", "the store is empty", "the store has it", "`cp -a`", "times faster than `cp -a`")
	table(r.patches, "update, at "+speedName, "compressed", "Docker pulls", "`docker pull` and `docker run`", "the runner fetches", "runner with a store", "times faster")
	table(r.figures, "figure", "measured", "to reach")
	if len(r.starts)+len(r.limit)+len(r.warms)+len(r.patches)+len(r.figures) > 0 {
		fmt.Fprintf(w, "\nMedians of %d (lowest–highest). %s.\n\n", *rounds, machine())
	}
}

// machine describes what it was measured on, as far as it tells.
func machine() string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(cpu)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				parts = append(parts, strings.TrimSpace(value))
				break
			}
		}
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(kernel)))
	}
	info := exec.Command("docker", "info", "--format", "Docker Engine {{.ServerVersion}} with {{.Driver}}")
	info.Env = append(os.Environ(), "DOCKER_HOST="+lab.Engine.Host)
	if engine, err := info.Output(); err == nil {
		parts = append(parts, strings.TrimSpace(string(engine)))
	}
	return strings.Join(parts, ", ")
}

// size is in powers of ten, as registries show it.
func size(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
