// Package applet holds the few commands that the bare runner image needs:
// before an image is laid out, in images without a shell, and to enter or
// check a container as its image would have it.
//
// In comes the name that the file was called by with its arguments, out goes
// an exit code. The names of shells wait for an image that is being laid out
// and become its own (waiter.go). What the shell has built in, it answers; some come
// from a library; the rest is written here, with the options that scripts of CI
// systems, GitHub's hooks for Kubernetes among them, and of people in a strange
// container use. An unknown option is an error, never ignored.
//
// Promised: nothing here reads the network or changes the layout.
package applet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/core"
	"github.com/u-root/u-root/pkg/core/cat"
	"github.com/u-root/u-root/pkg/core/chmod"
	"github.com/u-root/u-root/pkg/core/ls"
	"github.com/u-root/u-root/pkg/core/mktemp"
	"github.com/u-root/u-root/pkg/core/mv"
	"github.com/u-root/u-root/pkg/core/rm"
	"github.com/u-root/u-root/pkg/core/touch"

	"github.com/clipperregistry/runner/runnerimage/layout"
)

// Streams are an applet's standard streams.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// command is an applet: it gets its arguments without its name. An error is
// told on Err by its caller; an exitCode is an exit code without words.
type command func(ctx context.Context, s Streams, args []string) error

// exitCode is the outcome of an applet that has said what there was to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage is the error of arguments that an applet does not know.
type usage string

func (u usage) Error() string { return "usage: " + string(u) }

// commands are the applets on PATH, by name.
func commands() map[string]command {
	all := map[string]command{
		"sh": shell,
		"[":  builtin("["), "echo": builtin("echo"), "false": builtin("false"), "printf": builtin("printf"),
		"pwd": builtin("pwd"), "test": builtin("test"), "true": builtin("true"),
		"cat": library(cat.New), "chmod": library(chmod.New), "ls": library(ls.New), "mktemp": library(mktemp.New),
		"mv": library(mv.New), "rm": library(rm.New), "touch": library(touch.New),
		"basename": baseName, "cp": copyFiles, "dirname": dirName, "env": env, "find": find, "grep": grep, "head": head,
		"id": id, "ln": link, "mkdir": makeDirs, "readlink": readLink, "sleep": sleep, "stat": stat, "tail": tail,
		"tar": archiveFiles, "uname": uname, "wc": count,
	}
	for _, name := range layout.Interpreters() {
		all[name] = interpreter(name)
	}
	return all
}

// Names are the names that an applet is found by on PATH. Beside them there
// are "exec" and "healthcheck", which are called by their paths.
func Names() []string { return slices.Sorted(maps.Keys(commands())) }

// Main runs the applet called name, as in os.Args[0] without its directory,
// and returns its exit code.
func Main(ctx context.Context, name string, args []string, s Streams) int {
	run := commands()[name]
	switch name {
	case "exec":
		run = enter
	case "healthcheck":
		run = checkHealth
	}
	if run == nil {
		fmt.Fprintf(s.Err, "%s: there is no applet of this name; there are %v, exec and healthcheck\n", name, Names())
		return 127
	}
	err := run(ctx, s, args)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, new(usage)):
		fmt.Fprintf(s.Err, "%s: %v\n", name, err)
		return 2
	default:
		fmt.Fprintf(s.Err, "%s: %v\n", name, err)
		return 1
	}
}

// library makes an applet of a command of the library.
func library(make func() core.Command) command {
	return func(ctx context.Context, s Streams, args []string) error {
		c := make()
		c.SetIO(s.In, s.Out, s.Err)
		return c.RunContext(ctx, args...)
	}
}

// options takes leading arguments of the form -abc off args and hands each
// letter to set, which returns false for one it does not know. A letter in
// valued takes the rest of its argument, or the next one, as its value.
func options(args []string, valued string, set func(letter byte, value string) bool) (rest []string, ok bool) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		for i := 1; i < len(arg); i++ {
			letter, value := arg[i], ""
			if slices.Contains([]byte(valued), letter) {
				if value = arg[i+1:]; value == "" {
					if len(args) == 0 {
						return nil, false
					}
					value, args = args[0], args[1:]
				}
				i = len(arg)
			}
			if !set(letter, value) {
				return nil, false
			}
		}
	}
	return args, true
}

// eachInput calls do with every file of names, or with In without names or
// for "-".
func eachInput(s Streams, names []string, do func(name string, r io.Reader) error) error {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var errs []error
	for _, name := range names {
		if name == "-" {
			errs = append(errs, do(name, s.In))
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, do(name, f), f.Close())
	}
	return errors.Join(errs...)
}

func baseName(_ context.Context, s Streams, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return usage("basename NAME [SUFFIX]")
	}
	name := filepath.Base(args[0])
	if len(args) == 2 && name != args[1] {
		name = strings.TrimSuffix(name, args[1])
	}
	fmt.Fprintln(s.Out, name)
	return nil
}

func dirName(_ context.Context, s Streams, args []string) error {
	if len(args) == 0 {
		return usage("dirname NAME…")
	}
	for _, name := range args {
		fmt.Fprintln(s.Out, filepath.Dir(filepath.Clean(name)))
	}
	return nil
}

func link(_ context.Context, _ Streams, args []string) error {
	var symbolic, force bool
	rest, ok := options(args, "", func(letter byte, _ string) bool {
		symbolic = symbolic || letter == 's'
		force = force || letter == 'f'
		return letter == 's' || letter == 'f'
	})
	if !ok || len(rest) != 2 {
		return usage("ln [-s] [-f] TARGET PATH")
	}
	target, path := rest[0], rest[1]
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, filepath.Base(target))
	}
	if force {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if symbolic {
		return os.Symlink(target, path)
	}
	return os.Link(target, path)
}

func readLink(_ context.Context, s Streams, args []string) error {
	resolve := false
	rest, ok := options(args, "", func(letter byte, _ string) bool { resolve = true; return letter == 'f' })
	if !ok || len(rest) != 1 {
		return usage("readlink [-f] PATH")
	}
	read := os.Readlink
	if resolve {
		read = func(path string) (string, error) {
			path, err := filepath.Abs(path)
			if err != nil {
				return "", err
			}
			return filepath.EvalSymlinks(path)
		}
	}
	target, err := read(rest[0])
	if err != nil {
		return exitCode(1)
	}
	fmt.Fprintln(s.Out, target)
	return nil
}
