package toc

import (
	"fmt"
	"path"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// target carries changes out in memory, and refuses whatever a real file
// system would refuse or a tree should never ask for.
type target struct {
	paths map[string]*inode
	spare map[File]*inode
}

// inode is a thing of a target. Content is told by the entry it is from.
type inode struct {
	directory bool
	entry     *layer.Entry
	// dress has the attributes that a hard link gave last.
	dress *layer.Entry
}

func newTarget() *target {
	return &target{paths: map[string]*inode{"": {directory: true}}, spare: map[File]*inode{}}
}

func (t *target) apply(changes []Change) error {
	for _, c := range changes {
		if err := t.step(c); err != nil {
			return fmt.Errorf("%+v: %w", c, err)
		}
	}
	return nil
}

func (t *target) step(c Change) error {
	switch c.Op {
	case Mkdir:
		return t.make(c.Path, &inode{directory: true})
	case Create:
		if c.Entry == nil {
			return fmt.Errorf("no entry")
		}
		return t.make(c.Path, &inode{entry: c.Entry})
	case Stash:
		return t.keep(c.File, &inode{entry: c.Entry})
	case Unlink:
		_, err := t.remove(c.Path, false)
		return err
	case Retire:
		i, err := t.remove(c.Path, false)
		if err != nil {
			return err
		}
		return t.keep(c.File, i)
	case Rmdir:
		for p := range t.paths {
			if p != "" && parent(p) == c.Path {
				return fmt.Errorf("not empty: %s", p)
			}
		}
		_, err := t.remove(c.Path, true)
		return err
	case Link, Dress:
		i := t.spare[c.File]
		if c.From != "" {
			i = t.paths[c.From]
		}
		if i == nil || i.directory {
			return fmt.Errorf("nothing to link to")
		}
		if c.Entry != nil {
			if c.Entry.Type != i.entry.Type {
				return fmt.Errorf("attributes for another kind")
			}
			i.dress = c.Entry
		}
		if c.Op == Dress {
			return nil
		}
		return t.make(c.Path, i)
	case Release:
		if t.spare[c.File] == nil {
			return fmt.Errorf("nothing kept")
		}
		delete(t.spare, c.File)
		return nil
	}
	return fmt.Errorf("unknown")
}

func (t *target) make(p string, i *inode) error {
	if p == "" || path.Clean("/" + p)[1:] != p {
		return fmt.Errorf("not a path")
	}
	if t.paths[p] != nil {
		return fmt.Errorf("exists")
	}
	if up := t.paths[parent(p)]; up == nil || !up.directory {
		return fmt.Errorf("no parent")
	}
	t.paths[p] = i
	return nil
}

func (t *target) keep(f File, i *inode) error {
	if f == 0 || i.entry == nil || t.spare[f] != nil {
		return fmt.Errorf("cannot keep it")
	}
	t.spare[f] = i
	return nil
}

func (t *target) remove(p string, directory bool) (*inode, error) {
	i := t.paths[p]
	if i == nil || p == "" || i.directory != directory {
		return nil, fmt.Errorf("not there, or of the other kind")
	}
	delete(t.paths, p)
	return i, nil
}

func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }
