package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
)

// javaScript is a job in vars.CONTAINER whose first step is a JavaScript action
// with a pre: stage: it runs before anything asks for the layout.
const javaScript = `
jobs:
  test:
    container:
      image: ${{ vars.CONTAINER }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/${{ vars.IMAGE }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
    steps:
    - uses: acme/setup@v1
    - {if: vars.GLIBC, run: 'from-setup "with $SETUP"'}
    - {id: run, if: always(), run: "echo a script runs"}
    - {if: always() && vars.INIT, run: /.clipper-runner/github-init}
`

// TestJavaScript runs JavaScript actions in images that can run GitHub's node,
// where they must run as ever, and in others, where the error must say why.
func TestJavaScript(t *testing.T) {
	const says = ": hello from /__e/node24/bin/node in /__w/app/app, workspace /__w/app/app, home /github/home, child 42, state "
	const inMusl = "musl: hello, /__w/_actions/acme/setup/v1/"
	for _, test := range []struct {
		name  string
		image func(t *testing.T) stack.Image
		lines []string // of a job that succeeds
		// A job that fails says native in the image itself, and clear through
		// the runner image: at the latest in github-init's warning, since an
		// old glibc speaks for itself.
		native, clear string
	}{
		{name: "debian", image: debian, lines: []string{"pre" + says, "main" + says + "in pre", "from-setup: with two", "lines", "post" + says + "in pre"}},
		{name: "alpine", image: alpine, lines: []string{inMusl + "pre.js", inMusl + "main.js", inMusl + "post.js"}},
		{name: "shell alone", image: shellAlone, native: "no such file or directory", clear: "the image has no glibc"},
		{name: "old glibc", image: oldGlibc, native: "version `GLIBC_2.28' not found", clear: "the image's glibc is older than 2.28"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "gha/js-"+strings.ReplaceAll(test.name, " ", "-"), test.image(t))
			req := newRequest(t, javaScript, nil)
			req.Vars["IMAGE"] = strings.TrimPrefix(ref, lab.Registry+"/")
			r := newRunner(t)
			switch test.name {
			case "debian":
				req.Vars["GLIBC"] = "yes"
			case "alpine":
				r.Externals = muslNode(t)
			}
			for container, why := range map[string]string{ref: test.native, req.Vars["RUNNER"]: test.clear} {
				req.Vars["CONTAINER"], req.Vars["INIT"] = container, ""
				if container != ref {
					req.Vars["INIT"] = "yes"
				}
				result := runJob(t, r, req)
				if why == "" {
					checkJob(t, result, "success", test.lines...)
				} else if checkJob(t, result, "failure"); !strings.Contains(result.Log, why) {
					t.Errorf("in %s nobody says %q", container, why)
				}
				if got := result.Step("run").Outcome; got != "success" {
					t.Errorf("in %s the script's outcome is %s", container, got)
				}
			}
		})
	}
}

// TestJavaScriptTooEarly: while nothing pulls there is nothing to wait for.
func TestJavaScriptTooEarly(t *testing.T) {
	t.Parallel()
	req := newRequest(t, `
jobs:
  test:
    container: {image: "${{ vars.RUNNER }}", env: {CLIPPER_INSECURE_REGISTRIES: "${{ vars.REGISTRY }}"}}
    steps:
    - {id: early, continue-on-error: true, uses: acme/setup@v1}
    - {env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/gha/early:e2e"}, run: /.clipper-runner/github-init}
    - {id: late, uses: acme/setup@v1}
`, nil)
	lab.Push(t, "gha/early", debian(t))
	r := newRunner(t)
	// Without its pre stage, which would fail the job.
	if err := os.CopyFS(filepath.Join(r.Dir, "setup"), os.DirFS(setup)); err != nil {
		t.Fatal(err)
	}
	r.Actions["acme/setup@v1"] = filepath.Join(r.Dir, "setup")
	manifest := filepath.Join(r.Dir, "setup", "action.yml")
	text, err := os.ReadFile(manifest)
	if err == nil {
		err = os.WriteFile(manifest, bytes.Replace(text, []byte("  pre: pre.js\n"), nil, 1), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	result := runJob(t, r, req)
	checkJob(t, result, "success")
	if early, late := result.Step("early").Outcome, result.Step("late").Outcome; early != "failure" || late != "success" {
		t.Errorf("before the layout: %s, after it: %s", early, late)
	}
	if !strings.Contains(result.Log, "run /.clipper-runner/github-init first") {
		t.Error("nobody says what to do first")
	}
}

// muslNode is the externals of a runner whose node for Alpine is a small
// program of musl: node itself is built for it by GitHub alone.
func muslNode(t *testing.T) string {
	t.Helper()
	dir, externals := lab.Scratch(t), lab.Scratch(t)
	for _, layer := range lab.Packages(t, "musl", "musl-dev") {
		in, err := layer.Open()
		if err != nil {
			t.Fatal(err)
		}
		extract := exec.CommandContext(t.Context(), "tar", "--extract", "--directory", dir)
		extract.Stdin = in
		if out, err := extract.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", extract, err, out)
		}
		in.Close()
	}
	bin := filepath.Join(externals, "node24_alpine", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(dir, "usr/lib/x86_64-linux-musl")
	// The library is the dynamic loader; the package's link to it is absolute.
	libc := filepath.Join(lib, "libc.so")
	if err := os.Remove(libc); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../lib/ld-musl-x86_64.so.1", libc); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "gcc", "-nostdinc", "-isystem", filepath.Join(dir, "usr/include/x86_64-linux-musl"),
		"-nostdlib", "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1", "-o", filepath.Join(bin, "node"),
		filepath.Join(lib, "Scrt1.o"), filepath.Join(lib, "crti.o"), "testdata/muslnode.c", "-L"+lib, "-lc", filepath.Join(lib, "crtn.o"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", build, err, out)
	}
	return externals
}
