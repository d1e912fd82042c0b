package actions

import (
	"context"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
)

// host is where steps run: the job's container, or the machine.
type host interface {
	// run runs a step's process to its end.
	run(cancelled context.Context, s *running, cmd stepCommand) (exit int, err error)
	// location is a path of the machine as the step's process sees it.
	location(path string) string
	// node is the program for JavaScript actions that ask for this version.
	node(version string) (string, error)
}

// stepCommand is a process that a step asks for. Paths are the machine's.
type stepCommand struct {
	dir       string
	file      string // as the host knows it
	arguments string
	env       map[string]string
}

func sortedNames(env map[string]string) []string { return slices.Sorted(maps.Keys(env)) }

// machine runs steps on this machine.
type machine struct{ job *job }

func (m machine) run(cancelled context.Context, s *running, step stepCommand) (exit int, err error) {
	env := map[string]string{}
	for _, variable := range m.job.hostEnv() {
		name, value := cutPair(variable)
		env[name] = value
	}
	maps.Copy(env, step.env)
	if prepended := m.job.prepended(); prepended != "" {
		env["PATH"] = prepended + ":" + env["PATH"]
	}
	s.result.Path = env["PATH"]
	cmd := exec.Command(step.file, splitArguments(step.arguments)...)
	cmd.Dir = step.dir
	for _, name := range sortedNames(env) {
		cmd.Env = append(cmd.Env, name+"="+env[name])
	}
	if exit, err = invoke(cancelled, cmd, s.output); err != nil {
		return 0, saidf("An error occurred trying to start process '%s' with working directory '%s'. %v", step.file, step.dir, err)
	}
	return exit, nil
}

func (m machine) location(path string) string { return path }

func (m machine) node(version string) (string, error) {
	return filepath.Join(m.job.dirs.externals, version, "bin/node"), nil
}
