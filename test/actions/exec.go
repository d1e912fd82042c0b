package actions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// run executes a command of a step in the job's container (StepHost.cs).
func (c *container) run(cancelled context.Context, s *running, cmd stepCommand) (exit int, err error) {
	words := []string{"exec", "-i", "--workdir " + c.location(cmd.dir)}
	process := c.job.hostEnv()
	for _, name := range sortedNames(cmd.env) {
		words = append(words, "-e "+quote(name))
		process = append(process, name+"="+c.location(cmd.env[name]))
	}
	if prepended := c.job.prepended(); prepended != "" {
		full := prepended
		if c.path != "" {
			full += ":" + c.path
		}
		words = append(words, `-e PATH="`+full+`"`)
		s.result.Path = full
	} else {
		s.result.Path = cmd.env["PATH"]
	}
	words = append(words, c.id, cmd.file, cmd.arguments)
	docker := c.job.docker.command(strings.Join(words, " "))
	docker.Env = process
	if exit, err = invoke(cancelled, docker, s.output); err != nil {
		// "Argument list too long" is the engine's client's, not the script's.
		s.annotate("error", fmt.Sprintf("An error occurred trying to start process '/usr/bin/docker' with working directory '%s'. %s", c.job.dirs.work, rootCause(err)), nil)
		return 126, nil
	}
	return exit, nil
}

func rootCause(err error) error {
	if e := new(os.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (c *container) location(path string) string { return c.job.dirs.toContainer(path) }

// node picks the runner's node for JavaScript actions, for each step anew.
func (c *container) node(version string) (string, error) {
	lines, exit := c.job.docker.run("exec", c.id+` sh -c "cat /etc/*release | grep ^ID"`)
	if exit == 0 && strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "alpine") {
		version += "_alpine"
	}
	return filepath.Join("/__e", version, "bin/node"), nil
}
