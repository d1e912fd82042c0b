package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runAct runs a workflow by act in a repository of these files and returns what
// its steps print, line by line. act is a program of others that plays
// GitHub's runner; where it differs from that, the replay (TestJobContainer and
// so on) decides.
func runAct(t *testing.T, files map[string]string, args ...string) (lines []string) {
	t.Helper()
	act, err := filepath.Abs("../../.setup/bin/act")
	if err != nil {
		t.Fatal(err)
	}
	repository := lab.Scratch(t)
	// act names its containers after the workflow: each test has one of its own.
	files["ci.yml"] = "name: " + filepath.Base(repository) + files["ci.yml"]
	for name, text := range files {
		file := filepath.Join(repository, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "HOME="+lab.Scratch(t), "DOCKER_HOST="+lab.Engine.Host,
			"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.com", "GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s (run `make test`, which installs it): %v\n%s", name, err, out)
		}
		return string(out)
	}
	command("git", "init", "--quiet")
	command("git", "add", ".")
	command("git", "commit", "--quiet", "--message", "files of the test")
	out := command(act, append([]string{"push", "--pull=false", "--rm", "--workflows", "ci.yml"}, args...)...)
	for line := range strings.Lines(out) {
		if _, text, ok := strings.Cut(line, "] "); ok {
			if text, ok = strings.CutPrefix(strings.TrimLeft(text, " "), "| "); ok {
				lines = append(lines, strings.TrimRight(text, "\n"))
			}
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(out)
		}
	})
	return lines
}

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestAct: a job container and a service by the runner image, what steps hand
// on, a composite action of the repository, and a second job.
func TestAct(t *testing.T) {
	t.Parallel()
	runner := pushRunner()(t)
	job := alpine(t)
	job.Config.Env = append(job.Config.Env, "OF_IMAGE=from the image", "LEVEL=image")
	port := freePort(t)
	service := web(t)
	service.Config.Entrypoint[2] = strings.Replace(service.Config.Entrypoint[2], "8080", port, 1)
	lab.Engine.Docker(t, "pull", "--quiet", runner) // and it stays: other tests use it
	// The network is this machine's, because the registry is on its loopback.
	workflow := strings.NewReplacer("RUNNER", runner, "JOB", lab.Push(t, "gha/act", job), "WEB", lab.Push(t, "gha/act-web", service), "PORT", port).Replace(`
on: push
env: {FROM_WORKFLOW: w}
jobs:
  first:
    runs-on: ubuntu-latest
    env: {LEVEL: job}
    container: {image: "RUNNER", options: --network host, env: {CLIPPER_MAGIC_IMAGE: "JOB"}}
    services:
      web: {image: "RUNNER", options: --network host, env: {CLIPPER_MAGIC_IMAGE: "WEB"}}
    outputs:
      digest: ${{ steps.init.outputs.digest }}
      sum: ${{ steps.composite.outputs.sum }}
    steps:
    - run: echo "a shell before the layout"
    - {id: init, run: /.clipper-runner/github-init}
    - uses: actions/checkout@v4
    - run: |
        echo "$(. /etc/os-release; echo $ID): $OF_IMAGE, level $LEVEL, $FROM_WORKFLOW"
        printf 'TEXT<<end\none\n\ntwo\nend\n' >>"$GITHUB_ENV"
        mkdir -p bin; printf '#!/bin/sh\necho "mine: $TEXT"\n' >bin/mine; chmod +x bin/mine
        echo "$PWD/bin" >>"$GITHUB_PATH"
    - {id: composite, uses: ./sum, with: {a: "6", b: "7"}}
    - run: mine; echo "sum ${{ steps.composite.outputs.sum }}"
    - run: busybox wget -q -O - http://127.0.0.1:PORT/index.html
  second:
    needs: first
    runs-on: ubuntu-latest
    container: {image: "RUNNER", options: --network host, env: {CLIPPER_MAGIC_IMAGE: "JOB"}}
    steps:
    - run: echo "handed on ${{ needs.first.outputs.sum }} ${{ needs.first.outputs.digest != '' }}"
`)
	lines := runAct(t, map[string]string{"ci.yml": workflow, "sum/action.yml": `
name: sum
description: adds
inputs: {a: {required: true, description: a}, b: {required: true, description: b}}
outputs: {sum: {description: the sum, value: "${{ steps.add.outputs.sum }}"}}
runs:
  using: composite
  steps:
  - {id: add, shell: sh, run: 'echo "sum=$((${{ inputs.a }} + ${{ inputs.b }})) of $OF_IMAGE" >>"$GITHUB_OUTPUT"'}
`}, "--platform", "ubuntu-latest="+runner)
	checkLines(t, lines, "a shell before the layout", "alpine: from the image, level job, w",
		"mine: one", "", "two", "sum 13 of from the image", "served by the image", "handed on 13 of from the image true")
}

// TestActUses: a repository that uses itself as an action is this one, in a job
// container of the runner image.
func TestActUses(t *testing.T) {
	t.Parallel()
	runner := pushRunner()(t)
	job := alpine(t)
	job.Config.Env = append(job.Config.Env, "OF_IMAGE=from the image")
	lab.Engine.Docker(t, "pull", "--quiet", runner)
	files := map[string]string{"ci.yml": strings.NewReplacer("RUNNER", runner, "JOB", lab.Push(t, "gha/act-uses", job)).Replace(`
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    container: {image: "RUNNER", options: --network host}
    steps:
    - uses: actions/checkout@v4
    - id: image
      uses: ./
      with:
        image: JOB
        run: |
          echo "in $(. /etc/os-release; echo $ID): $OF_IMAGE"
    - run: echo "then $OF_IMAGE, rootfs ${{ steps.image.outputs.rootfs }}, ${{ steps.image.outputs.bytes-pulled > 1000 }}"
`)}
	for _, name := range []string{"action.yml", "action/cache-token/action.yml", "action/cache-token/dist/index.js"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	lines := runAct(t, files, "--platform", "ubuntu-latest="+runner, "--local-repository", "clipperregistry/runner@v1="+root)
	checkLines(t, lines, "in alpine: from the image", "then from the image, rootfs /, true")
}
