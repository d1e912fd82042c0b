package rootfs

import (
	"maps"
	"strings"
)

// kind says why a path is not simply the image's.
type kind uint8

const (
	// free paths are the image's.
	free kind = iota
	// mounted paths are a mount point, or lie beneath one.
	mounted
	// kept paths are one of Options.Keep, or lie beneath one.
	kept
	// overridden paths were found, and the engine would put them above the
	// image as well.
	overridden
	// leading paths are directories that must stay, because they lead to a
	// path of another kind or to something found.
	leading
	// filled paths are the root of a volume that is filled from the image.
	filled
)

// overrides are the paths that Docker puts above the image in a layer of its
// own; its other ones are mounts.
var overrides = []string{".dockerenv", "etc/mtab"}

// places tells the kind of every path.
type places struct {
	kinds map[string]kind
	// first holds the first elements of all keys of kinds: most paths of an
	// image share none of them and need no closer look.
	first map[string]bool
}

func newPlaces() *places { return &places{kinds: map[string]kind{}, first: map[string]bool{}} }

// set gives path a kind and marks what leads there.
func (p *places) set(path string, k kind) {
	p.kinds[path] = k
	p.lead(path)
}

// lead marks the parents of path as directories that must stay.
func (p *places) lead(path string) {
	head, _, _ := strings.Cut(path, "/")
	p.first[head] = true
	for path, _ = split(path); path != ""; path, _ = split(path) {
		if p.kinds[path] == free {
			p.kinds[path] = leading
		}
	}
}

// of returns the kind of path, and the volume to fill that path is in or is
// the root of, or "".
func (p *places) of(path string) (k kind, volume string) {
	head, _, _ := strings.Cut(path, "/")
	if !p.first[head] {
		return free, ""
	}
	for end := indexFrom(path, 0); ; end = indexFrom(path, end+1) {
		switch at := p.kinds[path[:end]]; at {
		case free:
			if k == leading || k == filled {
				k = free
			}
		case leading:
			if k == free || k == filled {
				k = leading
			}
		case filled:
			k, volume = filled, path[:end]
		default:
			k, volume = at, ""
		}
		if end == len(path) {
			return k, volume
		}
	}
}

// indexFrom returns the index of the first slash of path at or after start,
// or its length.
func indexFrom(path string, start int) int {
	if i := strings.IndexByte(path[start:], '/'); i >= 0 {
		return start + i
	}
	return len(path)
}

// places returns the kinds of paths, as far as they are known without looking
// into volumes.
func (r *Root) places() *places {
	p := newPlaces()
	for _, path := range r.found {
		p.lead(path)
		for _, override := range overrides {
			if path == override {
				p.set(path, overridden)
			}
		}
	}
	for point := range maps.Keys(r.mounts) {
		p.set(point, mounted)
	}
	for _, path := range r.opts.Keep {
		p.set(path, kept)
	}
	return p
}
