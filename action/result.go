package action

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/runnerimage"
)

// OutputRootFS is the output that says where the image stands: / where it is
// the job's container itself.
const OutputRootFS = "rootfs"

// OutputNames are the names of all outputs of the action.
func OutputNames() []string {
	names := []string{OutputRootFS}
	for _, p := range Outputs(runnerimage.Summary{}) {
		names = append(names, p.Name)
	}
	return names
}

// Outputs are the outputs of a step that laid an image out, but for
// OutputRootFS, of which the summary knows nothing.
func Outputs(s runnerimage.Summary) []Pair {
	return []Pair{
		{"image", s.Image},
		{"digest", s.Digest},
		{"bytes-pulled", strconv.FormatInt(s.BytesPulled, 10)},
		{"bytes-reused", strconv.FormatInt(s.BytesReused, 10)},
		{"duration-ms", strconv.FormatInt(s.Milliseconds[runnerimage.PhaseTotal], 10)},
	}
}

// phases are the rows of the summary's times.
var phases = []struct {
	phase runnerimage.Phase
	title string
}{
	{runnerimage.PhaseResolve, "Resolve"},
	{runnerimage.PhaseClear, "Clear"},
	{runnerimage.PhaseUnpack, "Pull and unpack"},
	{runnerimage.PhaseTotal, "Total"},
}

// Markdown is the summary of a step that laid an image out.
func Markdown(s runnerimage.Summary) string {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "| %s | %s |\n", name, value) }
	fmt.Fprintf(&b, "### %s\n\n", code(s.Image))
	row("Image", code(s.Digest))
	b.WriteString("|---|---|\n")
	row("Pulled", runnerimage.Size(s.BytesPulled))
	row("Reused", runnerimage.Size(s.BytesReused))
	row("Written", fmt.Sprintf("%s in %d paths", runnerimage.Size(s.BytesWritten), s.Entries))
	for _, p := range phases {
		if ms, ok := s.Milliseconds[p.phase]; ok {
			row(p.title, fmt.Sprintf("%.2f s", float64(ms)/1000))
		}
	}
	return b.String()
}

// code writes a word that Markdown leaves as it is.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "\\|", "\r", " ", "\n", " ").Replace(s) + "`"
}
