// Package treediff compares file trees. A Snapshot of a directory, or of a tar
// stream, goes in; the list of what differs comes out, one line per path and
// field. A Snapshot reads everything of a tree that an image can say: names,
// types, modes, owners, contents, link targets, hard-link groups, extended
// attributes, device numbers and modification times.
//
// A Snapshot only reads, but reading changes access times. It promises
// nothing over a tree that changes while it is read.
package treediff

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Node is one path of a tree.
type Node struct {
	// Path is relative to the root of the tree, which is ".".
	Path string
	// Type is "file", "dir", "symlink", "char", "block", "fifo" or "socket".
	Type string
	// Mode holds the permission bits with set-uid, set-gid and sticky.
	Mode uint32
	UID  uint32
	GID  uint32
	// Size and Digest (sha256, hexadecimal) describe a file's content.
	Size   int64
	Digest string
	// Target is a symlink's target.
	Target string
	// Group is the first path, in byte order, of all paths of the snapshot
	// that are hard links of one another; "" when there is no other.
	Group string
	// Major and Minor are a device's numbers.
	Major uint32
	Minor uint32
	// Xattrs holds the extended attributes by full name.
	Xattrs map[string]string
	// MTime is the modification time in nanoseconds since the epoch.
	MTime int64
}

// Field names one thing that Diff compares, to leave it out.
type Field string

const (
	Mode    Field = "mode"
	Owner   Field = "owner"
	Content Field = "content"
	Target  Field = "target"
	Group   Field = "group"
	Device  Field = "device"
	Xattrs  Field = "xattrs"
	MTime   Field = "mtime"
	// MTimeNanos leaves out the part below a second, which `docker export`
	// cuts off.
	MTimeNanos Field = "mtime nanoseconds"
)

// Diff says how got differs from want, in order of path; nothing means equal.
// Both must be in order of path, as Snapshot, FromTar and Read return them.
func Diff(want, got []Node, ignore ...Field) []string {
	var lines []string
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0].Path < got[0].Path:
			lines = append(lines, fmt.Sprintf("%q: missing (%s)", want[0].Path, want[0].Type))
			want = want[1:]
		case len(want) == 0 || got[0].Path < want[0].Path:
			lines = append(lines, fmt.Sprintf("%q: extra (%s)", got[0].Path, got[0].Type))
			got = got[1:]
		default:
			for _, difference := range compare(want[0], got[0], ignore) {
				lines = append(lines, fmt.Sprintf("%q: %s", want[0].Path, difference))
			}
			want, got = want[1:], got[1:]
		}
	}
	return lines
}

// compare lists the differing fields of two nodes of one path.
func compare(want, got Node, ignore []Field) []string {
	if want.Type != got.Type {
		return []string{fmt.Sprintf("type: want %s, got %s", want.Type, got.Type)}
	}
	var lines []string
	check := func(field Field, want, got string) {
		if want != got && !slices.Contains(ignore, field) {
			lines = append(lines, fmt.Sprintf("%s: want %s, got %s", field, want, got))
		}
	}
	check(Mode, octal(want.Mode), octal(got.Mode))
	check(Owner, fmt.Sprintf("%d:%d", want.UID, want.GID), fmt.Sprintf("%d:%d", got.UID, got.GID))
	check(Content, fmt.Sprintf("%d bytes %.12s", want.Size, want.Digest), fmt.Sprintf("%d bytes %.12s", got.Size, got.Digest))
	check(Target, strconv.Quote(want.Target), strconv.Quote(got.Target))
	check(Group, strconv.Quote(want.Group), strconv.Quote(got.Group))
	check(Device, fmt.Sprintf("%d:%d", want.Major, want.Minor), fmt.Sprintf("%d:%d", got.Major, got.Minor))
	check(Xattrs, attributes(want.Xattrs), attributes(got.Xattrs))
	if slices.Contains(ignore, MTimeNanos) {
		want.MTime -= nanos(want.MTime)
		got.MTime -= nanos(got.MTime)
	}
	check(MTime, stamp(want.MTime), stamp(got.MTime))
	return lines
}

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode) }

// nanos is the part of a time below its second, also before the epoch.
func nanos(t int64) int64 { return int64(time.Unix(0, t).Nanosecond()) }

func stamp(t int64) string { return time.Unix(0, t).UTC().Format(time.RFC3339Nano) }

func attributes(xattrs map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		fmt.Fprintf(&b, "%s=%x ", name, xattrs[name])
	}
	return "[" + strings.TrimSuffix(b.String(), " ") + "]"
}

// inOrder sorts nodes by path and names the hard-link groups: file says which
// nodes are one file.
func inOrder[K comparable](nodes []Node, file map[string]K) []Node {
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	members := map[K][]int{}
	for i, node := range nodes {
		if key, ok := file[node.Path]; ok {
			members[key] = append(members[key], i)
		}
	}
	for _, group := range members {
		for _, i := range group {
			if len(group) > 1 {
				nodes[i].Group = nodes[group[0]].Path
			}
		}
	}
	return nodes
}
