package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	for name, bodies := range published(t) {
		if len(webhook.NamesOf(bodies[0])) == 0 {
			continue
		}
		told[name] = true
		cmd := exec.Command(shared+"/clipper-runner", "webhook", "config", "explain", "--config", config, "-")
		cmd.Stdin = bytes.NewReader(bodies[0])
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

// published are the bodies that GitHub's own library publishes, by the names of
// their events.
func published(t *testing.T) map[string][]json.RawMessage {
	t.Helper()
	f, err := os.Open(filepath.Join(webhookFolder, "testdata/octokit-webhooks-examples-7.6.1.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.NewDecoder(z).Decode(&events); err != nil {
		t.Fatal(err)
	}
	bodies := map[string][]json.RawMessage{}
	for _, e := range events {
		bodies[e.Name] = e.Examples
	}
	return bodies
}
