package applet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Dir is where the applets are in a container.
const Dir = "/.clipper-runner/bin"

const shellUsage = usage("sh [-aefilnuvx] [-o OPTION] [-c COMMAND [NAME [ARGUMENT…]] | -s [ARGUMENT…] | FILE [ARGUMENT…]]")

// builtInShell runs a script: of -c, of a file, or of standard input, line by line
// with a prompt when that is a terminal.
func builtInShell(ctx context.Context, s Streams, args []string) error {
	var set []string
	var isCommand, fromInput, interactive bool
	args, ok := options(args, "o", func(letter byte, value string) bool {
		switch letter {
		case 'c':
			isCommand = true
		case 's':
			fromInput = true
		case 'i':
			interactive = true
		case 'l': // there is no profile to read
		case 'o':
			set = append(set, "-o", value)
		case 'a', 'e', 'f', 'n', 'u', 'v', 'x':
			set = append(set, "-"+string(letter))
		default:
			return false
		}
		return true
	})
	if !ok || isCommand && len(args) == 0 {
		return shellUsage
	}

	script, name := s.In, ""
	switch {
	case isCommand:
		script, args = strings.NewReader(args[0]), args[1:]
		if len(args) > 0 { // the script's $0
			args = args[1:]
		}
	case !fromInput && len(args) > 0:
		f, err := os.Open(args[0])
		if err != nil {
			fmt.Fprintf(s.Err, "sh: %v\n", err)
			return exitCode(127)
		}
		defer f.Close()
		script, name, args = f, args[0], args[1:]
	default:
		f, isFile := s.In.(*os.File)
		interactive = interactive || isFile && term.IsTerminal(int(f.Fd()))
	}

	runner, err := newRunner(s, append(append(set, "--"), args...))
	if err != nil {
		return err
	}
	if interactive {
		return prompt(ctx, s, runner)
	}
	return interpret(ctx, s, runner, script, name)
}

// builtin makes an applet of a command that the shell has built in.
func builtin(name string) command {
	return func(ctx context.Context, s Streams, args []string) error {
		runner, err := newRunner(s, append([]string{"--"}, args...))
		if err != nil {
			return err
		}
		return interpret(ctx, s, runner, strings.NewReader(name+` "$@"`), name)
	}
}

func newRunner(s Streams, params []string) (*interp.Runner, error) {
	return interp.New(interp.StdIO(s.In, s.Out, s.Err), interp.Params(params...), interp.ExecHandlers(withApplets))
}

// withApplets lets a script use the applets where its PATH does not lead to a
// command of that name.
func withApplets(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	known := commands()
	return func(ctx context.Context, args []string) error {
		where := interp.HandlerCtx(ctx)
		if _, err := interp.LookPathDir(where.Dir, where.Env, args[0]); err != nil && known[args[0]] != nil {
			args = append([]string{filepath.Join(Dir, args[0])}, args[1:]...)
		}
		return next(ctx, args)
	}
}

// interpret runs a whole script.
func interpret(ctx context.Context, s Streams, runner *interp.Runner, script io.Reader, name string) error {
	file, err := syntax.NewParser().Parse(script, name)
	if err != nil {
		fmt.Fprintf(s.Err, "sh: %v\n", err)
		return exitCode(2)
	}
	return shellError(s, runner.Run(ctx, file))
}

// prompt runs statements as they are typed.
func prompt(ctx context.Context, s Streams, runner *interp.Runner) error {
	sign := "$ "
	if os.Geteuid() == 0 {
		sign = "# "
	}
	fmt.Fprint(s.Out, sign)
	var last error
	for stmts, err := range syntax.NewParser().InteractiveSeq(s.In) {
		if err != nil {
			fmt.Fprintf(s.Err, "sh: %v\n", err)
			return exitCode(2)
		}
		for _, stmt := range stmts {
			last = shellError(s, runner.Run(ctx, stmt))
			if runner.Exited() {
				return last
			}
		}
		fmt.Fprint(s.Out, sign)
	}
	fmt.Fprintln(s.Out)
	return last
}

// shellError makes the outcome of a script an exit code.
func shellError(s Streams, err error) error {
	var status interp.ExitStatus
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return exitCode(status)
	default:
		fmt.Fprintf(s.Err, "sh: %v\n", err)
		return exitCode(1)
	}
}
