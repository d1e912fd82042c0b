package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/ecslab"
)

// TestECSPermissions: a command makes no other calls of AWS than ecs/README.md
// says.
func TestECSPermissions(t *testing.T) {
	permitted := readmePermissions(t)
	permitted["deploy"] = append(permitted["deploy"], permitted["register"]...)
	permitted["status"] = append(permitted["status"], permitted["tasks"]...)
	w := ecslab.Start(t, ecslab.Open(t, "../.."))
	credentials, err := w.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	definition := func(seconds string) string {
		text := ecslab.Definition(t, "web", w.Script("app", "echo up; sleep "+seconds, nil)).JSON()
		file := filepath.Join(dir, "web"+seconds+".json")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	service := filepath.Join(dir, "service.json")
	if err := os.WriteFile(service, []byte(`{"desiredCount": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	first, second := definition("600"), definition("601")
	task := ""
	for _, args := range [][]string{
		{"register", first, "--no-verify"},
		{"deploy", first, "--no-verify", "--service", "web", "--service-file", service},
		{"deploy", second, "--no-verify", "--service", "web"},
		{"rollback", "web"},
		{"run", "web", "--like", "web", "true"},
		{"status", "--times"},
		{"tasks", "--service", "web", "--times", "--json"},
		{"logs", "TASK"},
	} {
		if slices.Contains([]string{"deploy", "rollback", "run"}, args[0]) {
			args = slices.Insert(args, 1, "--poll=200ms")
		}
		cmd := exec.CommandContext(t.Context(), shared+"/clipper-runner", append([]string{"ecs"}, args...)...)
		if at := slices.Index(cmd.Args, "TASK"); at >= 0 {
			cmd.Args[at] = task
		}
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+w.URL, "AWS_REGION="+w.Config().Region, "AWS_SESSION_TOKEN="+credentials.SessionToken,
			"AWS_ACCESS_KEY_ID="+credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+credentials.SecretAccessKey)
		w.ResetCounts()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if found := regexp.MustCompile(`"task": "([0-9a-f]+)"`).FindSubmatch(out); found != nil {
			task = string(found[1])
		}
		for call := range maps.Keys(w.Counts()) {
			if !slices.Contains(permitted[args[0]], call) {
				t.Errorf("%q calls %s", args, call)
			}
		}
	}
}

// readmePermissions are the actions of every row of the page's table.
func readmePermissions(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	_, page, _ := strings.Cut(read(t, "../../ecs/README.md"), "## Permissions")
	page, _, _ = strings.Cut(page, "\n## ")
	for line := range strings.Lines(page) {
		if words := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1); strings.HasPrefix(line, "| `") {
			for _, word := range words[1:] {
				found[words[0][1]] = append(found[words[0][1]], word[1])
			}
		}
	}
	return found
}
