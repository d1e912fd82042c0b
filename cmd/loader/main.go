// Command loader stands in the bare runner image where programs expect their
// dynamic loader, that of glibc and that of musl. The kernel starts it in
// place of GitHub's node, when a job has an action run before its image is
// laid out. It waits for the layout, then executes the program again, which
// gets the image's own loader. It has no flags and reads no variables.
//
// Where there is nothing to wait for it says so: exit code 127 when no image
// is laid out, 88 when the image has no such loader or one that is too old,
// 126 when the program cannot be executed.
//
// It is linked to an address of its own (see the Makefile), because the kernel
// has to map it beside the program. It must never be set-uid.
package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/libc"
)

// own is this program's file in a container.
const own = "/.clipper-runner/loader"

// externals is where GitHub mounts its node.
const externals = "/__e/"

const (
	exitCannotRun     = 88
	exitNotExecutable = 126
	exitNotFound      = 127
)

// help is what to do where an image cannot run GitHub's node.
const help = "JavaScript actions need glibc 2.28, libstdc++ and libgcc of the image: use run: steps, or a runner image that brings them along (see JavaScript actions in its README)"

func main() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		exit(exitNotExecutable, "which program?", err.Error())
	}
	if same(program, own) {
		program = os.Args[0] // called as a command, as ldd does
	}
	s, err := layout.Wait(context.Background(), layout.Path)
	if err != nil {
		exit(exitNotFound, program, err.Error())
	}
	if s.Phase != layout.Done {
		exit(exitNotFound, program, s.Hint())
	}
	switch loader, err := interpreter(program); {
	case err != nil:
		exit(exitNotFound, program, err.Error())
	case same(loader, own):
		exit(exitCannotRun, program, string(libc.NoGlibc)+" ("+loader+"); "+help)
	case strings.HasPrefix(program, externals) && libc.Old("/"):
		exit(exitCannotRun, program, string(libc.OldGlibc)+"; "+help)
	}
	err = syscall.Exec(program, os.Args, os.Environ())
	if errors.Is(err, syscall.ENOENT) {
		exit(exitCannotRun, program, "the image has no dynamic loader for it")
	}
	exit(exitNotExecutable, program, err.Error())
}

func exit(code int, program, text string) {
	os.Stderr.WriteString("clipper-runner: error: " + program + ": " + text + "\n")
	os.Exit(code)
}

// same reports whether two names are one file.
func same(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
