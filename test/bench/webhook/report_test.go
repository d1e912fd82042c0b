package bench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Between these lines stands in a README what the last run has printed.
const firstLine, lastLine = "<!-- what make bench prints -->\n", "<!-- end of what make bench prints -->\n"

// report gathers what was measured, by its name and database. Parts of it may
// be missing.
type report map[string]map[string][]float64

func (r *report) add(name, database string, value float64) {
	if *r == nil {
		*r = report{}
	}
	if (*r)[name] == nil {
		(*r)[name] = map[string][]float64{}
	}
	(*r)[name][database] = append((*r)[name][database], value)
}

// row is one of the table.
type row struct {
	title, name string
	show        func(float64) string
	// goals say what is to be reached, by the database, and whether it is.
	goals map[string]goal
}

type goal struct {
	words   string
	reached func(float64) bool
}

func atLeast(n float64, unit string) goal {
	return goal{fmt.Sprintf("≥ %s%s", number(n), unit), func(v float64) bool { return v >= n }}
}

func atMost(n float64, unit string) goal {
	return goal{fmt.Sprintf("≤ %v%s", n, unit), func(v float64) bool { return v <= n }}
}

func both(g goal) map[string]goal { return map[string]goal{"SQLite": g, "PostgreSQL": g} }

// number groups digits.
func number(n float64) string {
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d", int(n)/1000, int(n)%1000)
	}
	return fmt.Sprintf("%.0f", n)
}

func rate(v float64) string    { return number(v) + "/s" }
func millis(v float64) string  { return fmt.Sprintf("%.0f ms", 1000*v) }
func seconds(v float64) string { return fmt.Sprintf("%.1f s", v) }
func mib(v float64) string     { return fmt.Sprintf("%.0f MiB", v) }

var rows = []row{
	{"deliveries of 12 KB taken in durably", "accept", rate, map[string]goal{"SQLite": atLeast(1000, "/s"), "PostgreSQL": atLeast(1500, "/s")}},
	{"… the slowest hundredth waits", "accept p99", millis, both(goal{"< 250 ms", func(v float64) bool { return v < 0.25 }})},
	{"four bodies of 25 MB at once", "large", seconds, both(atMost(5, " s"))},
	{"runs decided", "decide", rate, both(atLeast(300, "/s"))},
	{"… and started", "start runs", rate, nil},
	{"memory when idle", "memory", mib, both(atMost(64, " MiB"))},
	{"from the start until ready", "start", millis, both(goal{"< 1 s", func(v float64) bool { return v < 1 }})},
}

// print writes the table, and on what machine it was measured.
func (r *report) print(w io.Writer) {
	if len(*r) == 0 {
		return
	}
	fmt.Fprint(w, "\n| | SQLite | PostgreSQL | goal |\n|---|---|---|---|\n")
	for _, row := range rows {
		cells := []string{row.title}
		var goals []string
		for _, d := range databases {
			values := (*r)[row.name][d.name]
			cells = append(cells, row.cell(values, d.name))
			goals = append(goals, row.goals[d.name].words)
		}
		cells = append(cells, strings.Join(slices.Compact(goals), ", PostgreSQL "))
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Fprintf(w, "\nMedians of %d (lowest–highest), with the sender and the fake GitHub on the same cores. %s.\n\n", *rounds, machine())
}

// cell is a median with its spread, fat where the goal is missed.
func (row row) cell(values []float64, database string) string {
	if len(values) == 0 {
		return ""
	}
	slices.Sort(values)
	median := values[len(values)/2]
	text := fmt.Sprintf("%s (%s–%s)", row.show(median), row.show(values[0]), row.show(values[len(values)-1]))
	if goal, set := row.goals[database]; set && !goal.reached(median) {
		return "**" + text + "**"
	}
	return text
}

// document puts the table into a README in place of the former one.
func (r *report) document(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), firstLine)
	_, after, ends := strings.Cut(rest, lastLine)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q for the table", file, firstLine, lastLine)
	}
	var table strings.Builder
	r.print(&table)
	return os.WriteFile(file, []byte(before+firstLine+table.String()+lastLine+after), 0o644)
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
	if took, err := syncTime(); err == nil {
		parts = append(parts, fmt.Sprintf("a disk that has 16 KB after %d µs", took.Microseconds()))
	}
	return strings.Join(append(parts, time.Now().UTC().Format("2 January 2006")), ", ")
}

// syncTime is how long this disk takes to have what was written, the median of
// many: what a commit waits for.
func syncTime() (time.Duration, error) {
	file, err := os.Create(filepath.Join(os.TempDir(), fmt.Sprintf("sync-%d", os.Getpid())))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var took []time.Duration
	for range 200 {
		begun := time.Now()
		if _, err := file.Write(make([]byte, 16<<10)); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
