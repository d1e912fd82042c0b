package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// TestExplainPublished has a body of each kind that GitHub publishes, and that
// anything follows from, told from the others and explained.
func TestExplainPublished(t *testing.T) {
	config := filepath.Join(t.TempDir(), "clipper.yml")
	if err := os.WriteFile(config, []byte(`version: 1
rules:
- id: all
  on: { push: , pull_request: , merge_group: , release: , registry_package: , deployment: , comment: { command: /test } }
  run: { workflow: { file: a.yml } }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, example := range fakehub.Examples(t) {
		name := example.Event
		if told[name] || len(webhook.NamesOf(example.Body)) == 0 {
			continue
		}
		told[name] = true
		cmd := exec.Command(shared+"/clipper-runner", "webhook", "config", "explain", "--config", config, "-")
		cmd.Stdin = bytes.NewReader(example.Body)
		out, err := cmd.CombinedOutput()
		first, rest, _ := strings.Cut(string(out), "\n")
		if err != nil || !strings.HasPrefix(first+" ", name+" ") || !strings.HasPrefix(rest, "\nall ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	want := []string{
		"check_run", "check_suite", "deployment", "installation", "installation_repositories", "issue_comment", "merge_group",
		"package", "pull_request", "push", "release", "workflow_job", "workflow_run",
	}
	if got := slices.Sorted(maps.Keys(told)); !slices.Equal(got, want) {
		t.Errorf("explained were %q", got)
	}
}
