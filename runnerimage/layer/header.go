package layer

import (
	"archive/tar"
	"fmt"
	"math"
	"path"
	"strings"
	"time"
)

const (
	maxName  = 255       // NAME_MAX
	maxPath  = 4095      // PATH_MAX without its NUL
	maxValue = 64 << 10  // XATTR_SIZE_MAX
	maxMajor = 1<<12 - 1 // of a Linux device number
	maxMinor = 1<<20 - 1

	whiteoutPrefix = ".wh."
	metaPrefix     = ".wh..wh."
	opaqueName     = ".wh..wh..opq"

	xattrPrefix = "SCHILY.xattr."
)

// FromHeader is the entry that a header asks for, or nil if it asks for
// nothing: global headers, housekeeping of aufs, whatever would replace the
// root. Readers make their entries with it, so that a header put together from
// a published TOC gives the same Entry as the layer does, or an ErrEntry as
// well. The Entry shares no memory with the header.
func FromHeader(h *tar.Header) (*Entry, error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil, nil
	}
	e, err := translate(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEntry, shown(h.Name), err)
	}
	return e, nil
}

func translate(h *tar.Header) (*Entry, error) {
	name := bound(h.Name)
	dir, base := path.Split(name)
	if strings.HasPrefix(base, whiteoutPrefix) {
		return whiteout(strings.TrimSuffix(dir, "/"), base)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	e := &Entry{Name: strings.Clone(name), Mode: uint32(h.Mode & 0o7777), ModTime: modTime(h)}
	if err := e.setType(h); err != nil {
		return nil, err
	}
	// Docker and containerd pass over whatever would replace the root.
	if e.Name == "" && e.Type != Directory {
		return nil, nil
	}
	// Overlay takes the device 0:0 for a whiteout, so Docker does.
	if e.Type == CharDevice && e.Major == 0 && e.Minor == 0 {
		return &Entry{Name: e.Name, Type: Whiteout}, nil
	}
	var err error
	if e.UID, err = id("owner", h.Uid); err != nil {
		return nil, err
	}
	if e.GID, err = id("group", h.Gid); err != nil {
		return nil, err
	}
	e.Xattrs, err = xattrs(h.PAXRecords)
	return e, err
}

// whiteout is the meaning of a name that starts with ".wh.", whatever the
// type of its entry.
func whiteout(dir, base string) (*Entry, error) {
	switch {
	case base == opaqueName:
		if err := checkName(dir); err != nil {
			return nil, err
		}
		return &Entry{Name: strings.Clone(dir), Type: Opaque}, nil
	case strings.HasPrefix(base, metaPrefix):
		return nil, nil // housekeeping of aufs
	}
	hidden := base[len(whiteoutPrefix):]
	if hidden == "" || hidden == "." || hidden == ".." {
		return nil, fmt.Errorf("whiteout that hides the name %q", hidden)
	}
	name := path.Join(dir, hidden)
	if err := checkName(name); err != nil {
		return nil, err
	}
	return &Entry{Name: strings.Clone(name), Type: Whiteout}, nil
}

// setType sets the type and what belongs to it alone.
func (e *Entry) setType(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		e.Type, e.Size = Regular, h.Size
		return nil
	case tar.TypeDir:
		e.Type = Directory
		return nil
	case tar.TypeFifo:
		e.Type = FIFO
		return nil
	case tar.TypeSymlink:
		e.Type, e.Link = Symlink, strings.Clone(h.Linkname)
		return checkTarget(e.Link)
	case tar.TypeLink:
		e.Type, e.Link = HardLink, strings.Clone(bound(h.Linkname))
		if e.Link == "" {
			return fmt.Errorf("hard link to the root")
		}
		return checkName(e.Link)
	case tar.TypeChar:
		e.Type = CharDevice
		return e.setDevice(h)
	case tar.TypeBlock:
		e.Type = BlockDevice
		return e.setDevice(h)
	}
	return fmt.Errorf("unknown type flag %q", h.Typeflag)
}

func (e *Entry) setDevice(h *tar.Header) error {
	if h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor {
		return fmt.Errorf("device number %d:%d is out of range", h.Devmajor, h.Devminor)
	}
	e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	return nil
}

// bound cleans a name as if it were looked up from the root by somebody who
// cannot leave it: "/a", "./a", "../a" and "b/../a" are "a". containerd does
// the same, Docker refuses the third.
func bound(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

func checkName(name string) error {
	if len(name) > maxPath {
		return fmt.Errorf("name of %d bytes, more than %d", len(name), maxPath)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("name with a NUL byte")
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxName {
			return fmt.Errorf("element of %d bytes in a name, more than %d", len(element), maxName)
		}
	}
	return nil
}

// checkTarget checks a symlink's target, whose elements the kernel looks at
// only when it follows them.
func checkTarget(target string) error {
	switch {
	case target == "":
		return fmt.Errorf("symlink without a target")
	case len(target) > maxPath:
		return fmt.Errorf("symlink target of %d bytes, more than %d", len(target), maxPath)
	case strings.IndexByte(target, 0) >= 0:
		return fmt.Errorf("symlink target with a NUL byte")
	}
	return nil
}

// id refuses 4294967295 too, which means "leave it" to chown.
func id(what string, n int) (uint32, error) {
	if n < 0 || int64(n) > math.MaxUint32-1 {
		return 0, fmt.Errorf("%s %d is out of range", what, n)
	}
	return uint32(n), nil
}

// modTime is what Docker sets: the epoch for what is before it or beyond
// 64-bit nanoseconds (the year 2262), except that symlinks keep early times.
func modTime(h *tar.Header) time.Time {
	t, earliest := h.ModTime, time.Unix(0, 0)
	if h.Typeflag == tar.TypeSymlink {
		earliest = time.Unix(0, math.MinInt64)
	}
	if t.Before(earliest) || t.After(time.Unix(0, math.MaxInt64)) {
		t = time.Unix(0, 0)
	}
	return t.UTC()
}

// xattrs takes the attributes as GNU tar, Docker and Go write them. Those of
// trusted.* belong to the storage of whoever made the layer: containerd drops
// them as well, and a container may not set them. libarchive's own spelling is
// read by no engine.
func xattrs(records map[string]string) (map[string]string, error) {
	var all map[string]string
	for key, value := range records {
		name, ok := strings.CutPrefix(key, xattrPrefix)
		if !ok || strings.HasPrefix(name, "trusted.") {
			continue
		}
		if name == "" || len(name) > maxName || len(value) > maxValue || strings.IndexByte(name, 0) >= 0 {
			return nil, fmt.Errorf("extended attribute %s of %d bytes", shown(name), len(value))
		}
		if all == nil {
			all = make(map[string]string)
		}
		// Copies, lest they keep the whole extended header alive.
		all[strings.Clone(name)] = strings.Clone(value)
	}
	return all, nil
}

// metadata is about what an entry costs beyond its fixed size.
func (e *Entry) metadata() int64 {
	n := len(e.Name) + len(e.Link)
	for name, value := range e.Xattrs {
		n += len(name) + len(value)
	}
	return int64(n)
}

// shown quotes a name for an error, cut to what a person can read.
func shown(name string) string {
	const most = 200
	if len(name) > most {
		return fmt.Sprintf("%q…", name[:most])
	}
	return fmt.Sprintf("%q", name)
}
