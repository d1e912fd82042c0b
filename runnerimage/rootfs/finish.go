package rootfs

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// Finish completes the tree once all layers are written: with AtOnce it lets
// it appear, then come symlinks around mounts, then the attributes of
// directories, children before parents, because whatever is made in a
// directory changes its time.
func (w *Writer) Finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued = true // content may have followed since
	w.drain()
	if err := w.err(); err != nil {
		return err
	}
	if w.root.opts.AtOnce {
		if err := w.appear(); err != nil {
			return err
		}
	}
	if err := w.graftAll(); err != nil {
		return err
	}
	if err := w.addDefaults(); err != nil {
		return err
	}
	w.front.hands.drop()
	if err := w.root.removeSpare(); err != nil {
		return err
	}
	if err := w.dressDirectories(func(path string) bool { return !w.renamed(path) || w.touched[path] }); err != nil {
		return err
	}
	for _, point := range slices.Sorted(maps.Keys(w.volumes)) {
		if err := w.volumes[point].finish(); err != nil {
			return failed("fill volume", point, err)
		}
	}
	if more := w.failure.warnings - warningsTold; more > 0 {
		w.root.opts.Warn(fmt.Sprintf("%d more warnings like these were left out", more))
	}
	return nil
}

// dressDirectories gives those of the tree's directories their attributes that
// which picks.
func (w *Writer) dressDirectories(which func(path string) bool) error {
	var err error
	w.tree.Directories(func(path string, e *layer.Entry) {
		if err == nil && which(path) {
			err = w.dressDirectory(path, e)
		}
	})
	return err
}

// dressDirectory gives one directory its attributes. The root itself keeps
// those it has: the engine makes it 0755 and root's, whatever the image says
// (seen with Docker 20.10 on overlay2).
func (w *Writer) dressDirectory(path string, e *layer.Entry) error {
	k, volume := w.places.of(path)
	if path == "" || w.moved[path] || k != free && k != leading && k != filled {
		return nil
	}
	at := place{w.root.realm, path}
	if w.renamed(path) && !w.appeared {
		at.dir = w.root.withheld(path)
	}
	if volume != "" {
		at = place{w.volumes[volume].realm, ""}
		if k != filled {
			at.dir = path[len(volume)+1:]
		}
	}
	fd, err := at.realm.open(at.dir, unix.O_RDONLY)
	if err != nil {
		return failed("open directory", path, err)
	}
	defer unix.Close(fd)
	if err := w.dressNew(node{fd: fd}, e, path); err != nil || k != filled {
		return err
	}
	// Children come first, so the volume is complete but for its time, which
	// the end of the marker changes.
	if err := w.volumes[volume].finish(); err != nil {
		return failed("fill volume", path, err)
	}
	return failedNil("set time of", path, node{fd: fd}.setTime(e.ModTime))
}
