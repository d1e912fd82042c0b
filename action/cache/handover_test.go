package cache

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script is the action that hands the token over.
const script = "../cache-token/dist/index.js"

// handOver runs it as GitHub's runner does, and returns its log and the files
// of its commands.
func handOver(t *testing.T, env ...string) (log, output, state string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"output", "state"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("node", script)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GITHUB_OUTPUT=" + dir + "/output", "GITHUB_STATE=" + dir + "/state"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(string(b), "\n")
	}
	return string(out), read("output"), read("state")
}

// TestHandOver reads what the action writes.
func TestHandOver(t *testing.T) {
	temp := t.TempDir()
	job := []string{"RUNNER_TEMP=" + temp, "ACTIONS_RESULTS_URL=https://results.example/", "ACTIONS_RUNTIME_TOKEN=a.secret.b", "ACTIONS_CACHE_SERVICE_V2=True", "ACTIONS_CACHE_MODE=read"}
	log, output, state := handOver(t, job...)
	path, ok := strings.CutPrefix(output, "file=")
	if !ok || output != state || log != "" {
		t.Fatalf("log %q, output %q, state %q", log, output, state)
	}
	s, err := ReadToken(path)
	if err != nil || s.URL != "https://results.example/" || s.Token != "a.secret.b" || s.Mode != "read" {
		t.Errorf("%+v, %v", s, err)
	}

	// What nobody has read is gone at the job's end, and the end of one that was
	// read is no error.
	_, output, _ = handOver(t, job...)
	path = strings.TrimPrefix(output, "file=")
	for range 2 {
		if log, output, state := handOver(t, append(job, "STATE_file="+path)...); log+output+state != "" {
			t.Errorf("at the end: %q %q %q", log, output, state)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}

	for name, env := range map[string][]string{
		"no cache":      {"RUNNER_TEMP=" + temp},
		"an old server": job[:3],
	} {
		if log, output, _ := handOver(t, env...); output != "" || !strings.Contains(log, "no Actions cache of version 2") {
			t.Errorf("%s: %q, %q", name, log, output)
		}
	}
	log, output, _ = handOver(t, append(job, "RUNNER_TEMP="+temp+"/none")...)
	if output != "" || !strings.HasPrefix(log, "::warning title=Clipper Runner::The Actions cache is not used: ENOENT") || strings.Contains(log, "secret") {
		t.Errorf("no directory: %q, %q", log, output)
	}
}
