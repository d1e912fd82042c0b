package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/clipperregistry/runner/action"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/libc"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
)

// The names by which a job's container calls the runner.
const (
	tailName = "tail"
	initName = "github-init"
)

// What GitHub starts a job's container with, and what the same process goes by
// when it has only to stay: to a person that is the same, to those who wait it
// says that there is nothing more to expect (see layout.Expected).
var (
	beginning = []string{"-f", "/dev/null"}
	staying   = []string{"-f", "--", "/dev/null"}
)

// tail is the container's first process, or the plain command tail for
// everybody else.
func tail(args, environ []string) int {
	// Beneath an engine's small init an orphan looks the same, but comes later.
	first := os.Getpid() == 1 || os.Getppid() == 1 && layout.Expected(layout.Path)
	switch {
	case first && slices.Equal(args, beginning):
		return begin(environ)
	case len(environ) == 0 && slices.Equal(args, staying):
		return stay()
	}
	return becomeTail(args, environ)
}

// begin lays the image out, and lets the container live whatever comes of it:
// a step can do more.
func begin(environ []string) int {
	err := prefetch(environ)
	if errors.Is(err, context.Canceled) {
		return fail(runnerimage.LogText, err)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "clipper-runner: error: %v\n", err)
	}
	// No secret stays in the memory of a process that outlives it.
	if err = process.GiveUpRights(); err == nil {
		err = syscall.Exec("/proc/self/exe", append([]string{tailName}, staying...), nil)
	}
	return fail(runnerimage.LogText, err)
}

// stay waits for the container's end.
func stay() int {
	code, err := process.Idle()
	if err != nil {
		return fail(runnerimage.LogText, err)
	}
	return code
}

// becomeTail becomes the applet.
func becomeTail(args, environ []string) int {
	err := process.GiveUpRights()
	if err == nil {
		err = syscall.Exec(filepath.Join("/", runnerimage.Home, "applet"), append([]string{tailName}, args...), environ)
	}
	return fail(runnerimage.LogText, err)
}

// prefetch lays the image out before there are any steps.
func prefetch(environ []string) error {
	ctx, stop := untilStopped()
	defer stop()
	container, err := newContainer(environ)
	if err != nil {
		return err
	}
	container.Out = os.Stderr
	return action.Prefetch(ctx, container)
}

// githubInit is the step that lays the image out.
func githubInit(args, environ []string) int {
	ctx, stop := untilStopped()
	defer stop()
	container, err := newContainer(environ)
	if err == nil && len(args) > 0 {
		err = fmt.Errorf("%w: %s takes no arguments: inputs and variables say what to do", runnerimage.ErrSettings, initName)
	}
	if err != nil {
		action.NewLog(os.Stdout).Error(err.Error())
		return action.ExitCode(err)
	}
	container.Out = os.Stdout
	return exitCode(action.Init(ctx, container))
}

func exitCode(err error) int {
	if err != nil {
		return action.ExitCode(err)
	}
	return 0
}

// newContainer describes the container that this process is in.
func newContainer(environ []string) (action.Container, error) {
	home := filepath.Join("/", runnerimage.Home)
	job, err := jobEnviron(filepath.Join(home, "runner.env"), environ)
	if err != nil {
		return action.Container{}, err
	}
	image, err := readDescription(filepath.Join(home, "image.json"))
	if err != nil {
		return action.Container{}, err
	}
	return action.Container{
		Job: job, UID: os.Getuid(), Open: openAsUser,
		Config: runnerimage.Config{
			Root: "/", Bare: image.Bare, BareLinks: image.Links, Waiters: image.Waiters, Default: sidecar(home), Dir: "/", Files: userFS{},
			UserAgent: "clipper-runner/" + version,
			Complete:  func() error { return process.GiveUpSetuid(filepath.Join(home, "runner")) },
		},
	}, nil
}

// sidecar is what an image without glibc gets, for the node that GitHub brings
// along: the waiting loader, which says what is missing; or the glibc that a
// derived image has in the runner's directory:
//
//	glibc/ld-linux-x86-64.so.2
//	glibc/lib/libc.so.6, libstdc++.so.6, …
//
// musl's loader does not stay: it would mislead who looks for the kind of the
// distribution, and GitHub's node for it runs in Alpine alone.
func sidecar(home string) []rootfs.Link {
	loader, _ := libc.Loaders(runtime.GOARCH)
	own := filepath.Join(home, "glibc", filepath.Base(loader))
	if _, err := os.Stat(own); err != nil {
		return []rootfs.Link{{Path: loader, Target: filepath.Join(home, "loader")}}
	}
	links := []rootfs.Link{{Path: loader, Target: own}}
	libraries, _ := os.ReadDir(filepath.Join(home, "glibc/lib"))
	for _, library := range libraries {
		links = append(links, rootfs.Link{
			Path:   filepath.Join(libc.Directory(runtime.GOARCH), library.Name()),
			Target: filepath.Join(home, "glibc/lib", library.Name()),
		})
	}
	return links
}

// jobEnviron is environ over what a derived image has in its runner.env.
func jobEnviron(path string, environ []string) (map[string]string, error) {
	job := map[string]string{}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		if job, err = runnerimage.ReadFile(f); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", runnerimage.ErrSettings, err)
	}
	given := action.Environ(environ)
	maps.DeleteFunc(given, func(name, value string) bool { return value == "" && job[name] != "" })
	maps.Copy(job, given)
	return job, nil
}

// openAsUser opens a file with the real ids, as userFS does.
func openAsUser(name string, flag int, mode os.FileMode) (*os.File, error) {
	defer asUser()()
	return os.OpenFile(name, flag, mode)
}
