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

// Between these lines stands in a README what the last run has printed.
const firstLine, lastLine = "<!-- what make bench prints -->\n", "<!-- end of what make bench prints -->\n"

// report gathers what was measured. Parts of it may be missing.
type report struct {
	starts    []*startRow
	inflated  [2]sample // ours, klauspost's
	restarted [2]sample // the image's, the runner's
	peak      int64     // of the runner, over all that was measured
	patches   []string
	sizes     []string
	memories  []string
}

// startRow is one image over one network.
type startRow struct {
	start
	size    int64
	tree    []treediff.Node
	ways    []way
	samples map[string]samples // by way and by part of the work
}

// find returns the row, nil if it was not measured.
func (r *report) find(img image, n network) *startRow {
	for _, row := range r.starts {
		if row.image.name == img.name && row.network.name == n.name {
			return row
		}
	}
	return nil
}

// has says whether all of these were measured.
func (r *startRow) has(names ...string) bool {
	return r != nil && !slices.ContainsFunc(names, func(name string) bool { return len(r.samples[name]) == 0 })
}

func (r *startRow) took(name string) sample { return r.samples[name].took() }

func (r *report) inflate(ours, klauspost sample) { r.inflated = [2]sample{ours, klauspost} }

func (r *report) restart(plain, runner sample) { r.restarted = [2]sample{plain, runner} }

func (r *report) image(bytes int64, pull sample) {
	r.sizes = append(r.sizes, fmt.Sprintf("| the runner image, compressed | %.2f MiB; the engine pulls it in %s | ≤ 8 MiB |", float64(bytes)/(1<<20), pull.duration()))
}

func (r *report) storeSize(img image, built *built, taken int64) {
	r.sizes = append(r.sizes, fmt.Sprintf("| a store that has “%s” (%s) | %s, %.2f times the compressed image | ≤ 1.5 times |",
		img.name, size(built.size), size(taken), float64(taken)/float64(built.size)))
}

func (r *report) memory(img image, peaks ...int64) {
	cells := []string{img.name}
	for _, peak := range peaks {
		cells = append(cells, fmt.Sprintf("%d MiB", peak>>20))
		r.peak = max(r.peak, peak)
	}
	r.memories = append(r.memories, cellsOf(cells))
}

func (r *report) patch(u update, newer *built, pulled, fetched int64, docker, runner sample) {
	r.patches = append(r.patches, fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %.1f |", u.title,
		size(newer.size), size(pulled), docker.duration(), size(fetched), runner.duration(), docker.over(runner)))
}

// print writes the tables, and on what machine it was measured. costs are the
// images of which it tells what they take beside time.
func (r *report) print(w io.Writer, costs ...image) {
	r.printImages(w)
	for _, n := range []network{loopback, gigabit, office} {
		r.printTimes(w, n)
	}
	r.printParts(w)
	r.printGoals(w)
	for _, img := range costs {
		r.printCosts(w, img)
	}
	table(w, r.patches, "update, at "+office.title, "compressed", "Docker pulls", "`docker pull`, `docker run`", "the runner fetches", "runner with a store", "times faster")
	table(w, r.memories, "peak memory of the runner", "no store", "published image", "into a store", "from a store")
	table(w, r.sizes, "size", "measured", "goal")
	fmt.Fprintf(w, "\nMedians of %d (lowest–highest). %s.\n\n", *rounds, machine())
}

// document puts the tables into a README in place of the former ones.
func (r *report) document(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), firstLine)
	_, after, ends := strings.Cut(rest, lastLine)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q for the tables", file, firstLine, lastLine)
	}
	var tables strings.Builder
	r.print(&tables, large)
	return os.WriteFile(file, []byte(before+firstLine+tables.String()+lastLine+after), 0o644)
}

// printImages says what was started.
func (r *report) printImages(w io.Writer) {
	var rows []string
	for _, row := range r.starts {
		cells := []string{row.image.name, row.image.title, size(row.size), size(unpacked(row.tree)), fmt.Sprint(len(row.tree))}
		if line := cellsOf(cells); !slices.Contains(rows, line) {
			rows = append(rows, line)
		}
	}
	table(w, rows, "image", "what it is", "as gzip", "unpacked", "paths")
}

// printTimes writes the table of one network: a row for every way, a column
// for every image.
func (r *report) printTimes(w io.Writer, n network) {
	var columns []*startRow
	var ways []way
	head := []string{"to the first output, " + n.title}
	for _, row := range r.starts {
		if row.network.name != n.name {
			continue
		}
		columns = append(columns, row)
		head = append(head, row.image.name)
		for _, way := range row.ways {
			if !slices.ContainsFunc(ways, way.is) {
				ways = append(ways, way)
			}
		}
	}
	var rows []string
	for _, way := range ways {
		cells := []string{way.title}
		for _, column := range columns {
			cell := "–"
			if column.has(way.name) {
				cell = column.took(way.name).duration()
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cellsOf(cells))
	}
	table(w, rows, head...)
}

// printCosts writes what the ways to start an image take beside time.
func (r *report) printCosts(w io.Writer, img image) {
	row := r.find(img, loopback)
	if row == nil {
		return
	}
	var rows []string
	for _, way := range row.ways {
		s := row.samples[way.name]
		rows = append(rows, cellsOf([]string{way.title, s.cpu().duration(), size(s.memory().median()), size(s.wire().median())}))
	}
	table(w, rows, img.name, "processor time of the machine", "memory of all processes", "bytes over the wire")
}

// table writes a Markdown table, if it has rows.
func table(w io.Writer, rows []string, head ...string) {
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n%s\n|%s\n%s\n", cellsOf(head), strings.Repeat("---|", len(head)), strings.Join(rows, "\n"))
	}
}

func cellsOf(cells []string) string { return "| " + strings.Join(cells, " | ") + " |" }

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
	for _, command := range [][]string{
		{"uname", "-sr"},
		{"docker", "--host", lab.Engine.Host, "info", "--format", "Docker Engine {{.ServerVersion}} with {{.Driver}}"},
		{"podman", "--version"},
		{"skopeo", "--version"},
		{"umoci", "--version"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).Output(); err == nil {
			parts = append(parts, strings.TrimSpace(string(out)))
		}
	}
	return strings.Join(append(parts, time.Now().UTC().Format("2 January 2006")), ", ")
}

func unpacked(tree []treediff.Node) (bytes int64) {
	for _, node := range tree {
		bytes += node.Size
	}
	return bytes
}

// size is in powers of ten, as registries show it.
func size(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
