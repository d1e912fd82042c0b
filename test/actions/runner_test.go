package actions

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newRunner makes a runner whose "node" reads shell scripts, so that the tests
// of this package need neither an engine nor node.
func newRunner(t *testing.T) *Runner {
	t.Helper()
	r := &Runner{Dir: t.TempDir(), Externals: t.TempDir(), Actions: map[string]string{}}
	write(t, filepath.Join(r.Externals, "node24/bin/node"), "#!/bin/sh\nexec sh \"$@\"\n")
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, r *Runner, req Request) *Result {
	t.Helper()
	result, err := r.Run(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(result.Log)
		}
	})
	return result
}

func (r *Result) must(t *testing.T, conclusion string, lines ...string) {
	t.Helper()
	if r.Conclusion != conclusion {
		t.Errorf("the job ends as %s, want %s", r.Conclusion, conclusion)
	}
	rest := strings.Split(r.Log, "\n")
	for _, want := range lines {
		at := slices.Index(rest, want)
		if at < 0 {
			t.Errorf("%q is not in the log, or not in that order", want)
			continue
		}
		rest = rest[at+1:]
	}
}

func TestEnvironment(t *testing.T) {
	r := newRunner(t)
	result := run(t, r, Request{Secrets: map[string]string{"PASSWORD": "s3cret"}, Workflow: `
env: {FROM: workflow, OVER: workflow, A: "${{ secrets.PASSWORD }}"}
jobs:
  test:
    env: {OVER: job}
    steps:
    - run: |
        echo "1: $FROM $OVER $A"
        printf 'OVER=file\nRUNNER_OS=mine\nGITHUB_TOKEN=x\nGITHUB_SHA=x\nnode_options=x\nLINES<<E\none\n two\nE\n' >>"$GITHUB_ENV"
        echo "1 still: $OVER"
        ls "$GITHUB_PATH" "$GITHUB_OUTPUT" "$GITHUB_STATE" "$GITHUB_STEP_SUMMARY" >/dev/null
    - env: {OVER: "step after ${{ env.OVER }}"}
      run: |
        echo "2: $FROM $OVER [$LINES]"
        echo "2: $RUNNER_OS $GITHUB_TOKEN $GITHUB_SHA [$NODE_OPTIONS$node_options]"
    - run: 'echo "3: $OVER ${{ env.LINES == env.LINES }} ${{ env.FROM }}"'
    - run: '[ -z "$ACTIONS_ID_TOKEN_REQUEST_URL$ACTIONS_RUNTIME_TOKEN$STATE_x$INPUT_x" ]'
`, IDToken: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x"}, Runtime: map[string]string{"ACTIONS_RUNTIME_TOKEN": "runtime"}})
	result.must(t, success, "1: workflow job ***", "1 still: job", "2: workflow step after file [one", " two]",
		"2: Linux x ffac537e6cbbf934b08745a378932722df287a53 []", "3: file true workflow")
	if len(result.Annotations) != 1 || !strings.HasPrefix(result.Annotations[0].Message, "Can't store NODE_OPTIONS") {
		t.Errorf("annotations %v, want one for NODE_OPTIONS, which fails no step", result.Annotations)
	}
}

func TestFailure(t *testing.T) {
	result := run(t, newRunner(t), Request{Workflow: `
jobs:
  test:
    outputs: {tolerated: "${{ steps.tolerated.outcome }} ${{ steps.tolerated.conclusion }}"}
    steps:
    - id: tolerated
      continue-on-error: true
      run: exit 9
    - id: file
      run: printf 'A=1\nnot a pair\nB=2\n' >>"$GITHUB_ENV"; echo /x >>"$GITHUB_PATH"; echo r=1 >>"$GITHUB_OUTPUT"
    - id: skipped
      run: "true"
    - id: always
      if: always()
      run: echo "[$A][$B] $PATH ${{ steps.file.outputs.r }}"
    - id: failure
      if: failure() && steps.file.outcome == 'failure'
      run: echo ::error title=t%2Cu::two%0Alines
`})
	result.must(t, failure, "##[error]Process completed with exit code 9.", "##[error]Invalid format 'not a pair'")
	if !strings.Contains(result.Log, "[1][] /x:") || !strings.Contains(result.Log, " 1\n") {
		t.Error("what stood before the error, and in other files, does not count")
	}
	for id, want := range map[string]string{"tolerated": failure, "file": failure, "skipped": skipped, "always": success, "failure": success} {
		if got := result.Step(id).Outcome; got != want {
			t.Errorf("step %s: %s, want %s", id, got, want)
		}
	}
	if got := result.Outputs["tolerated"]; got != "failure success" {
		t.Errorf("output: %s", got)
	}
	last := result.Annotations[len(result.Annotations)-1]
	if last.Level != "error" || last.Message != "two\nlines" || last.Properties["title"] != "t,u" {
		t.Errorf("annotation %+v", last)
	}
}

// TestActions shows who runs when, and who gets which variables.
func TestActions(t *testing.T) {
	r := newRunner(t)
	action := t.TempDir()
	r.Actions["acme/setup@v1"] = action
	write(t, filepath.Join(action, "action.yml"), `
inputs: {who am: {default: "${{ github.ref_name }}"}, other: {}}
runs: {using: node24, pre: pre.js, main: main.js, post: post.js}
`)
	const report = `echo "%s $INPUT_WHO_AM [$INPUT_OTHER] $STATE_kept $ACTIONS_RUNTIME_TOKEN $ACTIONS_ID_TOKEN_REQUEST_TOKEN $GITHUB_ACTION_REPOSITORY $GITHUB_ACTION_REF"; `
	write(t, filepath.Join(action, "pre.js"), strings.ReplaceAll(report, "%s", "pre")+`echo kept=p >>"$GITHUB_STATE"`)
	write(t, filepath.Join(action, "main.js"), strings.ReplaceAll(report, "%s", "main")+`echo kept=m >>"$GITHUB_STATE"; echo result=42 >>"$GITHUB_OUTPUT"`)
	write(t, filepath.Join(action, "post.js"), strings.ReplaceAll(report, "%s", "post"))
	write(t, filepath.Join(r.Workspace(), "local/action.yml"), `
inputs: {x: {default: d}}
outputs: {sum: {value: "${{ steps.one.outputs.v }}+${{ steps.two.outputs.v }}+${{ steps.js.outputs.result }}"}}
runs:
  using: composite
  steps:
  - {id: one, shell: bash, run: 'echo "v=$OUTER" >>"$GITHUB_OUTPUT"; echo "composite: $GITHUB_ACTION_PATH [$INPUT_X]"'}
  - {id: js, uses: acme/setup@v1, with: {other: "${{ inputs.x }}"}}
  - {id: two, shell: sh, env: {V: "${{ inputs.x }}"}, run: 'echo "v=$V" >>"$GITHUB_OUTPUT"; echo FROM_COMPOSITE=1 >>"$GITHUB_ENV"'}
  - {shell: sh, if: "failure()", run: exit 1}
  - {uses: acme/setup@v1, if: "false", with: {other: never begun}}
`)
	result := run(t, r, Request{
		Workflow: `
permissions: {id-token: write}
jobs:
  test:
    steps:
    - run: echo first
    - {id: setup, uses: acme/setup@v1, with: {other: o}}
    - {id: local, uses: ./local, env: {OUTER: outer}}
    - run: 'echo "local: ${{ steps.local.outputs.sum }} ${{ steps.setup.outputs.result }} $FROM_COMPOSITE [${{ steps.one.outputs.v }}] [$OUTER]"'
`,
		IDToken: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "idt"}, Runtime: map[string]string{"ACTIONS_RUNTIME_TOKEN": "rt"},
	})
	result.must(t, success,
		"pre main [o]  *** *** acme/setup v1", "first",
		"main main [o] p *** *** acme/setup v1",
		"composite: "+filepath.Join(r.Workspace(), "local")+" []",
		"main main [d]  *** *** acme/setup v1",
		"local: outer+d+42 42 1 [] []",
		"post main [d] m *** *** acme/setup v1", "post main [o] m *** *** acme/setup v1")
	if strings.Contains(result.Log, "[never begun]") {
		t.Error("a step that was skipped has a post stage")
	}
}

func TestShells(t *testing.T) {
	r := newRunner(t)
	result := run(t, r, Request{Matrix: map[string]any{"word": "matrix"}, Workflow: `
defaults: {run: {shell: bash}}
jobs:
  test:
    steps:
    - run: 'set -o | grep -E "^(errexit|pipefail) "; echo "${{ matrix.word }}"'
    - {shell: "sh -u {0}", run: 'echo "$0" | sed "s/.*\\././"'}
    - {shell: sh, working-directory: /, run: 'pwd'}
    - {if: always(), shell: cat, run: x}
`})
	result.must(t, failure, "errexit        \ton", "pipefail       \ton", "matrix", ".sh", "/")
	if last := result.Annotations[0].Message; !strings.HasPrefix(last, "Invalid shell option.") {
		t.Errorf("a shell without {0}: %s", last)
	}
}

func TestCancel(t *testing.T) {
	cancel := make(chan struct{})
	result := run(t, newRunner(t), Request{Cancel: cancel, Output: func(line string) {
		if line == "ready" {
			close(cancel)
		}
	}, Workflow: `
jobs:
  test:
    steps:
    - {id: long, shell: "bash {0}", run: "trap 'exit 130' INT; echo ready; while sleep 0.05; do true; done"}
    - {id: next, run: "true"}
    - {id: always, if: always(), run: "echo ${{ job.status }}"}
    - {id: cancelled, if: cancelled(), run: "true"}
`})
	result.must(t, cancelled, "ready", "##[error]The operation was canceled.", "cancelled")
	for id, want := range map[string]string{"long": cancelled, "next": skipped, "always": success, "cancelled": success} {
		if got := result.Step(id).Outcome; got != want {
			t.Errorf("step %s: %s, want %s", id, got, want)
		}
	}
}

func TestStoppedCommands(t *testing.T) {
	run(t, newRunner(t), Request{Workflow: `
jobs:
  test:
    steps:
    - run: |
        echo ::stop-commands::a-token
        echo ::error::not one
        echo ::a-token::
        echo ::group::again
`}).must(t, success, "::error::not one", "##[group]again")
}

func TestRefusedWorkflows(t *testing.T) {
	for text, want := range map[string]string{
		"jobs: {}": "no jobs",
		"jobs: {a: {steps: [{run: x, uses: ./y}]}}":               "either run or uses",
		"jobs: {a: {steps: [{run: x, timeout-minutes: 3}]}}":      "timeout-minutes",
		"jobs: {a: {container: {image: x, entrypoint: y}}}":       "neither entrypoint nor command",
		"jobs: {a: {container: {image: x, network: host}}}":       "network",
		"jobs: {a: {services: {db: {image: x, healthcheck: y}}}}": "healthcheck",
		"jobs: {a: {}, b: {}}":                                    `no job ""`,
	} {
		if _, err := newRunner(t).Run(t.Context(), Request{Workflow: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestCreateOptions is the runner's docker create, word by word.
func TestCreateOptions(t *testing.T) {
	r := &Runner{DockerHost: "unix:///run/test.sock", Dir: "/home/runner", Externals: "/opt/externals", ToolCache: "/opt/hostedtoolcache"}
	j, err := r.newJob(Request{Workflow: `
jobs:
  test:
    container:
      image: ${{ vars.IMAGE }}
      env: {HOME: /mine, EMPTY: "", TWO: "a \"b\"", TOKEN: "${{ secrets.T }}"}
      volumes: [/cache, "/host:/in:ro", "name:/data"]
      options: --user root  --health-cmd "a b"
    services:
      db: {image: postgres:16, ports: ["5432:5432"], env: {CI: "no"}, command: -c x=1}
    steps: [{run: x}]
`, Vars: map[string]string{"IMAGE": "host:5000/clipper:1"}, Secrets: map[string]string{"T": "t"}})
	if err != nil {
		t.Fatal(err)
	}
	j.network = "github_network_0"
	options := func(c *container) []string {
		c.job = j
		if err := c.expand(); err != nil {
			t.Fatal(err)
		}
		words := splitArguments(c.createOptions())
		words[1], words[3] = words[1][:len(words[1])-6], words[3][:0]
		return words
	}
	want := []string{
		"--name", "job_host5000clipper1_", "--label", "", "--workdir", "/__w/app/app", "--network", "github_network_0",
		"--user", "root", "--health-cmd", "a b",
		"-e", "EMPTY", "-e", `TWO=a "b"`, "-e", "TOKEN=t", "-e", "HOME=/github/home", "-e", "GITHUB_ACTIONS=true", "-e", "CI=true",
		"-v", "/run/test.sock:/var/run/docker.sock", "-v", "/cache", "-v", "/host:/in:ro", "-v", "name:/data",
		"-v", "/home/runner/_work:/__w", "-v", "/opt/externals:/__e:ro", "-v", "/home/runner/_work/_temp:/__w/_temp",
		"-v", "/home/runner/_work/_actions:/__w/_actions", "-v", "/opt/hostedtoolcache:/__t",
		"-v", "/home/runner/_work/_temp/_github_home:/github/home", "-v", "/home/runner/_work/_temp/_github_workflow:/github/workflow",
		"--entrypoint", "tail", "host:5000/clipper:1", "-f", "/dev/null",
	}
	if got := options(&container{def: *j.def.Container}); !slices.Equal(got, want) {
		t.Errorf("job container:\n%q\nwant\n%q", got, want)
	}
	want = []string{
		"--name", "db_postgres16_", "--label", "", "--network", "github_network_0", "--network-alias", "db", "-p", "5432:5432",
		"-e", "CI=no", "-e", "GITHUB_ACTIONS=true", "postgres:16", "-c", "x=1",
	}
	if got := options(&container{def: j.def.Services[0].Container, alias: "db"}); !slices.Equal(got, want) {
		t.Errorf("service:\n%q\nwant\n%q", got, want)
	}
}

// TestAround: what a test puts around a workflow, which stays as it is.
func TestAround(t *testing.T) {
	r := newRunner(t)
	r.Env = map[string]string{"OF_MACHINE": "set", "OVER": "machine"}
	run(t, r, Request{Workflow: `
jobs: {test: {env: {OVER: job}, steps: [{run: 'echo "$OF_MACHINE $OVER ${{ env.OF_MACHINE }}"'}]}}
`}).must(t, success, "set job ")

	r = &Runner{DockerHost: "unix:///run/test.sock", Images: map[string]string{"clipper:1": "127.0.0.1:5000/clipper:e2e"}}
	j, err := r.newJob(Request{Options: "--add-host ${{ vars.HOST }}", Vars: map[string]string{"HOST": "a.example:127.0.0.1"}, Workflow: `
jobs: {test: {container: {image: "clipper:1", options: --add-host b.example:127.0.0.1}, steps: [{run: x}]}}
`})
	if err != nil {
		t.Fatal(err)
	}
	c := &container{job: j, def: *j.def.Container}
	if err := c.expand(); err != nil {
		t.Fatal(err)
	}
	if c.def.Image != "127.0.0.1:5000/clipper:e2e" || c.def.Options != "--add-host a.example:127.0.0.1 --add-host b.example:127.0.0.1" {
		t.Errorf("image %s, options %s", c.def.Image, c.def.Options)
	}
}

// TestContainerContexts refuses what GitHub does not know in a container.
func TestContainerContexts(t *testing.T) {
	for text, want := range map[string]string{
		`{image: "${{ env.IMAGE }}"}`:                         "'env'",
		`{image: "${{ secrets.IMAGE }}"}`:                     "'secrets'",
		`{image: x, options: "${{ env.O }}"}`:                 "'env'",
		`{image: x, env: {A: "${{ steps.x.outputs.y }}"}}`:    "'steps'",
		`{image: x, volumes: ["${{ runner.temp }}:/x"]}`:      "'runner'",
		`{image: x, credentials: {username: "${{ job.x }}"}}`: "'job'",
	} {
		r := newRunner(t)
		r.DockerHost = "unix:///nowhere"
		j, err := r.newJob(Request{Workflow: "jobs: {a: {container: " + text + "}}"})
		if err != nil {
			t.Fatal(err)
		}
		c := &container{job: j, def: *j.def.Container}
		if err := c.expand(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s refused", text, err, want)
		}
	}
}

func TestTranslation(t *testing.T) {
	d := (&Runner{Dir: "/r", Externals: "/e", ToolCache: "/tools"}).layout("")
	for path, want := range map[string]string{
		"/r/_work/app/app/x":           "/__w/app/app/x",
		"/r/_work/_temp/_github_home":  "/github/home",
		"/r/_work/_temp/_runner_x":     "/__w/_temp/_runner_x",
		"/r/_workers":                  "/r/_workers",
		"/tools/node":                  "/__t/node",
		"/e/node24/bin/node":           "/__e/node24/bin/node",
		"any text with /r/_work in it": "any text with /r/_work in it",
	} {
		if got := d.toContainer(path); got != want {
			t.Errorf("%s is %s in the container, want %s", path, got, want)
		}
	}
}

func TestPermission(t *testing.T) {
	token := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x"}
	for permissions, want := range map[string]map[string]string{
		"":                               nil,
		"permissions: {contents: read}":  nil,
		"permissions: {id-token: write}": token,
		"permissions: write-all":         token,
		"permissions: read-all":          nil,
	} {
		j, err := newRunner(t).newJob(Request{IDToken: token, Workflow: permissions + "\njobs: {a: {}}"})
		if err != nil {
			t.Fatal(err)
		}
		if got := j.idToken(); !maps.Equal(got, want) {
			t.Errorf("%q: %v, want %v", permissions, got, want)
		}
	}
}
