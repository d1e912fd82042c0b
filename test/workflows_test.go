package test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/actions"
	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v3"
)

// lint runs actionlint over a workflow.
func lint(t *testing.T, path string, text []byte) {
	t.Helper()
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	project, err := actionlint.NewProject("..")
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.Lint(path, text, project)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		t.Errorf("%v", e)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// workflows are the files that GitHub reads.
func workflows(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../.github/workflows/*.y*ml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	return paths
}

func TestWorkflows(t *testing.T) {
	for _, path := range workflows(t) {
		lint(t, path, readFile(t, path))
	}
}

// actionFiles are the actions that a step of others can use, and pages their
// pages.
var (
	actionFiles = []string{"action.yml", "ecs/action.yml"}
	pages       = []string{"action/README.md", "ecs/README.md"}
)

// TestActionSteps has actionlint read the steps of our actions, of which it
// knows no more than inputs and outputs: in a workflow with the same inputs.
func TestActionSteps(t *testing.T) {
	for _, path := range actionFiles {
		t.Run(path, func(t *testing.T) { lintSteps(t, path) })
	}
}

func lintSteps(t *testing.T, path string) {
	var action struct {
		Inputs map[string]any
		Runs   struct {
			Steps []yaml.Node
		}
	}
	if err := yaml.Unmarshal(readFile(t, "../"+path), &action); err != nil {
		t.Fatal(err)
	}
	inputs := map[string]any{}
	for name := range action.Inputs {
		inputs[name] = map[string]string{"type": "string"}
	}
	workflow, err := yaml.Marshal(map[string]any{
		"on":   map[string]any{"workflow_call": map[string]any{"inputs": inputs}},
		"jobs": map[string]any{"steps": map[string]any{"runs-on": "ubuntu-latest", "steps": action.Runs.Steps}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// In a workflow the shell must be a word, in an action it may be chosen.
	workflow = bytes.ReplaceAll(workflow, []byte("shell: ${{ inputs.shell || 'sh' }}"), []byte("shell: sh"))
	lint(t, path, workflow)
}

// TestExamples has it read the examples of the actions' pages.
func TestExamples(t *testing.T) {
	for _, page := range pages {
		text := string(readFile(t, "../"+page))
		examples := regexp.MustCompile("(?ms)^```yaml example\n(.*?)^```$").FindAllStringSubmatch(text, -1)
		if len(examples) < 4 || strings.Count(text, "```yaml example") != len(examples) {
			t.Errorf("%s has %d examples", page, len(examples))
		}
		for _, example := range examples {
			lint(t, page, []byte(example[1]))
			if _, err := actions.ParseWorkflow(example[1]); err != nil {
				t.Errorf("%s: the replay of GitHub's runner cannot read it: %v\n%s", page, err, example[1])
			}
		}
	}
}

var (
	uses = regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)(.*)$`)
	// pinned is an action at a commit, with its version for people.
	pinned      = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
	forPeople   = regexp.MustCompile(`^ # v\d+\.\d+\.\d+$`)
	ownHandOver = "clipperregistry/runner/action/cache-token@v1"
)

// TestPinned finds actions whose code could change under a workflow's feet. The
// action's own part gets its commit when a release is made.
func TestPinned(t *testing.T) {
	count := 0
	paths := workflows(t)
	for _, path := range actionFiles {
		paths = append(paths, "../"+path)
	}
	for _, path := range paths {
		for _, m := range uses.FindAllStringSubmatch(string(readFile(t, path)), -1) {
			name, comment := m[1], m[2]
			if strings.HasPrefix(name, "./") || path == "../action.yml" && name == ownHandOver {
				continue
			}
			count++
			if !pinned.MatchString(name) || !forPeople.MatchString(comment) {
				t.Errorf("%s uses %s%s: write owner/name@commit # vX.Y.Z", path, name, comment)
			}
		}
	}
	if count == 0 {
		t.Error("no action is used anywhere")
	}
}
