package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/store"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// checkStore looks at the store, and writes and locks a file in it. It makes
// none.
func checkStore(path string) []finding {
	dir, err := store.Open(path, store.Options{ReadOnly: true})
	switch {
	case errors.Is(err, store.ErrNoStore):
		return []finding{{ok, "store", path + ": none yet, the first `run` makes it", ""}}
	case errors.Is(err, store.ErrVersion):
		return []finding{{bad, "store", err.Error(), ""}}
	case err != nil:
		return []finding{{bad, "store", err.Error(), "give a directory of its own that you may read, with --store or CLIPPER_STORE"}}
	}
	items, err := dir.List()
	if err != nil {
		return []finding{{bad, "store", err.Error(), ""}}
	}
	place, err := lookAtPlace(path)
	if err != nil {
		return []finding{{bad, "store", err.Error(), ""}}
	}
	seen := storeSeen{path: path, place: place}
	for _, item := range items {
		seen.bytes += item.Size
	}
	if dir, seen.refused = store.Open(path, store.Options{}); seen.refused == nil {
		seen.trial, seen.refused = dir.Try()
	}
	return seen.judge()
}

// place is the file system that a directory is on.
type place struct {
	kind    string
	options []string
	free    int64
}

func lookAtPlace(dir string) (p place, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return p, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil {
		return p, err
	}
	deepest := ""
	for _, m := range mounts {
		if len(m.Mountpoint) >= len(deepest) { // of two at one place, the later covers the other
			deepest, p.kind, p.options = m.Mountpoint, m.FSType, strings.Split(m.VFSOptions, ",")
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return p, fmt.Errorf("%s: %w", dir, err)
	}
	p.free = int64(st.Bavail) * int64(st.Bsize)
	return p, nil
}

// network says whether every sync is a wait for another machine.
func (p place) network() bool {
	return strings.HasPrefix(p.kind, "nfs") || strings.HasPrefix(p.kind, "fuse.") || slices.Contains([]string{"cifs", "smb3", "ceph", "9p", "lustre"}, p.kind)
}

// storeSeen is what the doctor has seen of a store.
type storeSeen struct {
	path  string
	place place
	bytes int64

	trial   store.Trial
	refused error // of the trial
}

// slowSync is how long a sync may take on a network file system before it is
// worth a word. A start waits for a few of them per layer that it pulls.
const slowSync = 100 * time.Millisecond

func (s storeSeen) judge() []finding {
	what := fmt.Sprintf("%s: format %d, %s, on %s with %s free", s.path, store.FormatVersion,
		runnerimage.Size(s.bytes), s.place.kind, runnerimage.Size(s.place.free))
	switch {
	case errors.Is(s.refused, store.ErrReadOnly):
		return []finding{{warn, "store", what + ", read-only", "it is of use as it is, but nothing is added: mount it writable, or run as its owner"}}
	case errors.Is(s.refused, store.ErrNoSpace):
		return []finding{{warn, "store", what + ": " + s.refused.Error(), "clipper-runner store prune --max SIZE, or free space there"}}
	case s.refused != nil:
		return []finding{{warn, "store", what + ": " + s.refused.Error(), "without flock nothing is added: put it on another file system"}}
	}
	found := []finding{{ok, "store", what + ", writable", ""}}
	if s.place.free < littleSpace {
		found = append(found, finding{warn, "store", s.path + ": little space is left for it", "free some, or set CLIPPER_STORE_MAX"})
	}
	if local := slices.ContainsFunc(s.place.options, localLock); local || !s.trial.Excludes {
		found = append(found, finding{warn, "store", s.path + ": locks do not hold between hosts or processes here", "use it from one host at a time; on NFS, mount it without nolock and local_lock"})
	}
	if s.place.network() && s.trial.Sync > slowSync {
		found = append(found, finding{warn, "store", fmt.Sprintf("%s: a small file takes %s until it is safe", s.path, s.trial.Sync.Round(time.Millisecond)), "every layer that is pulled waits for that: a file system nearer by is faster"})
	}
	return found
}

// localLock says of a mount option of NFS that it keeps flocks on this host.
func localLock(option string) bool {
	return option == "nolock" || option == "local_lock=flock" || option == "local_lock=all"
}
