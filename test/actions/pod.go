package actions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pod is the job's container where the runner is one of Actions Runner
// Controller in its Kubernetes mode. It follows actions/runner-container-hooks
// at cf62bcc (packages/k8s): nothing of the runner is mounted, and every step's
// files are copied in and out by commands that the container must have.
//
// What differs is that an engine starts the container, that the runner's node
// is mounted read-only, and that a copy which is not the original fails the
// job, where the hooks try again and then go on.
type pod struct {
	*container
	alpine bool
}

// How often the hooks try to copy, and then look whether the copy is right.
const (
	copyAttempts = 30
	copyLooks    = 15
)

// startPod makes the container and what it needs (prepare-job.ts).
func (j *job) startPod() error {
	if j.def.Container == nil || len(j.def.Services) > 0 {
		return saidf("the replay knows pods of a job's container alone")
	}
	p := &pod{container: &container{job: j, def: *j.def.Container}}
	if err := p.expand(); err != nil {
		return err
	}
	if err := j.docker.pull(p.def.Image, ""); err != nil {
		return err
	}
	options, err := p.options()
	if err != nil {
		return err
	}
	if p.id, err = j.docker.output("create", options); err != nil {
		return err
	}
	j.containers = append(j.containers, p.container)
	if _, exit := j.docker.run("start", p.id); exit != 0 {
		return saidf("Docker start fail with exit code %d", exit)
	}
	if err := p.copyIn(j.dirs.work, "/__w"); err != nil {
		return err
	}
	exit, _, err := p.exec(j.cancelled, nil, nil, "sh", "-c", `[ $(cat /etc/*release* | grep -i -e "^ID=*alpine*" -c) != 0 ] || exit 1`)
	p.alpine = exit == 0
	j.host = p
	return err
}

// options are those of the container: its environment and its empty volumes.
func (p *pod) options() (string, error) {
	d := p.job.dirs
	options := []string{"--label " + p.job.docker.label, "--workdir " + d.toContainer(d.workspace), "--network " + p.job.network, p.def.Options}
	for _, variable := range p.def.Env {
		if variable.Value != "" && variable.Name != "HOME" {
			options = append(options, "-e "+quote(variable.Name+"="+variable.Value))
		}
	}
	options = append(options, "-e GITHUB_ACTIONS=true", "-e CI=true")
	for target, made := range map[string]string{"/__w": d.toContainer(d.workspace), "/github": "/github"} {
		volume := filepath.Join(p.job.runner.Dir, "_pod", randomHex(3))
		if err := os.MkdirAll(filepath.Join(volume, strings.TrimPrefix(made, target)), 0o777); err != nil {
			return "", err
		}
		options = append(options, `-v "`+volume+`":"`+target+`"`)
	}
	options = append(options, `-v "`+d.externals+`":"/__e":ro`, `--entrypoint "tail"`)
	return strings.Join(append(options, p.def.Image, `"-f" "/dev/null"`), " "), nil
}

// exec runs a command in the container, as the hooks do over the API server.
// What it says goes to each, where there is one, or comes back.
func (p *pod) exec(ctx context.Context, stdin io.Reader, each func(string), words ...string) (exit int, said string, err error) {
	p.job.log.print("##[debug]exec " + strings.Join(words, " "))
	cmd := exec.Command("docker", slices.Concat([]string{"exec", "-i", p.id}, words)...)
	cmd.Env, cmd.Stdin = p.job.hostEnv(), stdin
	if each == nil {
		each = func(line string) { said += line + "\n" }
	}
	exit, err = invoke(ctx, cmd, each)
	return exit, said, err
}

// copyIn copies what a directory holds into the container (execCpToPod).
func (p *pod) copyIn(from, to string) error {
	for attempt := 1; ; attempt++ {
		var archive bytes.Buffer
		pack := exec.Command("tar", "cf", "-", "-C", from, ".")
		pack.Stdout = &archive
		if err := pack.Run(); err != nil {
			return fmt.Errorf("pack %s: %w", from, err)
		}
		_, said, err := p.exec(p.job.cancelled, &archive, nil, "sh", "-c",
			"tar xf - --no-same-owner -C "+to+" 2>/dev/null; "+
				"find "+to+` -type f -exec chmod u+rw {} \; 2>/dev/null; `+
				"find "+to+` -type d -exec chmod u+rwx {} \; 2>/dev/null`)
		if err == nil && said != "" {
			err = errors.New("Error from execCpToPod - details: " + said)
		}
		if err == nil {
			break
		}
		if attempt == copyAttempts {
			return saidf("cpToPod failed after %d attempts: %v", attempt, err)
		}
		if err := p.job.wait(time.Second); err != nil {
			return err
		}
	}
	return p.same(from, to)
}

// copyOut copies a directory out of the container (execCpFromPod).
func (p *pod) copyOut(from, to string) error {
	unpack := exec.Command("tar", "xf", "-", "-C", to)
	cmd := exec.Command("docker", "exec", "-i", p.id, "tar", "cf", "-", "-C", filepath.Dir(from), filepath.Base(from))
	cmd.Env = p.job.hostEnv()
	var archive, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &archive, &said
	unpack.Stdin = &archive
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		return saidf("Error from cpFromPod - details: %v %s", err, &said)
	}
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", from, err, out)
	}
	return p.same(filepath.Join(to, filepath.Base(from)), from)
}

// same looks whether two directories hold files of the same names and sizes.
func (p *pod) same(here, there string) error {
	list := func(dir string) string {
		return "cd " + dir + ` && find . -type f -not -path '*/_runner_hook_responses*' -exec stat -c '%s %n' {} \;`
	}
	for range copyLooks {
		out, err := exec.Command("sh", "-c", list(here)).Output()
		if err != nil {
			return err
		}
		_, got, err := p.exec(p.job.cancelled, nil, nil, "sh", "-c", list(there))
		if err != nil || sorted(got) == sorted(string(out)) {
			return err
		}
		if err := p.job.wait(time.Second); err != nil {
			return err
		}
	}
	return saidf("The hash of the directory %s does not match the expected value", there)
}

func sorted(lines string) string {
	return strings.Join(slices.Sorted(strings.Lines(lines)), "")
}

// run runs a step's process (run-script-step.ts). Of its exit code the hooks
// tell no more than that it is not 0.
func (p *pod) run(cancelled context.Context, s *running, cmd stepCommand) (exit int, err error) {
	script, err := p.script(cmd)
	if err != nil {
		return 0, err
	}
	temp := p.job.dirs.temp
	if exit, said, err := p.exec(cancelled, nil, nil, "sh", "-c", "mkdir -p /__w && mkdir -p /__w/_temp && mkdir -p /__w/_temp_pre"); err != nil || exit != 0 {
		return 0, saidf("failed to run script step: %d, %s, %v", exit, said, err)
	}
	if err := p.copyIn(temp, "/__w/_temp_pre"); err != nil {
		return 0, err
	}
	if exit, said, err := p.exec(cancelled, nil, nil, "sh", "-c", merge); err != nil || exit != 0 {
		return 0, saidf("failed to merge temp dirs: %d, %s, %v", exit, said, err)
	}
	exit, _, err = p.exec(cancelled, nil, s.output, "sh", "-e", p.location(script))
	if err != nil {
		return 0, err
	}
	if err := os.Remove(script); err != nil {
		return 0, err
	}
	if err := p.copyOut("/__w/_temp/_runner_file_commands", temp); err != nil {
		return 0, err
	}
	return min(exit, 1), nil
}

// merge takes over what was copied (run-script-step.ts).
const merge = `set -e && mkdir -p /__w/_temp /__w/_temp_pre && SRC=/__w/_temp_pre && DST=/__w/_temp && cp -a "$SRC/_runner_file_commands/." "$DST/_runner_file_commands" && find "$SRC" -type f ! -path "*/_runner_file_commands/*" -exec sh -c '
    rel="${1#$2/}"
    target="$3/$rel"
    mkdir -p "$(dirname "$target")"
    cp -a "$1" "$target"
  ' _ {} "$SRC" "$DST" \; && rm -rf /__w/_temp_pre`

// script writes what runs the process (writeRunScript).
func (p *pod) script(cmd stepCommand) (file string, err error) {
	var b strings.Builder
	b.WriteString("#!/bin/sh -l\nset -e\nrm \"$0\" # remove script after running\n")
	if prepended := p.job.prepended(); prepended != "" {
		fmt.Fprintf(&b, "export PATH=%s:$PATH\n", prepended)
	}
	fmt.Fprintf(&b, "cd %s && exec env", p.location(cmd.dir))
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")
	for _, name := range sortedNames(cmd.env) {
		if strings.ContainsAny(name, `='"$`) {
			return "", saidf(`environment key %s is invalid - the key must not contain =, $, ', or "`, name)
		}
		b.WriteString(` "` + name + "=" + escape.Replace(p.location(cmd.env[name])) + `"`)
	}
	fmt.Fprintf(&b, "  %s %s\n", cmd.file, cmd.arguments)
	file = filepath.Join(p.job.dirs.temp, randomHex(16)+".sh")
	return file, os.WriteFile(file, []byte(b.String()), 0o644)
}

// node is what was found out when the pod was made.
func (p *pod) node(version string) (string, error) {
	if p.alpine {
		version += "_alpine"
	}
	return filepath.Join("/__e", version, "bin/node"), nil
}
