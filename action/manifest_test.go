package action

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

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
	ID  string
	Env map[string]string
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
	i := slices.IndexFunc(m.Runs.Steps, func(s manifestStep) bool { return s.ID == "layout" })
	if i < 0 {
		t.Fatal("there is no step layout")
	}
	env := m.Runs.Steps[i].Env
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
