// Package action is the contract between the runner and GitHub Actions: how a
// job says what it wants, and how a step says what it did.
//
// In come the job's environment (GITHUB_…, INPUT_…, CLIPPER_…) and the config
// of the image that was laid out. Out go lines in the job's file commands
// (GITHUB_ENV, GITHUB_PATH, GITHUB_OUTPUT, GITHUB_STEP_SUMMARY), commands in its
// log, and the settings of a run.
//
//	a job's container   ─▶ Prefetch: lays the image out before any step
//	a step              ─▶ Init: the same, and what follows here
//
//	INPUT_…, CLIPPER_… ─▶ ParseInputs ─▶ Inputs ─▶ runnerimage.Settings, oidc.Identity
//	image's ENV, job   ─▶ NewPlan     ─▶ Plan   ─▶ Files, Log
//	runnerimage.Summary ─▶ Outputs, Markdown    ─▶ Files
//
// It promises:
//   - Decisions are pure functions; what they decided is written by one call per
//     file, whole or not at all, and writing it again changes nothing.
//   - What is written is read back by GitHub's runner byte for byte. What it
//     cannot read back is refused before anything is written.
//   - What the workflow set wins over what the image sets.
//   - No image can reach the commands of the host, by a variable or by its words
//     in the log.
package action

import "strings"

// Pair is a name and its value: a variable, or an output.
type Pair struct{ Name, Value string }

// Environ turns "NAME=value" entries into what the functions of this package
// look names up in. Of duplicates the last counts.
func Environ(environ []string) map[string]string {
	values := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			values[name] = value
		}
	}
	return values
}
