package runnerimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/state"
)

// Laid is an image that stands in the root.
type Laid struct {
	Summary Summary
	Config  oci.Config
}

// Join is Run in the container of a job, which several processes want to lay
// the image out in, and whose other ones wait for that: it waits for a layout
// that is under way, or does it, and plans no process. Another image than the
// one that stands, or that is on its way, is ErrSettings.
//
// prepare, if not nil, is called before the image is pulled, and not where it
// stands already; it may change the settings.
func Join(ctx context.Context, cfg Config, prepare func(*Settings) error) (*Laid, error) {
	path := layout.In(cfg.Root)
	image := cfg.Settings.Image.String()
	status, err := layout.Look(path)
	if err == nil && status.Phase == layout.Running {
		if status.Message != "" && status.Message != image {
			return nil, anotherImage(status.Message, image)
		}
		fmt.Fprintf(cfg.Log, "waiting for %s, which this container has begun to pull\n", image)
		status, err = layout.Wait(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	if status.Phase == layout.Done {
		// No rights are needed any more, and maybe none are left.
		return cfg.joined()
	}
	turn, err := layout.Take(ctx, path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, withoutRights(cfg)
	}
	if err != nil {
		return nil, err
	}
	laid, err := cfg.joinAt(ctx, turn, prepare)
	return laid, errors.Join(err, turn.End(outcome(image, err)))
}

// joinAt lays the image out, unless it stands by now.
func (cfg Config) joinAt(ctx context.Context, turn *layout.Turn, prepare func(*Settings) error) (*Laid, error) {
	before, err := state.Load(cfg.statePath())
	if err != nil {
		return nil, err
	}
	if before.Phase == state.Done {
		return cfg.joined()
	}
	if err := turn.Begin(cfg.Settings.Image.String()); err != nil {
		return nil, err
	}
	if prepare != nil {
		if err := prepare(&cfg.Settings); err != nil {
			return nil, err
		}
	}
	if _, err := layOut(ctx, cfg, before); err != nil {
		return nil, err
	}
	for _, name := range layout.Interpreters() {
		// A script that asks whether there is one must get the image's answer.
		if err := os.Remove(filepath.Join(cfg.Root, Home, "bin", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return cfg.laid()
}

// outcome is the status that a layout ends with.
func outcome(image string, err error) layout.Status {
	switch {
	case err == nil:
		return layout.Status{Phase: layout.Done, Message: image}
	case errors.Is(err, ErrOtherImage):
		return layout.Status{Phase: layout.Done}
	case errors.Is(err, context.Canceled):
		// Nobody is at work any more, so this reads as Interrupted.
		return layout.Status{Phase: layout.Running, Message: image}
	case errors.Is(err, registry.ErrDenied), errors.Is(err, credentials.ErrRefused):
		// A step may have what this process had not.
		return layout.Status{Phase: layout.NeedsToken, Message: err.Error()}
	}
	return layout.Status{Phase: layout.Failed, Message: err.Error()}
}

// ErrOtherImage is the ErrSettings of somebody who wants another image than
// the one that the container has become.
var ErrOtherImage = fmt.Errorf("%w: a container becomes one image", ErrSettings)

func anotherImage(stands, wanted string) error {
	return fmt.Errorf("%w: this one is %s, and %s is asked for: name the same image everywhere, or none in the container's env", ErrOtherImage, stands, wanted)
}

// joined says that the image stood already, and what it is.
func (cfg Config) joined() (*Laid, error) {
	laid, err := cfg.laid()
	if err == nil {
		fmt.Fprintf(cfg.Log, "%s is laid out already (%s)\n", laid.Summary.Image, laid.Summary.Digest)
	}
	return laid, err
}

// laid reads what stands in the root.
func (cfg Config) laid() (*Laid, error) {
	known, err := state.Load(cfg.statePath())
	if err != nil {
		return nil, err
	}
	digest, pinned := cfg.Settings.Image.Digest()
	if known.Image != cfg.Settings.Image.String() && !(pinned && digest.String() == known.Digest) {
		return nil, anotherImage(known.Image, cfg.Settings.Image.String())
	}
	var laid Laid
	if err := json.Unmarshal(known.Config, &laid.Config); err != nil {
		return nil, fmt.Errorf("%w: config of %s: %w", ErrCannotRun, known.Image, err)
	}
	if err := json.Unmarshal(known.Summary, &laid.Summary); err != nil {
		return nil, fmt.Errorf("what is known of the layout of %s: %w", known.Image, err)
	}
	return &laid, nil
}

// CloudClient is the client for services that are asked for credentials.
func CloudClient(cfg Config) (*http.Client, error) {
	roots, err := TrustedRoots(cfg.Settings.CACerts, cfg.Files)
	if err != nil {
		return nil, err
	}
	return cloudClient(roots), nil
}
