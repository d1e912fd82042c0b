package toc

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// The oracle does what Docker does, in the plainest way: each layer is
// unpacked into a directory of its own (upper), as if it were alone, and then
// the uppers are laid over each other. It shares no code with Tree.

// upper is one layer, unpacked.
type upper struct {
	things map[string]*made
	// masks are the paths where a non-directory is or was, white those of
	// whiteouts: both hide all lower layers there and beneath. opaque are the
	// directories that hide all beneath.
	masks, white, opaque map[string]bool
}

// made is a thing in an upper. For a directory, entry is nil if it is
// implied.
type made struct {
	directory bool
	entry     *layer.Entry
	// dress is the last hard link to it, which gives the attributes.
	dress *layer.Entry
	// wants is the path that a hard link names which the upper lacks.
	wants  string
	wanted bool
}

func newUpper() *upper {
	return &upper{things: map[string]*made{}, masks: map[string]bool{}, opaque: map[string]bool{}, white: map[string]bool{}}
}

var errOracle = errors.New("oracle refuses")

// lookup resolves a name by restarting at the root after every symlink.
func (u *upper) lookup(name string, follow bool) (string, error) {
	elems := strings.Split(name, "/")
	for links := 0; ; {
		at, again := []string{}, false
		for i, elem := range elems {
			if elem == "" || elem == "." {
				continue
			}
			if elem == ".." {
				at = at[:max(len(at)-1, 0)]
				continue
			}
			here := strings.Join(append(slices.Clone(at), elem), "/")
			m := u.things[here]
			last := i == len(elems)-1 && !follow
			if m == nil || m.directory || last {
				at = append(at, elem)
				continue
			}
			if m.entry == nil || m.entry.Type != layer.Symlink {
				return "", errOracle
			}
			if links++; links > 40 {
				return "", errOracle
			}
			next := strings.Split(m.entry.Link, "/")
			if !strings.HasPrefix(m.entry.Link, "/") {
				next = append(slices.Clone(at), next...)
			}
			elems, again = append(next, elems[i+1:]...), true
			break
		}
		if !again {
			return strings.Join(at, "/"), nil
		}
	}
}

func (u *upper) mkdirs(p string) {
	for ; p != ""; p = parent(p) {
		if m := u.things[p]; m == nil {
			u.things[p] = &made{directory: true}
		}
	}
}

func within(p, dir string) bool { return dir == "" || p == dir || strings.HasPrefix(p, dir+"/") }

// removeAll removes a path of the upper as rm -r does, with the marks in it.
func (u *upper) removeAll(p string) {
	in := func(q string) bool { return within(q, p) }
	maps.DeleteFunc(u.things, func(q string, _ *made) bool { return in(q) })
	maps.DeleteFunc(u.opaque, func(q string, _ bool) bool { return in(q) })
}

// add unpacks one entry. It changes nothing if it refuses.
func (u *upper) add(e *layer.Entry) error {
	p, err := u.lookup(e.Name, e.Type == layer.Opaque)
	if err != nil {
		return err
	}
	switch e.Type {
	case layer.Opaque:
		u.mkdirs(p)
		u.opaque[p] = true
		return nil
	case layer.Whiteout:
		u.mkdirs(parent(p))
		u.white[p] = true
		return nil
	case layer.Directory:
		u.mkdirs(parent(p))
		if m := u.things[p]; m != nil && !m.directory {
			u.removeAll(p)
		}
		u.things[p] = &made{directory: true, entry: e}
		delete(u.white, p)
		return nil
	}
	if p == "" {
		return errOracle
	}
	m := &made{entry: e}
	if e.Type == layer.HardLink {
		// The path is cleared before the target is looked up.
		cleared := newUpper()
		maps.Copy(cleared.things, u.things)
		cleared.removeAll(p)
		to, err := cleared.lookup(e.Link, false)
		if err != nil {
			return err
		}
		if m = cleared.things[to]; m == nil || m.directory {
			m = &made{wants: to, wanted: true}
		}
		m.dress = e
	}
	u.mkdirs(parent(p))
	u.removeAll(p)
	u.things[p] = m
	u.masks[p] = true
	return nil
}

// seen is a thing in the overlay.
type seen struct {
	rank int
	made *made
	// dress is the entry that a directory's attributes are from, or nil.
	dress *layer.Entry
}

// overlay lays uppers over each other. What a wanting hard link names is
// looked up in the result. Dresses are the hard links that files have their
// attributes from.
func overlay(uppers []*upper) (tree, dresses map[string]*layer.Entry, err error) {
	view := map[string]seen{"": {made: &made{directory: true}}}
	for rank, u := range uppers {
		for p := range view {
			if p != "" && u.hides(p) {
				delete(view, p)
			}
		}
		if u.white[""] {
			view[""] = seen{made: &made{directory: true}}
		}
		for p, m := range u.things {
			s := seen{rank: rank, made: m}
			if m.directory {
				if s.dress = m.entry; s.dress == nil {
					s.dress = view[p].dress // of a directory, or none
				}
			}
			view[p] = s
		}
	}
	dresses = map[string]*layer.Entry{}
	for p, s := range view {
		if m := s.made; m.dress != nil && !m.wanted {
			dresses[p] = m.dress
		}
	}
	tree, err = settle(view)
	return tree, dresses, err
}

// hides reports whether the upper hides what lower layers have at p.
func (u *upper) hides(p string) bool {
	for q := p; ; q = parent(q) {
		if u.masks[q] || u.white[q] || q != p && q != "" && u.opaque[q] {
			return true
		}
		if q == "" {
			return false
		}
	}
}

func settle(view map[string]seen) (map[string]*layer.Entry, error) {
	tree := map[string]*layer.Entry{}
	for p, s := range view {
		switch {
		case s.made.wanted:
		case !s.made.directory:
			tree[p] = s.made.entry
		case s.dress != nil:
			tree[p] = s.dress
		case p != "":
			tree[p] = &layer.Entry{Type: layer.Directory, Mode: 0o755}
		}
	}
	linked := map[string]*layer.Entry{}
	for p, s := range view {
		if !s.made.wanted {
			continue
		}
		e := tree[s.made.wants]
		if e == nil || e.Type == layer.Directory || view[s.made.wants].rank > s.rank {
			return nil, errOracle
		}
		linked[p] = e
	}
	maps.Copy(tree, linked)
	return tree, nil
}
