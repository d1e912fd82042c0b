package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/libc"
)

// program tells how it was started, as GitHub's node would notice.
const program = `
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv, char **envp) {
	char path[4096] = "";
	if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) return 9;
	printf("%s:", path);
	for (int i = 0; i < argc; i++) printf(" [%s]", argv[i]);
	for (; *envp; envp++) printf(" %s", *envp);
	return argc;
}
`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// bare is a root directory with the waiting loader, a program at /__e/node
// that needs one, and nothing else.
type bare struct {
	t    *testing.T
	root string
}

func newBare(t *testing.T, flags ...string) *bare {
	t.Helper()
	root := t.TempDir()
	must(t, os.Chmod(root, 0o755))
	b := &bare{t, root}
	glibc, _ := libc.Loaders(runtime.GOARCH)
	for _, dir := range []string{".clipper-runner", "__e", "proc", filepath.Dir(glibc)} {
		must(t, os.MkdirAll(b.at(dir), 0o755))
	}
	build := exec.Command("go", "build", "-ldflags", "-s -w -T "+address(t), "-o", b.at(own), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, os.Symlink(own, b.at(glibc)))
	source := filepath.Join(t.TempDir(), "program.c")
	must(t, os.WriteFile(source, []byte(program), 0o644))
	command(t, "cc", append(flags, "-o", b.at("__e/node"), source)...)
	must(t, syscall.Mount("proc", b.at("proc"), "proc", 0, ""))
	t.Cleanup(func() { syscall.Unmount(b.at("proc"), syscall.MNT_DETACH) })
	return b
}

// address is where the Makefile links the loader to.
func address(t *testing.T) string {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	must(t, err)
	for line := range strings.Lines(string(makefile)) {
		if _, value, ok := strings.Cut(line, "LOADER_ADDRESS = "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatal("the Makefile names no LOADER_ADDRESS")
	return ""
}

func (b *bare) at(path string) string { return filepath.Join(b.root, path) }

// image puts the machine's own loader and libraries in place.
func (b *bare) image() {
	b.t.Helper()
	glibc, _ := libc.Loaders(runtime.GOARCH)
	must(b.t, os.Remove(b.at(glibc)))
	b.copy(glibc)
	out, err := exec.Command("ldd", b.at("__e/node")).Output()
	must(b.t, err)
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, filepath.Base(glibc)) {
			b.copy(word)
		}
	}
}

func (b *bare) copy(path string) {
	b.t.Helper()
	must(b.t, os.MkdirAll(b.at(filepath.Dir(path)), 0o755))
	command(b.t, "cp", "-L", path, b.at(path))
}

// start prepares a command in the root.
func (b *bare) start(name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	out := &bytes.Buffer{}
	cmd := exec.Command(name)
	cmd.Args = append([]string{"node"}, args...)
	cmd.Env, cmd.Dir = []string{"A=b", "EMPTY="}, "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: b.root}
	return cmd, out
}

func (b *bare) ends(cmd *exec.Cmd, out *bytes.Buffer, code int, words ...string) {
	b.t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		b.t.Errorf("exit code %d, want %d (%v); it said %s", got, code, err, out)
	}
	for _, word := range words {
		if !strings.Contains(out.String(), word) {
			b.t.Errorf("it said %q, want %q in it", out, word)
		}
	}
}

func (b *bare) runs(code int, words ...string) {
	b.t.Helper()
	cmd, out := b.start("/__e/node", "one")
	must(b.t, cmd.Start())
	b.ends(cmd, out, code, words...)
}

func (b *bare) turn() *layout.Turn {
	b.t.Helper()
	turn, err := layout.Take(b.t.Context(), b.at(layout.Path))
	must(b.t, err)
	return turn
}

// TestWaits starts a program of the two kinds that there are: at a fixed
// address, as GitHub's node is, and at any.
func TestWaits(t *testing.T) {
	for _, kind := range []string{"-no-pie", "-pie"} {
		t.Run(kind, func(t *testing.T) {
			b := newBare(t, kind)
			turn := b.turn()
			must(t, turn.Begin("debian:12"))
			var started []*exec.Cmd
			var said []*bytes.Buffer
			for range 2 {
				cmd, out := b.start("/__e/node", "one", "two words")
				must(t, cmd.Start())
				started, said = append(started, cmd), append(said, out)
			}
			b.image()
			must(t, turn.End(layout.Status{Phase: layout.Done, Message: "debian:12"}))
			for i, cmd := range started {
				b.ends(cmd, said[i], 3)
				if got, want := said[i].String(), "/__e/node: [node] [one] [two words] A=b EMPTY="; got != want {
					t.Errorf("it said %q, want %q", got, want)
				}
			}
			b.runs(2, "/__e/node: [node] [one]")
		})
	}
}

func TestDoesNotWait(t *testing.T) {
	b := newBare(t)
	b.runs(127, "/__e/node", "run /.clipper-runner/github-init first")
	must(t, b.turn().End(layout.Status{Phase: layout.NeedsToken, Message: "no identity"}))
	b.runs(127, "no identity", "run /.clipper-runner/github-init first")
	must(t, b.turn().End(layout.Status{Phase: layout.Failed, Message: "no such image"}))
	b.runs(127, "no such image")
	turn := b.turn()
	must(t, turn.Begin("debian:12"))
	must(t, turn.Release()) // as by its death
	b.runs(127, "interrupted")
}

// TestImageWithoutGlibc has the loader stand where the image has nothing.
func TestImageWithoutGlibc(t *testing.T) {
	b := newBare(t)
	must(t, b.turn().End(layout.Status{Phase: layout.Done}))
	b.runs(88, "the image has no glibc", "JavaScript actions need")

	// The image's musl program has another loader, which it does not have.
	glibc, _ := libc.Loaders(runtime.GOARCH)
	turn := b.turn()
	must(t, turn.Begin("alpine"))
	cmd, out := b.start("/__e/node")
	must(t, cmd.Start()) // which returns when the kernel has mapped the loader
	must(t, os.Remove(b.at(glibc)))
	must(t, turn.End(layout.Status{Phase: layout.Done}))
	b.ends(cmd, out, 88, "no dynamic loader")
}

// TestOldGlibc has a glibc in the image that lacks what node needs.
func TestOldGlibc(t *testing.T) {
	b := newBare(t)
	turn := b.turn()
	must(t, turn.Begin("centos:7"))
	cmd, out := b.start("/__e/node")
	must(t, cmd.Start())
	b.image()
	must(t, os.WriteFile(b.at("/lib64/libc.so.6"), []byte("\x7fELF\x00GLIBC_2.17\x00"), 0o755))
	must(t, turn.End(layout.Status{Phase: layout.Done}))
	b.ends(cmd, out, 88, "older than 2.28", "JavaScript actions need")
}

// TestCalledAsCommand calls the loader by its name, as ldd does.
func TestCalledAsCommand(t *testing.T) {
	b := newBare(t)
	glibc, _ := libc.Loaders(runtime.GOARCH)
	cmd, out := b.start(glibc)
	cmd.Args = []string{glibc, "--list", "/__e/node"}
	turn := b.turn()
	must(t, turn.Begin("debian:12"))
	must(t, cmd.Start())
	b.image()
	must(t, turn.End(layout.Status{Phase: layout.Done}))
	b.ends(cmd, out, 0, "libc.so.6")
}

// TestOtherMachine starts a program of arm64, if that is another one, as far
// as the waiting loader.
func TestOtherMachine(t *testing.T) {
	dir := t.TempDir()
	glibc, _ := libc.Loaders("arm64")
	for name, content := range map[string]string{"go.mod": "module program\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	// Without cgo Go links programs that need nothing of the loader but to be
	// started by it.
	for _, build := range []*exec.Cmd{
		exec.Command("go", "build", "-C", dir, "-buildmode", "pie", "-o", "program", "."),
		exec.Command("go", "build", "-ldflags", "-s -w -T "+address(t), "-o", filepath.Join(dir, "root", glibc), "."),
	} {
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := exec.Command("qemu-aarch64-static", "-L", filepath.Join(dir, "root"), filepath.Join(dir, "program")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 127 || !strings.Contains(string(out), "run /.clipper-runner/github-init first") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestInterpreter(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	for _, test := range []struct{ name, content string }{
		{"empty", ""}, {"a script", "#!/bin/sh\n" + strings.Repeat("x", 100)}, {"cut", string(self[:64])},
	} {
		if got, err := readInterpreter(strings.NewReader(test.content)); err == nil {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	if got, err := interpreter("/bin/true"); err != nil || !strings.Contains(got, "/ld-") {
		t.Errorf("/bin/true: %q, %v", got, err)
	}
}

func FuzzInterpreter(f *testing.F) {
	self, err := os.ReadFile("/bin/true")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(self[:4096]))
	f.Add("\x7fELF\x02")
	f.Fuzz(func(t *testing.T, content string) {
		got, err := readInterpreter(strings.NewReader(content))
		if len(got) > maxPath || err != nil && got != "" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
