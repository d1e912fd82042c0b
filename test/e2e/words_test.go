package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/test/stack"
)

// bare starts the runner image itself.
func bare(t *testing.T, env []string, args ...string) stack.Result {
	t.Helper()
	return lab.Run(t, stack.RunSpec{Image: stack.RunnerImage, Via: stack.Direct, Env: env, Args: args})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	got := bare(t, nil)
	if got.Exit != runnerimage.ExitSettings || !strings.HasPrefix(got.Stderr, runnerimage.Usage) || got.Stdout != "" {
		t.Errorf("without any variable: %+v", got)
	}
	if lines := strings.Count(runnerimage.Usage, "\n"); lines > 40 {
		t.Errorf("the usage has %d lines, more than a screen", lines)
	}
	if got := bare(t, nil, "--version"); got.Exit != 0 || !strings.HasPrefix(got.Stdout, "clipper-runner ") {
		t.Errorf("--version: %+v", got)
	}
}

// TestBadSettings: what cannot be used is told in one line that names it, and
// nothing is asked of any registry.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	image := "CLIPPER_MAGIC_IMAGE=127.0.0.1:1/none"
	for _, test := range []struct {
		env  []string
		name string // in the last line
	}{
		{[]string{"CLIPPER_MAGIC_IMAGE=UPPER CASE"}, "CLIPPER_MAGIC_IMAGE"},
		{[]string{image, "CLIPPER_PLATFORM=linux"}, "CLIPPER_PLATFORM"},
		{[]string{image, "CLIPPER_ENTRYPOINT=/bin/sh"}, "CLIPPER_ENTRYPOINT"},
		{[]string{image, "CLIPPER_CREDENTIALS={"}, "credentials"},
		{[]string{image, "CLIPPER_CREDENTIALS_FILE=/none"}, "CLIPPER_CREDENTIALS_FILE"},
		{[]string{image, "CLIPPER_CA_CERTS=/none"}, "CLIPPER_CA_CERTS"},
		{[]string{image, "CLIPPER_INIT=perhaps"}, "CLIPPER_INIT"},
		{[]string{image, "CLIPPER_LOG=loud"}, "CLIPPER_LOG"},
	} {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			got := bare(t, test.env)
			lines := strings.Split(strings.TrimSpace(got.Stderr), "\n")
			if got.Exit != runnerimage.ExitSettings || !strings.Contains(strings.ToLower(lines[len(lines)-1]), strings.ToLower(test.name)) {
				t.Errorf("exit %d, want %d and a last line with %s: %s", got.Exit, runnerimage.ExitSettings, test.name, got.Stderr)
			}
		})
	}
}

// TestReports: the same run told as text, as JSON and not at all. Standard
// output is the program's alone.
func TestReports(t *testing.T) {
	t.Parallel()
	ref := lab.Push(t, "words/reports", probeImage(t, nil))
	run := func(form string) []string {
		t.Helper()
		got := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, RunnerEnv: []string{"CLIPPER_LOG=" + form}, Args: []string{"sh", "-c", "echo program"}})
		if got.Exit != 0 || got.Stdout != "program\n" {
			t.Fatalf("%s: %+v", form, got)
		}
		return slices.DeleteFunc(strings.Split(got.Stderr, "\n"), func(line string) bool { return line == "" })
	}
	if lines := run("quiet"); len(lines) != 0 {
		t.Errorf("quiet: %q", lines)
	}
	if lines := run("text"); len(lines) != 2 || !strings.Contains(lines[0], "pulling "+ref) || !strings.Contains(lines[1], "ready in ") {
		t.Errorf("text: %q", lines)
	}
	lines := run("json")
	var summary runnerimage.Summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil {
		t.Fatalf("json: %v: %q", err, lines)
	}
	_, total := summary.Milliseconds[runnerimage.PhaseTotal]
	if summary.Message != "ready" || summary.Image != ref || !strings.HasPrefix(summary.Digest, "sha256:") || !total ||
		summary.Entries == 0 || summary.BytesPulled == 0 || summary.BytesWritten == 0 {
		t.Errorf("json: %+v", summary)
	}
	// Failures too.
	got := bare(t, []string{"CLIPPER_LOG=json", "CLIPPER_MAGIC_IMAGE=" + ref + "-missing"})
	var failure struct {
		Level string `json:"level"`
		Code  int    `json:"exit_code"`
	}
	lines = strings.Split(strings.TrimSpace(got.Stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &failure); err != nil || failure.Level != "error" || failure.Code != got.Exit || got.Exit != runnerimage.ExitNotFound {
		t.Errorf("%v: exit %d: %q", err, got.Exit, lines)
	}
}
