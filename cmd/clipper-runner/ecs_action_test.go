package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/action"
	"github.com/clipperregistry/runner/runnerimage"
	"go.yaml.in/yaml/v3"
)

// ecsManifest is what of ecs/action.yml the command has a say in.
type ecsManifest struct {
	Inputs  map[string]struct{ Description, Default string }
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Steps []struct {
			Run string
			Env map[string]string
		}
	}
}

func readECSManifest(t *testing.T) (m ecsManifest) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, "../../ecs/action.yml")), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestECSManifest holds ecs/action.yml and its page against the inputs and
// outputs of the command.
func TestECSManifest(t *testing.T) {
	m, page := readECSManifest(t), read(t, "../../ecs/README.md")
	names := []string{"command"}
	for _, in := range ecsInputs {
		names = append(names, in.name)
	}
	if got := slices.Sorted(maps.Keys(m.Inputs)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Errorf("action.yml has the inputs %q, the command %q", got, names)
	}
	if got := slices.Sorted(maps.Keys(m.Outputs)); !slices.Equal(got, slices.Sorted(slices.Values(ecsOutputs))) {
		t.Errorf("action.yml has the outputs %q, the command %q", got, ecsOutputs)
	}
	env := m.Runs.Steps[0].Env
	for _, name := range names {
		variable := "INPUT_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		if env[variable] != "${{ inputs."+name+" }}" || m.Inputs[name].Description == "" || m.Inputs[name].Default != "" {
			t.Errorf("input %s: %s is %q, %+v", name, variable, env[variable], m.Inputs[name])
		}
		delete(env, variable)
	}
	for name := range env {
		if name != "GITHUB_TOKEN" {
			t.Errorf("%s is no input", name)
		}
	}
	for _, name := range ecsOutputs {
		if output := m.Outputs[name]; output.Value != "${{ steps.ecs.outputs."+name+" }}" || output.Description == "" {
			t.Errorf("output %s: %+v", name, output)
		}
	}
	for _, name := range append(names, ecsOutputs...) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("the page does not tell of %s", name)
		}
	}
}

// TestECSFlags: every flag of the inputs is one that its commands know.
func TestECSFlags(t *testing.T) {
	for _, command := range all {
		help, err := exec.Command(shared+"/clipper-runner", "ecs", command, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for _, in := range ecsInputs {
			if values[in.name] = "x"; in.form == yes {
				values[in.name] = "true"
			} else if in.form == no {
				values[in.name] = "false"
			}
		}
		for _, flag := range (ecsOrder{command: command, values: values}).flags(command) {
			name, _, _ := strings.Cut(flag, "=")
			known := strings.Replace(name, "--no-", "--[no-]", 1)
			if !strings.Contains(string(help), " "+known+" ") && !strings.Contains(string(help), " "+known+"=") {
				t.Errorf("ecs %s has no flag %s", command, name)
			}
		}
	}
}

func TestParseECSInputs(t *testing.T) {
	o, err := parseECSInputs(map[string]string{
		"INPUT_COMMAND": " deploy\n", "INPUT_TASK_DEFINITION": "task.json", "INPUT_SERVICE": "web", "INPUT_ENV": "A=1\n\n B=x y\n", "INPUT_CREDENTIALS": "",
		"INPUT_WAIT": "false", "INPUT_VERIFY": "true", "INPUT_ROLLBACK": "True", "INPUT_FORCE": "false", "INPUT_REGISTRY_CREDENTIALS": "robot:s3cret",
	})
	if want := []string{"--env=A=1", "--env=B=x y", "--service=web", "--rollback", "--no-wait"}; err != nil || !slices.Equal(o.flags("deploy"), want) {
		t.Errorf("%q, %v", o.flags("deploy"), err)
	}
	if want := []string{"--env=A=1", "--env=B=x y"}; !slices.Equal(o.flags("render"), want) {
		t.Errorf("%q", o.flags("render"))
	}
	if env := o.environ(); !slices.Contains(env, "CLIPPER_CREDENTIALS=robot:s3cret") {
		t.Error("the registries are not asked with the credentials")
	}
	for name, job := range map[string]map[string]string{
		`input command: "" is none of render, verify, deploy, run`:        {},
		`input command: "exec" is none of`:                                {"INPUT_COMMAND": "exec"},
		"input task-definition: render needs it":                          {"INPUT_COMMAND": "render"},
		"input service: deploy needs it":                                  {"INPUT_COMMAND": "deploy", "INPUT_TASK_DEFINITION": "f"},
		"input service: it is for deploy, and not for run":                {"INPUT_COMMAND": "run", "INPUT_FAMILY": "f", "INPUT_SERVICE": "web"},
		`input wait: "perhaps" is neither true nor false`:                 {"INPUT_COMMAND": "run", "INPUT_FAMILY": "f", "INPUT_WAIT": "perhaps"},
		"input family: run needs it":                                      {"INPUT_COMMAND": "run"},
		"input read-credentials: it is for verify, and not for render":    {"INPUT_COMMAND": "render", "INPUT_TASK_DEFINITION": "f", "INPUT_READ_CREDENTIALS": "true"},
		"input output: it is for render, deploy, and not for verify":      {"INPUT_COMMAND": "verify", "INPUT_TASK_DEFINITION": "f", "INPUT_OUTPUT": "g"},
		"input task-definition: it is for render, verify, deploy, and no": {"INPUT_COMMAND": "run", "INPUT_FAMILY": "f", "INPUT_TASK_DEFINITION": "f"},
	} {
		if _, err := parseECSInputs(job); !errors.Is(err, runnerimage.ErrSettings) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if args, err := (ecsOrder{values: map[string]string{"args": "./migrate up"}}).args(); err == nil {
		t.Errorf("args %q", args)
	}
}

// TestECSMask: no secret of the credentials in any form stays readable, with or
// without a registry that they are for.
func TestECSMask(t *testing.T) {
	for value, want := range map[string][]string{
		"clp_token":    {"clp_token"},
		"robot:s3:ret": {"robot:s3:ret", "s3:ret", "cm9ib3Q6czM6cmV0"},
		`{"username": "robot", "password": "s3cret"}`:                  {`{"username": "robot", "password": "s3cret"}`, "s3cret", "cm9ib3Q6czNjcmV0"},
		`{"auths": {"ghcr.io": {"auth": "cm9ib3Q6czNjcmV0"}}}`:         {`{"auths": {"ghcr.io": {"auth": "cm9ib3Q6czNjcmV0"}}}`, "s3cret", "cm9ib3Q6czNjcmV0"},
		`{"auths": {"ghcr.io": {"identitytoken": "t0ken"}}}`:           {`{"auths": {"ghcr.io": {"identitytoken": "t0ken"}}}`, "t0ken"},
		`{"auths": {"ghcr.io": {"auth": "cm9ib3Q6czNjcmV0"}}, "x": 1}`: {"s3cret"},
	} {
		for _, registry := range []string{"", "ghcr.io"} {
			var out bytes.Buffer
			s := &ecsStep{log: action.NewLog(&out)}
			s.values = map[string]string{"registry-credentials": value, "registry": registry}
			s.mask()
			for _, secret := range want {
				if !strings.Contains(out.String(), "::add-mask::"+secret+"\n") {
					t.Errorf("%s for %q: %q is not masked: %s", value, registry, secret, &out)
				}
			}
		}
	}
}

// TestECSProgram runs the step's script where there is no program for it, and
// where there is.
func TestECSProgram(t *testing.T) {
	script, dir := readECSManifest(t).Runs.Steps[0].Run, t.TempDir()
	run := func(os, arch string) (code int, out string) {
		cmd := exec.Command("sh", "-e", "-c", script)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "RUNNER_OS=" + os, "RUNNER_ARCH=" + arch, "GITHUB_ACTION_PATH=" + dir + "/ecs"}
		b, err := cmd.CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(b)
	}
	if code, out := run("Linux", "X64"); code != runnerimage.ExitSettings || !strings.HasPrefix(out, "::error title=Clipper Runner::This commit of the action has no program in it") {
		t.Errorf("without a program: %d, %s", code, out)
	}
	if code, out := run("Windows", "X64"); code != runnerimage.ExitSettings || !strings.Contains(out, "not on Windows X64") {
		t.Errorf("on another machine: %d, %s", code, out)
	}
	if err := errors.Join(os.MkdirAll(dir+"/dist/action", 0o755), os.Mkdir(dir+"/ecs", 0o755)); err != nil {
		t.Fatal(err)
	}
	for arch, file := range map[string]string{"X64": "linux-amd64", "ARM64": "linux-arm64"} {
		if err := os.WriteFile(dir+"/dist/action/"+file, []byte("#!/bin/sh\necho "+file+": \"$@\"\nexit 7\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if code, out := run("Linux", arch); code != 7 || out != file+": ecs action\n" {
			t.Errorf("%s: %d, %s", arch, code, out)
		}
	}
}
