package action

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/action/oidc"
	"github.com/clipperregistry/runner/runnerimage"
)

// What follows is for a step on a machine, which runs a script in an image that
// is not its container: what GitHub would give to a container, the step gives.

// EnvStep is the variable in which action.yml puts the workflow's env context,
// as JSON. Only there is what the workflow has set kept apart from what the
// machine has.
const EnvStep = "CLIPPER_STEP_ENV"

// StepEnv is the environment of a script: what GitHub tells every step and what
// the workflow has set, and nothing of the machine's own.
func StepEnv(job map[string]string) ([]Pair, error) {
	values := map[string]string{}
	if text := job[EnvStep]; text != "" {
		if err := json.Unmarshal([]byte(text), &values); err != nil {
			return nil, fmt.Errorf("%w: %s is not a JSON object of strings", runnerimage.ErrSettings, EnvStep)
		}
	}
	for name, value := range job {
		_, workflow := values[name]
		if workflow || isGitHubs(name) {
			values[name] = value
		}
	}
	var env []Pair
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !isMachines(name) {
			env = append(env, Pair{name, values[name]})
		}
	}
	return env, nil
}

// isGitHubs reports whether GitHub gives a variable to every step. GITHUB_TOKEN
// it gives to none: action.yml does, for the registry.
func isGitHubs(name string) bool {
	if name == "GITHUB_TOKEN" {
		return false
	}
	return name == "CI" || strings.HasPrefix(name, "GITHUB_") || strings.HasPrefix(name, "RUNNER_") || strings.HasPrefix(name, "ACTIONS_ID_TOKEN_REQUEST_")
}

// isMachines reports whether a variable means something on the machine alone,
// or is for the action and not for what it runs.
func isMachines(name string) bool {
	switch name {
	case "", "PATH", "HOME", EnvStep:
		return true
	}
	return strings.HasPrefix(name, "INPUT_") || slices.Contains(runnerimage.OwnNames(), name) || slices.Contains(oidc.Names(), name)
}

// StepDirs are the directories that a script finds where they are on the
// machine: the workspace, the temporary directory, and those of the step's file
// commands. None lies in another.
func StepDirs(job map[string]string) []string {
	dirs := []string{job["GITHUB_WORKSPACE"], job["RUNNER_TEMP"]}
	for _, name := range []string{"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH"} {
		if path := job[name]; path != "" {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" })
	for i := range dirs {
		dirs[i] = filepath.Clean(dirs[i])
	}
	slices.Sort(dirs)
	var outer []string
	for _, dir := range dirs {
		if !slices.ContainsFunc(outer, func(o string) bool { return dir == o || strings.HasPrefix(dir, o+"/") }) {
			outer = append(outer, dir)
		}
	}
	return outer
}

// shells are those that a workflow names by one word, as GitHub runs them.
var shells = map[string][]string{
	"":       {"sh", "-e", "{0}"},
	"sh":     {"sh", "-e", "{0}"},
	"bash":   {"bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"},
	"python": {"python", "{0}"},
	"pwsh":   {"pwsh", "-command", ". '{0}'"},
}

// ShellCommand is the command that has a shell read the script at a path. Like
// a workflow's, shell is one of the known words or a command with {0} in it.
func ShellCommand(shell, script string) ([]string, error) {
	words, known := shells[shell]
	if !known {
		words = strings.Fields(shell)
	}
	var command []string
	for _, word := range words {
		command = append(command, strings.ReplaceAll(word, "{0}", script))
	}
	if slices.Equal(command, words) {
		return nil, fmt.Errorf(`%w: input shell: %.80q is none of sh, bash, python, pwsh and no command such as "perl {0}"`, runnerimage.ErrSettings, shell)
	}
	return command, nil
}
