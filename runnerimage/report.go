package runnerimage

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
)

// Summary tells what a layout did. It is the line (with LogJSON the object)
// that a run ends with before the program starts.
type Summary struct {
	Message string `json:"msg"`
	Image   string `json:"image"`
	Digest  string `json:"digest"`
	// Entries counts the paths of the tree.
	Entries int64 `json:"entries"`
	// BytesPulled came over the network, manifests and repeats included;
	// BytesReused are compressed bytes that did not have to; BytesWritten is
	// file content put on disk.
	BytesPulled  int64 `json:"bytes_pulled"`
	BytesReused  int64 `json:"bytes_reused"`
	BytesWritten int64 `json:"bytes_written"`
	// Claimed is how many layers were laid out from a published table of
	// contents that nobody has held against the layer's archive.
	Claimed int64 `json:"layers_by_toc_alone"`
	// Milliseconds by phase: resolve, clear, unpack, and total.
	Milliseconds map[Phase]int64 `json:"ms"`
}

// Phase is one part of the time that a start takes.
type Phase string

const (
	// PhaseResolve is from the reference to manifest and config.
	PhaseResolve Phase = "resolve"
	// PhaseClear is the look at the root and the removal of what was there.
	PhaseClear Phase = "clear"
	// PhaseUnpack is from the first byte of a layer to the last directory's
	// time: pulling, inflating and writing happen at once.
	PhaseUnpack Phase = "unpack"
	PhaseTotal  Phase = "total"
)

// How often a terminal's line is drawn again, and a log gets another one.
const (
	terminalInterval = 200 * time.Millisecond
	logInterval      = 10 * time.Second
)

// report tells a person, or a machine that reads JSON, how a start goes. Lines
// may come from several goroutines, each as one Write; phases and the summary
// belong to the one that tells the story.
type report struct {
	w        io.Writer
	format   LogFormat
	terminal bool
	start    time.Time
	summary  Summary
}

func newReport(cfg Config) *report {
	return &report{
		w: cfg.Log, format: cfg.Settings.Log, terminal: cfg.Terminal, start: time.Now(),
		summary: Summary{
			Message: "ready", Image: cfg.Settings.Image.String(),
			Milliseconds: map[Phase]int64{},
		},
	}
}

// phase starts a phase's clock; the function returned stops it.
func (r *report) phase(p Phase) (done func()) {
	start := time.Now()
	return func() { r.summary.Milliseconds[p] += time.Since(start).Milliseconds() }
}

// say writes one line.
func (r *report) say(format string, args ...any) { r.line("info", fmt.Sprintf(format, args...)) }

// warn writes one line about something that a person may want to mend.
func (r *report) warn(text string) { r.line("warning", text) }

func (r *report) line(level, text string) {
	switch r.format {
	case LogQuiet:
	case LogJSON:
		r.json(map[string]string{"level": level, "msg": text})
	default:
		if level != "info" {
			text = level + ": " + text
		}
		fmt.Fprintln(r.w, "clipper-runner: "+text)
	}
}

func (r *report) json(v any) {
	// Strings, numbers and maps of them always marshal.
	data, _ := json.Marshal(v)
	fmt.Fprintln(r.w, string(data))
}

// watch draws the progress until the function returned is called: a line
// that renews itself on a terminal, a line now and then in a log. The
// function returned waits until nothing is written any more.
func (r *report) watch(progress func() string) (stop func()) {
	if r.format != LogText {
		return func() {}
	}
	interval := logInterval
	if r.terminal {
		interval = terminalInterval
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(interval)
		defer ticks.Stop()
		for {
			select {
			case <-end:
				if r.terminal {
					fmt.Fprint(r.w, "\r\x1b[K")
				}
				return
			case <-ticks.C:
				if r.terminal {
					fmt.Fprintf(r.w, "\r\x1b[Kclipper-runner: %s", progress())
				} else {
					r.say("%s", progress())
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// pulling says what was found and will be pulled.
func (r *report) pulling(image *registry.Image, platform oci.Platform) {
	layers := image.Manifest.Layers
	r.say("pulling %s (%s, %s, %d layers, %s)", image.Reference, platform, image.Digest, len(layers), Size(layersSize(layers)))
}

// progress is one line on how far the layers are.
func (r *report) progress(image *registry.Image, pulled pull.Stats, written rootfs.Stats) string {
	return fmt.Sprintf("pulled %s of %s, wrote %d entries, %s, in %s",
		Size(pulled.Fetched), Size(layersSize(image.Manifest.Layers)), written.Entries, Size(written.Bytes),
		seconds(time.Since(r.start).Milliseconds()))
}

func layersSize(layers []oci.Descriptor) (total int64) {
	for _, desc := range layers {
		total += desc.Size
	}
	return total
}

// count completes the summary.
func (r *report) count(image *registry.Image, pulled pull.Stats, written rootfs.Stats) {
	s := &r.summary
	s.BytesReused, s.Claimed = pulled.Reused, pulled.Claimed
	s.Digest, s.Entries, s.BytesPulled, s.BytesWritten = image.Digest.String(), written.Entries, pulled.Fetched, written.Bytes
	s.Milliseconds[PhaseTotal] = time.Since(r.start).Milliseconds()
}

// ready ends the report.
func (r *report) ready(image *registry.Image) {
	s := r.summary
	if r.format == LogJSON {
		r.json(s)
		return
	}
	var phases []string
	for _, p := range []Phase{PhaseResolve, PhaseClear, PhaseUnpack} {
		phases = append(phases, fmt.Sprintf("%s %s", p, seconds(s.Milliseconds[p])))
	}
	if s.Claimed > 0 {
		r.say("%d of %d layers come from their published tables of contents alone; %s=%s reads every layer whole", s.Claimed, len(image.Manifest.Layers), envTOC, TOCNever)
	}
	r.say("ready in %s: %d entries, %s pulled, %s reused, %s written (%s)",
		seconds(s.Milliseconds[PhaseTotal]), s.Entries, Size(s.BytesPulled), Size(s.BytesReused), Size(s.BytesWritten),
		strings.Join(phases, ", "))
}

func seconds(ms int64) string { return fmt.Sprintf("%.2f s", float64(ms)/1000) }

// Size writes n bytes as people read them, in powers of ten as registries do.
func Size(n int64) string {
	units := []string{"B", "kB", "MB", "GB"}
	v, u := float64(n), 0
	for v >= 1000 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}
