package applet_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layout"
)

// programs are what the root directories of these tests are made of: the
// applets, and a program of an image that says what it is.
type programs struct{ applet, image string }

func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	p := programs{dir + "/applet", dir + "/image"}
	const source = "#include <stdio.h>\nint main(int c, char **v) { printf(\"image's %s %s\\n\", v[0], c > 1 ? v[1] : \"\"); return c; }\n"
	if err := os.WriteFile(dir+"/image.c", []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command("go", "build", "-o", p.applet, "../../cmd/applet"),
		exec.Command("cc", "-static", "-o", p.image, dir+"/image.c"),
	} {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return p
}

// job is the root directory of a job's container before its image is laid
// out, with the applets in it.
type job struct {
	t    *testing.T
	root string
	programs
}

func newJob(t *testing.T, p programs) *job {
	t.Helper()
	j := &job{t, t.TempDir(), p}
	for _, dir := range []string{"/.clipper-runner/bin", "/bin", "/etc"} {
		j.must(os.MkdirAll(j.at(dir), 0o755))
	}
	j.must(os.Link(p.applet, j.at("/.clipper-runner/applet")))
	for _, name := range append(layout.Interpreters(), "sh", "cat") {
		j.must(os.Symlink("../applet", j.at("/.clipper-runner/bin/"+name)))
	}
	return j
}

func (j *job) must(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

func (j *job) at(path string) string { return filepath.Join(j.root, path) }

func (j *job) turn() *layout.Turn {
	j.t.Helper()
	turn, err := layout.Take(j.t.Context(), layout.In(j.root))
	j.must(err)
	return turn
}

// begin takes the turn and says so.
func (j *job) begin(image string) *layout.Turn {
	j.t.Helper()
	turn := j.turn()
	j.must(turn.Begin(image))
	return turn
}

// start starts a command as docker exec does, which has looked for it before.
// What the command says comes out of the file.
func (j *job) start(name string, args ...string) (*exec.Cmd, *os.File) {
	j.t.Helper()
	out, said, err := os.Pipe()
	j.must(err)
	defer said.Close()
	cmd := exec.Command("/.clipper-runner/bin/"+name, args...)
	cmd.Args[0] = name
	cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin:/.clipper-runner/bin"}, "/"
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: j.root}
	j.must(cmd.Start())
	return cmd, out
}

func (j *job) ends(cmd *exec.Cmd, out *os.File, code int, want string) {
	j.t.Helper()
	rest, err := io.ReadAll(out)
	j.must(err)
	_ = cmd.Wait() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != code || string(rest) != want {
		j.t.Errorf("%v: exit code %d, %q; want %d, %q", cmd.Args, got, rest, code, want)
	}
}

func (j *job) runs(code int, want, name string, args ...string) {
	j.t.Helper()
	cmd, out := j.start(name, args...)
	j.ends(cmd, out, code, want)
}

// script makes the script of a step.
func (j *job) script(text string) string {
	j.t.Helper()
	j.must(os.WriteFile(j.at("/script"), []byte(text), 0o644))
	return "/script"
}

// waits returns once the command has said that it waits.
func (j *job) waits(out *os.File) {
	j.t.Helper()
	const want = "clipper-runner: waiting until the image is laid out\n"
	said := make([]byte, len(want))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != want {
		j.t.Fatalf("it said %q, %v", said, err)
	}
}

func TestWaiters(t *testing.T) {
	p := build(t)
	for name, test := range map[string]func(*job){
		"wait": shellsWait, "do not wait": shellsDoNotWait, "only answer": shellsOnlyAnswer,
	} {
		t.Run(name, func(t *testing.T) { test(newJob(t, p)) })
	}
}

func shellsWait(j *job) {
	for _, test := range []struct {
		name, image string
		code        int
		says        string
	}{
		{"sh", "/bin/sh", 2, "image's sh /script\n"},
		{"bash", "/bin/bash", 2, "image's bash /script\n"},
		{"sh", "", 4, "built-in\n"},
		{"python3", "", 127, "python3: not found: the image has no program of this name\n"},
	} {
		turn := j.begin("debian:12")
		cmd, out := j.start(test.name, j.script("echo built-in; exit 4"))
		j.waits(out)
		if test.image != "" {
			j.must(os.Link(j.image, j.at(test.image)))
		}
		j.must(turn.End(layout.Status{Phase: layout.Done, Message: "debian:12"}))
		j.ends(cmd, out, test.code, test.says)
		if test.image != "" {
			j.must(os.Remove(j.at(test.image)))
		}
	}
}

// shellsDoNotWait: where nobody works there is nothing to wait for.
func shellsDoNotWait(j *job) {
	j.runs(0, "x\n", "sh", "-c", "echo x")
	j.runs(127, "bash: not found: no image is laid out: run /.clipper-runner/github-init first\n", "bash", "-c", "echo x")

	j.must(j.turn().End(layout.Status{Phase: layout.NeedsToken, Message: "why"}))
	const needs = "the image is not laid out, because it needs a token of a step (why): run /.clipper-runner/github-init first\n"
	j.runs(0, "clipper-runner: "+needs+"x\n", "sh", "-e", j.script("echo x"))
	j.runs(127, "pwsh: not found: "+needs, "pwsh")

	j.must(j.turn().End(layout.Status{Phase: layout.Failed, Message: "why"}))
	j.runs(0, "clipper-runner: the image could not be laid out (why): run /.clipper-runner/github-init to try again\nx\n", "sh", "-e", j.script("echo x"))

	j.must(j.begin("debian:12").Release()) // as by its death
	j.runs(127, "bash: not found: the layout of the image was interrupted: run /.clipper-runner/github-init to lay it out\n", "bash")

	// Laid out, the applets' directory is the last of PATH.
	j.must(j.turn().End(layout.Status{Phase: layout.Done}))
	j.must(os.Link(j.image, j.at("/bin/sh")))
	j.runs(2, "image's sh x\n", "sh", "x")
}

// shellsOnlyAnswer: GitHub asks a shell for the distribution and takes all that
// it says for the answer; the hooks for Kubernetes take it for an error.
func shellsOnlyAnswer(j *job) {
	const question = "cat /etc/os-release"
	j.must(os.WriteFile(j.at("/etc/os-release"), []byte("ID=debian\n"), 0o644))
	for _, phase := range []layout.Phase{layout.Failed, layout.NeedsToken, layout.Done} {
		turn := j.begin("alpine:3")
		cmd, out := j.start("sh", "-c", question)
		j.must(turn.End(layout.Status{Phase: phase, Message: "alpine:3"}))
		j.ends(cmd, out, 0, "ID=debian\n")
	}
	j.must(j.begin("alpine:3").Release()) // as by its death
	j.runs(0, "ID=debian\n", "sh", "-e", "-c", question)
}
