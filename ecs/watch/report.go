package watch

import (
	"fmt"
	"strings"

	"github.com/clipperregistry/runner/ecs"
)

// phases are the columns of a report.
var phases = []struct {
	phase Phase
	title string
}{
	{Provisioning, "provisioning"}, {RunnerPull, "runner pull"}, {Starting, "starting"}, {Healthy, "first healthy"}, {Total, "until its end"},
}

// Text is a line for each task and each container.
func (t Timing) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "task %s:", t.Task)
	for _, p := range phases {
		if ms, ok := t.Milliseconds[p.phase]; ok {
			fmt.Fprintf(&b, " %s %s,", p.title, seconds(ms))
		}
	}
	text := strings.TrimRight(b.String(), ":,") + "\n"
	for _, c := range t.Containers {
		text += fmt.Sprintf("  %s: pulled %s, reused %s, unpacked in %s, ready in %s\n",
			c.Container, megabytes(c.BytesPulled), megabytes(c.BytesReused), seconds(c.Milliseconds["unpack"]), seconds(c.Milliseconds["total"]))
	}
	if t.Ending != "" {
		text += "  " + t.Ending + "\n"
	}
	return text
}

// Markdown is a table of tasks for the summary of a GitHub step.
func Markdown(timings []Timing) string {
	var b strings.Builder
	b.WriteString("| task |")
	for _, p := range phases {
		b.WriteString(" " + p.title + " |")
	}
	b.WriteString(" images | |\n|---" + strings.Repeat("|---", len(phases)+2) + "|\n")
	for _, t := range timings {
		b.WriteString("| " + ecs.Cell(t.Task) + " |")
		for _, p := range phases {
			cell := ""
			if ms, ok := t.Milliseconds[p.phase]; ok {
				cell = seconds(ms)
			}
			b.WriteString(" " + cell + " |")
		}
		var images []string
		for _, c := range t.Containers {
			images = append(images, fmt.Sprintf("%s: %s pulled, %s reused, unpacked in %s", ecs.Cell(c.Container), megabytes(c.BytesPulled), megabytes(c.BytesReused), seconds(c.Milliseconds["unpack"])))
		}
		fmt.Fprintf(&b, " %s | %s |\n", strings.Join(images, "<br>"), ecs.Cell(t.Ending))
	}
	return b.String()
}

func seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
