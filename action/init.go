package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/clipperregistry/runner/action/oidc"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/libc"
	"github.com/clipperregistry/runner/runnerimage/process"
)

// Container is the container of a job, as one of its processes sees it.
type Container struct {
	// Job is the environment of the process.
	Job map[string]string
	// Config is what a layout needs but for what Job says of it: Settings,
	// Environ, Log and Mask are filled in.
	Config runnerimage.Config
	// Open opens the files that Job names (see Files.Open).
	Open func(name string, flag int, mode os.FileMode) (*os.File, error)
	// UID is the user of this process, and so of all steps.
	UID int
	// Out is where the process writes: a step's log, or the container's.
	Out io.Writer
}

// Prefetch lays the image out that the container's own variables name, before
// any step runs. How that ended is told to whoever waits for it, and to a later
// Init, which tries again; err says only what to log, or that ctx has ended.
func Prefetch(ctx context.Context, c Container) error {
	if c.Job[envImage] == "" {
		return c.end(ctx, layout.Status{Phase: layout.None})
	}
	in, err := ParseInputs(c.Job)
	if err != nil {
		return errors.Join(err, c.end(ctx, layout.Status{Phase: layout.Failed, Message: err.Error()}))
	}
	if service, ok := in.Identity.For(in.Settings.Image.Host()); ok && c.Job[envTokenURL] == "" {
		why := fmt.Sprintf("%s gives credentials to the job's identity, which only steps have", service)
		fmt.Fprintf(c.Out, "clipper-runner: %s: the image is pulled by %s\n", why, layout.Init)
		return c.end(ctx, layout.Status{Phase: layout.NeedsToken, Message: why})
	}
	_, err = runnerimage.Join(ctx, c.config(in, mountedStore(c.Config.Root), c.Out, nil), nil)
	return err
}

// envTokenURL is set for steps that may ask for the job's identity.
const envTokenURL = "ACTIONS_ID_TOKEN_REQUEST_URL"

// end says how it ended without a layout.
func (c Container) end(ctx context.Context, s layout.Status) error {
	turn, err := layout.Take(ctx, layout.In(c.Config.Root))
	if err != nil {
		return err
	}
	return turn.End(s)
}

// Init is a step that lays the image out over its own container, and makes the
// image's environment that of the later steps. Whatever went before, calling
// it again comes to the same. The error has been told in the log.
func Init(ctx context.Context, c Container) error {
	log := NewLog(c.Out)
	err := c.init(ctx, log)
	switch {
	case errors.Is(err, context.Canceled):
		log.Error("Interrupted before the image was laid out (" + err.Error() + "). The workspace is as it was; run " + layout.Init + " again to lay it out.")
	case err != nil:
		log.Error(err.Error())
	}
	return err
}

func (c Container) init(ctx context.Context, log *Log) error {
	in, err := ParseInputs(c.Job)
	if err != nil {
		return err
	}
	laid, err := c.layOut(ctx, in, log)
	if err != nil {
		return err
	}
	if err := c.pass(laid, log); err != nil {
		return fmt.Errorf("%w: %w", runnerimage.ErrCannotRun, err)
	}
	c.warn(laid, log)
	if names := idle(c.Job); len(names) > 0 {
		log.Warning("The inputs " + strings.Join(names, ", ") + " mean nothing in a job's container: give its user, options and variables to the container, and those of a step to the step.")
	}
	return nil
}

// layOut lays the image out, in a part of the log of its own.
func (c Container) layOut(ctx context.Context, in Inputs, log *Log) (*runnerimage.Laid, error) {
	defer log.Group("Lay out " + in.Settings.Image.String())()
	cfg := c.config(in, toolStore(c.Job, c.Config.Root), log.Text(), log.Mask)
	return runnerimage.Join(ctx, cfg, func(s *runnerimage.Settings) error {
		client, err := runnerimage.CloudClient(cfg)
		if err != nil {
			return err
		}
		err = in.LogIn(ctx, c.Job, log, client)
		s.Credentials, s.CredentialsRegistry = in.Settings.Credentials, in.Settings.CredentialsRegistry
		return err
	})
}

// config is what a layout needs. store is where content is kept between jobs,
// unless the settings say so.
func (c Container) config(in Inputs, store string, log io.Writer, mask func(string)) runnerimage.Config {
	cfg := c.Config
	cfg.Settings, cfg.Log, cfg.Mask = in.Settings, log, mask
	if cfg.Settings.Store == "" {
		cfg.Settings.Store = store
	}
	for name, value := range c.Job {
		cfg.Environ = append(cfg.Environ, name+"="+value)
	}
	return cfg
}

// pass writes what later steps get.
func (c Container) pass(laid *runnerimage.Laid, log *Log) error {
	image := laid.Config.Config.Env
	plan := NewPlan(image, c.Job)
	files := NewFiles(c.Job)
	files.Open = c.Open
	err := errors.Join(
		files.AddPath(plan.Path...),
		files.SetEnv(plan.Env...),
		files.SetOutputs(append(Outputs(laid.Summary), Pair{OutputRootFS, c.Config.Root})...),
	)
	if err != nil {
		return err
	}
	plan.Report(log)
	// These help people and git; a job can do without them.
	for _, err := range []error{
		files.AddSummary(Markdown(laid.Summary)),
		files.AddGit(PlanGit(image, c.Job, HasGit(os.DirFS(c.Config.Root), image))),
	} {
		if err != nil {
			log.Warning(err.Error())
		}
	}
	return nil
}

// warn tells in what steps here differ from those in a container of the image.
func (c Container) warn(laid *runnerimage.Laid, log *Log) {
	root, user := c.Config.Root, laid.Config.Config.User
	uid, err := process.UserID(root, user)
	if err != nil {
		log.Warning(err.Error())
	} else if notice, ok := UserNotice(user, uid, c.UID); ok {
		log.Warning(notice.Reason)
	}
	if why := nodeLack(os.DirFS(root), root, runtime.GOARCH); why != "" {
		log.Warning(why)
	}
}

// nodeLack says why JavaScript actions do not run in the image at root, "" if
// they do. GitHub has a node for Alpine on amd64 alone.
func nodeLack(files fs.FS, root, arch string) string {
	if _, err := fs.Stat(files, "__e"); err != nil {
		return "" // it brings none along here
	}
	release, _ := fs.ReadFile(files, "etc/os-release")
	alpine := strings.Contains("\n"+string(release), "\nID=alpine")
	lack := libc.Node(root)
	switch {
	case lack == "", alpine && arch == "amd64":
		return ""
	case alpine:
		lack = "GitHub has no node for Alpine on " + libc.Lack(arch)
	}
	return "JavaScript actions do not run after this step: " + string(lack) + ". Use run: steps, or a runner image that brings along what is missing (see JavaScript actions in its README)."
}

// ExitCode is the exit code that tells err.
func ExitCode(err error) int {
	if errors.Is(err, oidc.ErrUnreachable) {
		return runnerimage.ExitNetwork
	}
	return runnerimage.ExitCode(err)
}
