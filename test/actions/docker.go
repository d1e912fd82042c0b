package actions

import (
	"context"
	"os/exec"
	"strings"
)

// docker is the docker command line, as the runner uses it.
type docker struct {
	job   *job
	label string // marks what this runner made
}

// run runs a docker command and returns its lines; they are in the log, too.
func (d *docker) run(verb, arguments string) (lines []string, exit int) {
	return d.runAs(d.job.cancelled, verb, arguments, "")
}

// clean is run for what must happen after a cancellation, too.
func (d *docker) clean(verb, arguments string) (lines []string, exit int) {
	return d.runAs(context.Background(), verb, arguments, "")
}

func (d *docker) runAs(ctx context.Context, verb, arguments, stdin string) (lines []string, exit int) {
	cmd := d.command(verb + " " + arguments)
	cmd.Env = d.job.hostEnv()
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	exit, err := invoke(ctx, cmd, func(line string) {
		lines = append(lines, line)
		d.job.log.print(line)
	})
	if err != nil {
		d.job.log.printf("##[error]%s", err)
		return lines, 126
	}
	return lines, exit
}

// command is a docker command without an environment.
func (d *docker) command(line string) *exec.Cmd {
	words := splitArguments(line)
	d.job.log.print("##[command]docker " + strings.ReplaceAll(line, "\n", "\n  "))
	d.job.result.Docker = append(d.job.result.Docker, words)
	return exec.Command("docker", words...)
}

// output is run for one answer, which must come.
func (d *docker) output(verb, arguments string) (string, error) {
	lines, exit := d.run(verb, arguments)
	if exit != 0 || len(lines) == 0 {
		return "", saidf("Exit code %d returned from process: file name '/usr/bin/docker', arguments '%s'.", exit, verb+" "+arguments)
	}
	return lines[0], nil
}

// pull pulls an image, with up to three attempts and always: the runner has no
// pull policy.
func (d *docker) pull(image, config string) error {
	verb := "pull"
	if config != "" {
		verb = "--config " + config + " pull"
	}
	var exit int
	for attempt := range 3 {
		if _, exit = d.run(verb, image); exit == 0 {
			return nil
		}
		if attempt == 2 {
			break
		}
		d.job.log.printf("##[warning]Docker pull failed with exit code %d, back off before retry.", exit)
		if err := d.job.wait(backOffLeast); err != nil {
			return err
		}
	}
	return saidf("Docker pull failed with exit code %d", exit)
}
