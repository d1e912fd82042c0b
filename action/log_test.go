package action

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage"
)

func TestLog(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(&out)
	end := l.Group("Image\ndebian:12")
	fmt.Fprintln(l.Text(), "clipper-runner: ready in 1.00 s")
	end()
	l.Mask("s3cr3t\n")
	l.Mask("-")
	l.Mask("")
	l.Notice("100% of [::1]:443")
	l.Warning("two\nlines")
	l.Error("no such image: %s")
	want := `::group::Image%0Adebian:12
clipper-runner: ready in 1.00 s
::endgroup::
::add-mask::s3cr3t%0A
::add-mask::s3cr3t
::notice title=Clipper Runner::100%25 of [::1]:443
::warning title=Clipper Runner::two%0Alines
::error title=Clipper Runner::no such image: %25s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// broken is a log that nobody reads any more.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestBrokenLog(t *testing.T) {
	l := NewLog(broken{})
	l.Group("x")()
	l.Mask("s3cr3t")
	l.Error("x")
	if n, err := l.Text().Write([]byte("line\n")); n != len("line\n") || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"pulling host:5000/a [::1] (sha256:1)\n", "pulling host:5000/a [::1] (sha256:1)\n"},
		{"\x1b[Kdone\n", "\x1b[Kdone\n"},
		{"::error::x\n", "| ::error::x\n"},
		{"  ::error::x", "|   ::error::x"},
		{"a\n::error::x\nb\n", "a\n| ::error::x\nb\n"},
		{"a\r::stop-commands::x", "a\r| ::stop-commands::x"},
		{"file ##[set-output name=a]b\n", "file ##(set-output name=a]b\n"},
		{"\u200b::error::x", "| \u200b::error::x"},
	} {
		var out bytes.Buffer
		fmt.Fprint(NewLog(&out).Text(), tt.line)
		if out.String() != tt.want {
			t.Errorf("%q became %q, want %q", tt.line, out.String(), tt.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\n\u200b:\ufeff:set-output name=digest::x\n")
	f.Add("##[add-mask]a\r#\u200d#[group]b")
	f.Fuzz(func(t *testing.T, s string) {
		var out bytes.Buffer
		fmt.Fprint(NewLog(&out).Text(), s)
		if isCommand(out.String()) {
			t.Errorf("%q became the command %q", s, out.String())
		}
	})
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	Plan{
		Kept:     []string{"A", "B"},
		Filtered: []Notice{{"DOCKER_HOST", "one"}, {"GOGC", "two"}, {"DOCKER_CONFIG", "one"}},
		Warned:   []Notice{{"NODE_OPTIONS", "three"}},
	}.Report(NewLog(&out))
	want := `the workflow's value is kept for A, B
::notice title=Clipper Runner::The image's DOCKER_HOST, DOCKER_CONFIG is not passed to later steps: one.
::notice title=Clipper Runner::The image's GOGC is not passed to later steps: two.
::warning title=Clipper Runner::The image's NODE_OPTIONS is not passed to later steps: three.
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

var summary = runnerimage.Summary{
	Image: "index.docker.io/library/debian:12", Digest: "sha256:" + strings.Repeat("a", 64),
	Entries: 9211, BytesPulled: 48_500_000, BytesReused: 1234, BytesWritten: 117_000_000,
	Milliseconds: map[runnerimage.Phase]int64{
		runnerimage.PhaseResolve: 120, runnerimage.PhaseClear: 3, runnerimage.PhaseUnpack: 1500, runnerimage.PhaseTotal: 1630,
	},
}

func TestMarkdown(t *testing.T) {
	want := "### `index.docker.io/library/debian:12`\n\n" +
		"| Image | `sha256:" + strings.Repeat("a", 64) + "` |\n|---|---|\n" + `| Pulled | 48.5 MB |
| Reused | 1.2 kB |
| Written | 117.0 MB in 9211 paths |
| Resolve | 0.12 s |
| Clear | 0.00 s |
| Pull and unpack | 1.50 s |
| Total | 1.63 s |
`
	if got := Markdown(summary); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Markdown(runnerimage.Summary{Image: "a`b|c\nd"}); !strings.HasPrefix(got, "### `a'b\\|c d`\n\n| Image | `` |\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestOutputs(t *testing.T) {
	f := step(t, "")
	if err := f.SetOutputs(Outputs(summary)...); err != nil {
		t.Fatal(err)
	}
	got, err := readPairs(content(t, f.Output))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"image": summary.Image, "digest": summary.Digest, "bytes-pulled": "48500000", "bytes-reused": "1234", "duration-ms": "1630",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
