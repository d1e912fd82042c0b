package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/clipperregistry/runner/action"
	"github.com/clipperregistry/runner/action/cache"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/sandbox"
	"mvdan.cc/sh/v3/shell"
)

// actionCommand is the action of action.yml in a job that has no container of
// ours: on a machine, or in any other container. It decides everything with the
// rights of the job's user (this file), and does it as root (actionroot.go).
type actionCommand struct {
	Cache  string `hidden:"" placeholder:"FILE" help:"What action/cache-token has written."`
	Orders bool   `hidden:"" help:"Do what standard input says."`
}

func (c *actionCommand) Run(exit *int) (err error) {
	if c.Orders {
		*exit, err = obey(os.Stdin)
		return err
	}
	log := action.NewLog(os.Stdout)
	job := action.Environ(os.Environ())
	token, tokenErr := c.token() // which is removed whatever comes
	o, cleanUp, err := newOrders(context.Background(), job, log)
	defer cleanUp()
	if err != nil {
		*exit = (&step{}).fail(err)
		return nil
	}
	if o.caches {
		if o.Cache = token; tokenErr != nil {
			log.Warning("The Actions cache is not used: " + tokenErr.Error() + ".")
		}
	}
	*exit, err = o.carryOut()
	return err
}

// token is the right to use the cache, if one was handed over.
func (c *actionCommand) token() (*cache.Service, error) {
	if c.Cache == "" {
		return nil, fmt.Errorf("%w: the job's runner has handed none over", cache.ErrToken)
	}
	return cache.ReadToken(c.Cache)
}

// orders are what is to be done as root. They are handed over on a pipe, since
// they have secrets in them.
type orders struct {
	Settings settings
	Step     step
	// Program says that something runs in the image; without, the image is laid
	// out in Root.
	Program       bool
	Args, Environ []string
	Mounts        []sandbox.Mount
	Hostname      string
	Network       sandbox.Network
	Root          string
	// Dir is where sandboxes are, Store the store.
	Dir, Store string
	Cache      *cache.Service
	// Proxies are the variables by which servers are reached.
	Proxies []string

	caches bool
}

// newOrders decides what to do from the environment of the job's step. cleanUp
// removes what that has left on the machine.
func newOrders(ctx context.Context, job map[string]string, log *action.Log) (o *orders, cleanUp func(), err error) {
	cleanUp = func() {}
	in, err := action.ParseInputs(job)
	if err != nil {
		return nil, cleanUp, err
	}
	options, err := parseOptions(in.Options)
	if err != nil {
		return nil, cleanUp, err
	}
	home, err := actionHome(job)
	if err != nil {
		return nil, cleanUp, err
	}
	o = &orders{
		Settings: in.Environ(), Step: newStep(in, job), Program: in.Run != "" || in.Args != nil, Args: in.Args,
		Hostname: options.Hostname, Network: sandbox.Network(options.Network),
		Dir: filepath.Join(home, "run"), Store: in.Settings.Store, Proxies: proxies(os.Environ()), caches: in.Cache,
	}
	if o.Store == "" {
		o.Store = filepath.Join(home, "store")
	}
	if err := in.LogIn(ctx, job, log, http.DefaultClient); err != nil {
		return nil, cleanUp, err
	}
	if err := o.settle(ctx, in, options, job["GITHUB_WORKSPACE"]); err != nil {
		return nil, cleanUp, err
	}
	if !o.Program {
		o.Root, err = os.MkdirTemp(job["RUNNER_TEMP"], "clipper-rootfs-")
		return o, cleanUp, err
	}
	if o.Mounts, err = options.mounts(home); err != nil {
		return nil, cleanUp, err
	}
	for _, dir := range action.StepDirs(job) {
		if _, err := os.Stat(dir); err == nil {
			o.Mounts = append(o.Mounts, sandbox.Mount{Source: dir, Target: dir})
		}
	}
	if o.Environ, err = stepEnviron(in, options, job); err != nil {
		return nil, cleanUp, err
	}
	if in.Run != "" {
		var script string
		if script, cleanUp, err = writeScript(job["RUNNER_TEMP"], in.Run); err != nil {
			return nil, cleanUp, err
		}
		o.Args, err = action.ShellCommand(in.Shell, script)
	}
	return o, cleanUp, err
}

// parseOptions reads the input options: flags of `run` about the program.
func parseOptions(text string) (f programFlags, err error) {
	words, err := shell.Fields(text, func(string) string { return "" })
	if err == nil {
		var parser *kong.Kong
		if parser, err = kong.New(&f, kong.Name("options"), kong.NoDefaultHelp(), kong.Writers(io.Discard, io.Discard)); err == nil {
			_, err = parser.Parse(words)
		}
	}
	if err != nil {
		return f, fmt.Errorf("%w: input options: %w; they are those of clipper-runner run, such as --user, --volume, --network", runnerimage.ErrSettings, err)
	}
	return f, nil
}

// settle completes the settings: what the machine knows, what the options say,
// and what a script needs.
func (o *orders) settle(ctx context.Context, in action.Inputs, options programFlags, workspace string) error {
	s := &o.Settings
	*s = in.Environ() // with the credentials of LogIn
	if file := s.get("CLIPPER_CREDENTIALS_FILE"); file != "" {
		// Read here, with the rights of whoever names it.
		value, err := readCredentials(file)
		if err != nil {
			return err
		}
		s.unset("CLIPPER_CREDENTIALS_FILE")
		s.set("CLIPPER_CREDENTIALS", value)
	}
	if err := s.login(ctx, in.Settings); err != nil {
		return err
	}
	if err := s.absolute("CLIPPER_CA_CERTS"); err != nil {
		return err
	}
	s.trustMachine()
	if o.Program && s.get("CLIPPER_WORKDIR") == "" {
		s.set("CLIPPER_WORKDIR", workspace)
	}
	if in.Run != "" {
		s.set("CLIPPER_ENTRYPOINT", "[]") // a script is read by its shell, and by nobody before that
	}
	return options.override(s)
}

// stepEnviron is the environment of what runs, the strongest last.
func stepEnviron(in action.Inputs, options programFlags, job map[string]string) ([]string, error) {
	env, err := action.StepEnv(job)
	if err != nil {
		return nil, err
	}
	var environ []string
	for _, v := range append(env, in.Env...) {
		environ = append(environ, v.Name+"="+v.Value)
	}
	return append(environ, options.environ()...), nil
}

// actionHome is where sandboxes and the store are: where the machine keeps
// tools between jobs. It must not lie in what the image is shown.
func actionHome(job map[string]string) (string, error) {
	if tools := job["RUNNER_TOOL_CACHE"]; filepath.IsAbs(tools) {
		home := filepath.Join(tools, "clipper-runner")
		if os.MkdirAll(home, 0o755) == nil {
			return home, nil
		}
	}
	home, err := rootFlag{}.dir()
	if err == nil {
		err = os.MkdirAll(home, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("%w: no place for images: %w", runnerimage.ErrSettings, err)
	}
	return home, nil
}

// writeScript puts the input run where the image's shell finds it. Every user
// of the image may read it, as with GitHub's own scripts.
func writeScript(dir, text string) (path string, cleanUp func(), err error) {
	f, err := os.CreateTemp(dir, "clipper-run-*.sh")
	if err != nil {
		return "", func() {}, err
	}
	cleanUp = func() { os.Remove(f.Name()) }
	_, err = io.WriteString(f, strings.TrimRight(text, "\n")+"\n")
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	return f.Name(), cleanUp, err
}
