package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// measurement is what one turn took.
type measurement struct {
	took time.Duration
	// cpu is the time that the machine's processors were busy, with whatever:
	// daemons, their children, the kernel and the registry are in it alike.
	cpu time.Duration
	// memory is by how much the memory of all processes grew at most, the page
	// cache not counted. What a daemon holds from before is not in it.
	memory int64
	// wire counts the bytes that the network carried, both ways, with its own
	// headers.
	wire int64
}

// measure calls timed and tells what the machine did meanwhile.
func measure(b *testing.B, over connection, timed func()) (m measurement) {
	b.Helper()
	memory := watchMemory(b)
	defer memory.end()
	busy, carried, start := busyTime(b), over.carried(b), time.Now()
	timed()
	m.took = time.Since(start)
	m.cpu, m.wire, m.memory = busyTime(b)-busy, over.carried(b)-carried, memory.end()
	return m
}

// untilOutput runs the commands one after the other, the last one until its
// first output, and then to its end, which is not measured. What the last one
// says on standard error goes where it has it, too.
func untilOutput(b *testing.B, over connection, commands ...*exec.Cmd) (m measurement) {
	b.Helper()
	last := commands[len(commands)-1]
	var stderr bytes.Buffer
	if last.Stderr == nil {
		last.Stderr = &stderr
	} else {
		last.Stderr = io.MultiWriter(&stderr, last.Stderr)
	}
	stdout, err := last.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	var first error
	m = measure(b, over, func() {
		for _, cmd := range commands[:len(commands)-1] {
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%s (run `make bench`, which installs it): %v: %s", cmd, err, out)
			}
		}
		if err := last.Start(); err != nil {
			b.Fatal(err)
		}
		_, first = io.ReadFull(stdout, make([]byte, 1))
	})
	_, _ = io.Copy(io.Discard, stdout) // or the program could not end
	if err := last.Wait(); err != nil || first != nil {
		b.Fatalf("%s: %v, first output: %v: %s", last, err, first, stderr.String())
	}
	return m
}

// busyTime is how long the processors have been busy since the machine
// started, by proc(5)'s stat.
func busyTime(b *testing.B) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(first) // cpu user nice system idle iowait irq softirq steal …
	var ticks int64
	for _, column := range []int{1, 2, 3, 6, 7} {
		if len(fields) <= column {
			b.Fatalf("/proc/stat begins with %q", first)
		}
		n, err := strconv.ParseInt(fields[column], 10, 64)
		if err != nil {
			b.Fatalf("/proc/stat begins with %q", first)
		}
		ticks += n
	}
	const ticksPerSecond = 100 // USER_HZ, of every architecture that Go knows
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// samples are the measurements of one thing.
type samples []measurement

// by picks one figure of them all.
func (s samples) by(figure func(measurement) int64) (picked sample) {
	for _, m := range s {
		picked = append(picked, figure(m))
	}
	return picked
}

func (s samples) took() sample   { return s.by(func(m measurement) int64 { return int64(m.took) }) }
func (s samples) cpu() sample    { return s.by(func(m measurement) int64 { return int64(m.cpu) }) }
func (s samples) memory() sample { return s.by(func(m measurement) int64 { return m.memory }) }
func (s samples) wire() sample   { return s.by(func(m measurement) int64 { return m.wire }) }

// sample is one figure measured several times: nanoseconds or bytes.
type sample []int64

func (s *sample) add(d time.Duration) { *s = append(*s, int64(d)) }

// median of an even number is the higher of the two in the middle.
func (s sample) median() int64 { return slices.Sorted(slices.Values(s))[len(s)/2] }

func (s sample) seconds() float64 { return time.Duration(s.median()).Seconds() }

// over is how many times the one median is the other.
func (s sample) over(other sample) float64 { return float64(s.median()) / float64(other.median()) }

// duration is the median with its spread.
func (s sample) duration() string {
	digits, name := func(ns int64) string { return fmt.Sprintf("%.1f", time.Duration(ns).Seconds()) }, "s"
	if time.Duration(s.median()) < time.Second {
		digits, name = func(ns int64) string { return fmt.Sprint(time.Duration(ns).Milliseconds()) }, "ms"
	}
	return fmt.Sprintf("%s %s (%s–%s)", digits(s.median()), name, digits(slices.Min(s)), digits(slices.Max(s)))
}
