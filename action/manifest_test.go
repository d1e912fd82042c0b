package action

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage"
	"go.yaml.in/yaml/v3"
)

// manifest is the part of action.yml that this package has a say in.
type manifest struct {
	Inputs  map[string]struct{ Description, Default string }
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Steps []manifestStep
	}
}

type manifestStep struct {
	ID, Run string
	Env     map[string]string
}

// layoutStep is the step that lays the image out.
func (m manifest) layoutStep(t *testing.T) manifestStep {
	t.Helper()
	i := slices.IndexFunc(m.Runs.Steps, func(s manifestStep) bool { return s.ID == "layout" })
	if i < 0 {
		t.Fatal("there is no step layout")
	}
	return m.Runs.Steps[i]
}

func readManifest(t *testing.T, path string) (m manifest, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m, string(b)
}

// TestManifest holds action.yml against the inputs and outputs of the package.
func TestManifest(t *testing.T) {
	m, text := readManifest(t, "../action.yml")
	wantNames(t, "inputs", slices.Collect(maps.Keys(m.Inputs)), InputNames())
	wantNames(t, "outputs", slices.Collect(maps.Keys(m.Outputs)), OutputNames())
	for name, output := range m.Outputs {
		if output.Value != "${{ steps.layout.outputs."+name+" }}" || output.Description == "" {
			t.Errorf("output %s: %+v", name, output)
		}
	}
	env := m.layoutStep(t).Env
	job := map[string]string{}
	for name, in := range m.Inputs {
		variable := "INPUT_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		if env[variable] != "${{ inputs."+name+" }}" || in.Description == "" {
			t.Errorf("input %s: %s is %q, %+v", name, variable, env[variable], in)
		}
		job[variable] = in.Default
		delete(env, variable)
	}
	for name := range env {
		if strings.HasPrefix(name, "INPUT_") {
			t.Errorf("%s is no input", name)
		}
	}
	// The defaults are those of the package.
	job["INPUT_IMAGE"] = "debian:12"
	in, err := ParseInputs(job)
	if err != nil || in.Cache {
		t.Errorf("%+v, %v", in, err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(InputNames(), OutputNames()...) {
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not tell of %s", name)
		}
	}
	// This one is a path of the machine where a container runs the step.
	if strings.Contains(text, "github.action_path") {
		t.Error("github.action_path is used: write $GITHUB_ACTION_PATH")
	}
}

func wantNames(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("action.yml has the %s\n%q, want\n%q", what, got, want)
	}
}

// TestNoProgram runs the step's script where it can do nothing, and where it
// can.
func TestNoProgram(t *testing.T) {
	m, _ := readManifest(t, "../action.yml")
	script := m.layoutStep(t).Run
	run := func(env ...string) (code int, out string) {
		cmd := exec.Command("sh", "-e", "-c", script)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "CLIPPER_CACHE_TOKEN=/the file"}, env...)
		b, err := cmd.CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(b)
	}
	dir := t.TempDir()
	if code, out := run("RUNNER_OS=Linux", "RUNNER_ARCH=X64", "GITHUB_ACTION_PATH="+dir); code != runnerimage.ExitSettings ||
		!strings.HasPrefix(out, "::error title=Clipper Runner::This commit of the action has no program in it: only releases have.") {
		t.Errorf("without a program: %d, %s", code, out)
	}
	if code, out := run("RUNNER_OS=macOS", "RUNNER_ARCH=ARM64", "GITHUB_ACTION_PATH="+dir); code != runnerimage.ExitSettings ||
		!strings.Contains(out, "runs on Linux machines") || !strings.Contains(out, "not on macOS ARM64") {
		t.Errorf("on another machine: %d, %s", code, out)
	}
	if err := os.MkdirAll(dir+"/dist/action", 0o755); err != nil {
		t.Fatal(err)
	}
	for runner, file := range map[string]string{"X64": "linux-amd64", "ARM64": "linux-arm64"} {
		program := "#!/bin/sh\necho " + file + ": \"$@\"\nexit 7\n"
		if err := os.WriteFile(dir+"/dist/action/"+file, []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		if code, out := run("RUNNER_OS=Linux", "RUNNER_ARCH="+runner, "GITHUB_ACTION_PATH="+dir); code != 7 || out != file+": action --cache /the file\n" {
			t.Errorf("%s: %d, %s", runner, code, out)
		}
	}
}
