package action

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage"
)

func TestStepEnv(t *testing.T) {
	env, err := StepEnv(map[string]string{
		// The machine's.
		"PATH": "/usr/bin", "HOME": "/home/runner", "JAVA_HOME": "/usr/lib/jvm", "LANG": "C.UTF-8",
		// GitHub's.
		"CI": "true", "GITHUB_SHA": "1", "RUNNER_TEMP": "/t", "ACTIONS_ID_TOKEN_REQUEST_URL": "https://x", "ACTIONS_RUNTIME_TOKEN": "secret",
		// The action's.
		"INPUT_CREDENTIALS": "secret", "CLIPPER_CREDENTIALS": "secret", "CLIPPER_AWS_ROLE_ARN": "x", "GITHUB_TOKEN": "secret",
		// The workflow's, of which a step may have changed one.
		"A": "changed", "DEBIAN_FRONTEND": "noninteractive",
		EnvStep: `{"A":"1","DEBIAN_FRONTEND":"noninteractive","LINES":"a\nb","PATH":"/own","CLIPPER_STORE":"/x","CLIPPER_OTHER":"y"}`,
	})
	want := []Pair{
		{"A", "changed"}, {"ACTIONS_ID_TOKEN_REQUEST_URL", "https://x"}, {"CI", "true"}, {"CLIPPER_OTHER", "y"}, {"DEBIAN_FRONTEND", "noninteractive"},
		{"GITHUB_SHA", "1"}, {"LINES", "a\nb"}, {"RUNNER_TEMP", "/t"},
	}
	if err != nil || !slices.Equal(env, want) {
		t.Errorf("%q, %v\nwant %q", env, err, want)
	}
	env, err = StepEnv(map[string]string{"GITHUB_TOKEN": "ours", EnvStep: `{"GITHUB_TOKEN":"the workflow's own"}`})
	if err != nil || !slices.Equal(env, []Pair{{"GITHUB_TOKEN", "ours"}}) {
		t.Errorf("a token that the workflow gives: %q, %v", env, err)
	}
	if _, err := StepEnv(map[string]string{EnvStep: `{"A":1}`}); !errors.Is(err, runnerimage.ErrSettings) {
		t.Errorf("a number: %v", err)
	}
}

func TestStepDirs(t *testing.T) {
	for _, tt := range []struct {
		name string
		job  map[string]string
		want string
	}{
		{"a machine of GitHub's", map[string]string{
			"GITHUB_WORKSPACE": "/home/runner/work/r/r", "RUNNER_TEMP": "/home/runner/work/_temp",
			"GITHUB_ENV": "/home/runner/work/_temp/_runner_file_commands/set_env_1", "GITHUB_EVENT_PATH": "/home/runner/work/_temp/_github_workflow/event.json",
		}, "/home/runner/work/_temp /home/runner/work/r/r"},
		{"act", map[string]string{
			"GITHUB_WORKSPACE": "/src/", "RUNNER_TEMP": "/tmp", "GITHUB_ENV": "/var/run/act/workflow/envs.txt", "GITHUB_PATH": "/var/run/act/workflow/pathcmd.txt",
		}, "/src /tmp /var/run/act/workflow"},
		{"one in another", map[string]string{"GITHUB_WORKSPACE": "/a/b", "RUNNER_TEMP": "/a", "GITHUB_ENV": "/ab/env"}, "/a /ab"},
		{"the root and nothing", map[string]string{"GITHUB_WORKSPACE": "/", "RUNNER_TEMP": "relative", "GITHUB_ENV": "/env"}, ""},
	} {
		if got := strings.Join(StepDirs(tt.job), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestShellCommand(t *testing.T) {
	for shell, want := range map[string]string{
		"":               "sh|-e|/t/x.sh",
		"sh":             "sh|-e|/t/x.sh",
		"bash":           "bash|--noprofile|--norc|-e|-o|pipefail|/t/x.sh",
		"python":         "python|/t/x.sh",
		"pwsh":           "pwsh|-command|. '/t/x.sh'",
		"perl -w {0}  a": "perl|-w|/t/x.sh|a",
	} {
		if got, err := ShellCommand(shell, "/t/x.sh"); err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %q, %v; want %s", shell, got, err, want)
		}
	}
	for _, shell := range []string{"fish", "perl -w", "cmd"} {
		if got, err := ShellCommand(shell, "/t/x.sh"); !errors.Is(err, runnerimage.ErrSettings) {
			t.Errorf("%q: %q, %v", shell, got, err)
		}
	}
}

func TestMachineInputs(t *testing.T) {
	in, err := ParseInputs(map[string]string{
		"INPUT_IMAGE": "debian:12", "INPUT_CACHE": " True\n", "INPUT_OPTIONS": "--network none", "CLIPPER_TOC": "never", "OTHER": "x",
		"INPUT_CREDENTIALS": "a:b",
	})
	if err != nil || !in.Cache || in.Options != "--network none" {
		t.Errorf("%+v, %v", in, err)
	}
	environ := in.Environ()
	slices.Sort(environ)
	if got := strings.Join(environ, " "); got != "CLIPPER_CREDENTIALS=a:b CLIPPER_MAGIC_IMAGE=debian:12 CLIPPER_TOC=never" {
		t.Errorf("settings %s", got)
	}
	if again, err := runnerimage.ParseSettings(environ, nil); err != nil || again.Image != in.Settings.Image || again.TOC != in.Settings.TOC {
		t.Errorf("read again: %+v, %v", again, err)
	}
	if in, err = ParseInputs(map[string]string{"INPUT_IMAGE": "a"}); err != nil || in.Cache {
		t.Errorf("cache by default: %v, %v", in.Cache, err)
	}
	if _, err := ParseInputs(map[string]string{"INPUT_IMAGE": "a", "INPUT_CACHE": "gha"}); !errors.Is(err, runnerimage.ErrSettings) {
		t.Errorf("another word: %v", err)
	}
}

func TestIdle(t *testing.T) {
	got := idle(map[string]string{"INPUT_IMAGE": "a", "INPUT_CACHE": "false", "INPUT_ARGS": "", "INPUT_OPTIONS": "--network none", "INPUT_USER": "app", "INPUT_RUN": "x"})
	if !slices.Equal(got, []string{"options", "user"}) {
		t.Errorf("%q", got)
	}
	if got := idle(map[string]string{"INPUT_CACHE": "true"}); !slices.Equal(got, []string{"cache"}) {
		t.Errorf("%q", got)
	}
}
