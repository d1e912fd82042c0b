package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// goal is what was promised, and what became of it.
type goal struct {
	what, want, measured string
	reached              bool
}

// atLeast is the goal that the runner is so many times faster.
func atLeast(what, than string, want float64, slow, fast sample) goal {
	measured := slow.over(fast)
	return goal{what, fmt.Sprintf("≥ %v × faster than %s", want, than), fmt.Sprintf("%.2f ×", measured), measured >= want}
}

// goals are those of which all parts were measured.
func (r *report) goals() (goals []goal) {
	docker, large, typical, small := peers[0].name, r.find(large, loopback), r.find(typical, loopback), r.find(small, loopback)
	if large.has(docker, runner.name) {
		goals = append(goals, atLeast("large, gzip, cold, no store", "Docker", 3, large.took(docker), large.took(runner.name)))
	}
	for _, peer := range peers[1:] {
		if large.has(peer.name, runner.name) {
			goals = append(goals, atLeast("large, gzip, cold, no store", peer.title, 2, large.took(peer.name), large.took(runner.name)))
		}
	}
	if limit, ok := large.limit(); ok && large.has(runner.name) {
		ratio := large.took(runner.name).seconds() / limit.Seconds()
		goals = append(goals, goal{"large, gzip, cold, no store", "≤ 1.25 × the limit", fmt.Sprintf("%.2f ×", ratio), ratio <= 1.25})
	}
	if large.has(docker, runnerPublished.name) {
		goals = append(goals, atLeast("large, published, cold", "Docker with the one of gzip", 4, large.took(docker), large.took(runnerPublished.name)))
	}
	if ours, other := r.inflated[0], r.inflated[1]; len(ours) > 0 {
		goals = append(goals, atLeast("inflating, one core", "klauspost/compress", 1.8, other, ours))
	}
	if large.has(docker, fromStore.name, copied.name) {
		goals = append(goals, atLeast("large, from a store", "Docker cold", 5, large.took(docker), large.took(fromStore.name)),
			atLeast("large, from a store", "`cp -a` of the tree", 1, large.took(copied.name), large.took(fromStore.name)))
	}
	if typical.has(docker, runner.name, fromStore.name) {
		goals = append(goals, atLeast("typical, cold", "Docker", 2, typical.took(docker), typical.took(runner.name)),
			atLeast("typical, from a store", "Docker cold", 5, typical.took(docker), typical.took(fromStore.name)))
	}
	if small.has(docker, runner.name) {
		goals = append(goals, atLeast("small, cold", "Docker", 1, small.took(docker), small.took(runner.name)))
	}
	return append(goals, r.otherGoals()...)
}

// otherGoals are those that are no comparison of ways.
func (r *report) otherGoals() (goals []goal) {
	if row := r.find(models, gigabit); row.has(runner.name, transferring) {
		share := row.took(transferring).over(row.took(runner.name))
		goals = append(goals, goal{"models, cold, 1 Gbit/s", "≥ 95 % of the rate of a plain transfer", fmt.Sprintf("%.0f %%", 100*share), share >= 0.95})
	}
	if plain, ours := r.restarted[0], r.restarted[1]; len(ours) > 0 {
		more := time.Duration(ours.median() - plain.median()).Milliseconds()
		goals = append(goals, goal{"a restart, over the engine's start of the image itself", "≤ 30 ms",
			fmt.Sprintf("%+d ms: %s against %s", more, ours.duration(), plain.duration()), more <= 30})
	}
	if r.peak > 0 {
		goals = append(goals, goal{"peak memory of the runner, any case", "≤ 128 MiB", fmt.Sprintf("%d MiB", r.peak>>20), r.peak <= 128<<20})
	}
	return goals
}

// limit is the least time that this machine needs for the work, if all its
// cores did nothing else and shared it evenly. Writing is that of the copy,
// whose container and program start as the runner's do.
func (r *startRow) limit() (time.Duration, bool) {
	parts := []string{inflating, hashing, transferring, copied.name}
	if !r.has(parts...) {
		return 0, false
	}
	var busy int64
	for _, part := range parts {
		busy += r.samples[part].cpu().median()
	}
	return time.Duration(busy) / time.Duration(runtime.NumCPU()), true
}

// printParts writes what the parts of the work take alone.
func (r *report) printParts(w io.Writer) {
	for _, row := range r.starts {
		if !row.has(transferring, inflating, hashing) {
			continue
		}
		titles := [][2]string{
			{transferring, "transferring the blobs over " + row.network.title + " and nothing else"},
			{inflating, "inflating them, a core for each layer"},
			{hashing, "their sha256"},
			{copied.name, "writing the tree: a container that copies it by `cp -a` and starts the program"},
		}
		var rows []string
		for _, title := range titles {
			if s := row.samples[title[0]]; len(s) > 0 {
				rows = append(rows, cellsOf([]string{title[1], s.took().duration(), s.cpu().duration()}))
			}
		}
		if limit, ok := row.limit(); ok {
			rows = append(rows, cellsOf([]string{fmt.Sprintf("the limit: all processor time by %d cores", runtime.NumCPU()), fmt.Sprintf("%.1f s", limit.Seconds()), ""}))
		}
		table(w, rows, "parts of the work, "+row.image.name, "time", "processor time of the machine")
	}
}

// printGoals writes what was to be reached.
func (r *report) printGoals(w io.Writer) {
	var rows []string
	for _, g := range r.goals() {
		answer := map[bool]string{true: "yes", false: "**no**"}[g.reached]
		rows = append(rows, cellsOf([]string{g.what, g.want, g.measured, answer}))
	}
	table(w, slices.Clip(rows), "case", "goal", "measured", "reached")
}
