// Package state keeps what a container must remember of its layout between
// two starts: one small JSON file on the container's own file system, beside
// the runner. In comes a Layout, out goes the same Layout after a restart, a
// kill or a crash.
//
// The file is replaced whole (temporary name, sync, rename), so a reader sees
// the former or the new Layout and never a torn one. It is readable by
// everyone, because a restart as another user, `docker exec` and the health
// check read it too, and so it must never hold a secret.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// version is raised whenever an older runner could misread the file.
const version = 1

// Phase says how far a layout came.
type Phase string

const (
	// None: nothing was written; the bare runner image stands.
	None Phase = ""
	// Writing: a layout began and did not end. What stands in the root is of
	// no use; Found says what was there before.
	Writing Phase = "writing"
	// Done: the image is laid out completely.
	Done Phase = "done"
)

// Layout is what is known of the tree in the container's root.
type Layout struct {
	Version int   `json:"version"`
	Phase   Phase `json:"phase"`
	// Found are the paths that were in the root before the first layout and
	// are not of the runner image: made by the engine or by a derived image.
	// An interrupted layout is cleared down to them.
	Found []string `json:"found,omitempty"`
	// Image is the reference as it was given, Digest the manifest's digest.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Config is the image's config blob, byte for byte.
	Config json.RawMessage `json:"config,omitempty"`
	// User and WorkDir are the settings that replace the image's, CapDrop the
	// capabilities that the program went without, Own the names of the
	// runner's settings: all that a process which is started beside the
	// program needs to know of them.
	User    string   `json:"user,omitempty"`
	WorkDir string   `json:"workdir,omitempty"`
	CapDrop []string `json:"cap_drop,omitempty"`
	Own     []string `json:"own,omitempty"`
	// Summary tells what the layout did, for whoever asks later.
	Summary json.RawMessage `json:"summary,omitempty"`
}

// Load reads the layout recorded at path; without a file nothing was laid
// out yet.
func Load(path string) (Layout, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Layout{}, nil
	}
	if err != nil {
		return Layout{}, fmt.Errorf("read the layout's state: %w", err)
	}
	var l Layout
	if err := json.Unmarshal(data, &l); err != nil {
		return Layout{}, fmt.Errorf("read the layout's state %s: %w", path, err)
	}
	if l.Version != version {
		return Layout{}, fmt.Errorf("the layout's state %s is of version %d, this runner knows %d: start a new container", path, l.Version, version)
	}
	return l, nil
}

// Save records l at path.
func (l Layout) Save(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("record the layout's state: %w", err)
		}
	}()
	l.Version = version
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".state-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	// The state is read by whatever user a restart, an exec or a health check
	// runs as.
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
