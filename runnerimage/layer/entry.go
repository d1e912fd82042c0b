package layer

import "time"

// Type is what an entry makes at its path.
type Type uint8

const (
	Regular Type = iota + 1
	Directory
	Symlink
	HardLink
	CharDevice
	BlockDevice
	FIFO
	// Whiteout hides the path of lower layers at Entry.Name, which is the
	// hidden name: the ".wh." prefix is gone.
	Whiteout
	// Opaque hides everything that lower layers have beneath the directory
	// Entry.Name, whatever its position in the layer.
	//
	// Whiteouts of both kinds have nothing but a name.
	Opaque
)

// Entry is one entry of a layer. Names are as the layer wrote them, cleaned
// and bound to the root: relative, without ".", ".." and empty elements, ""
// for the root itself, which only a Directory or Opaque may be. Symlinks among
// its parents are not resolved yet.
//
// A layer's attributes of the root reach the container with some of Docker's
// storage drivers and not with others: overlay2 keeps its own (root, 0755).
type Entry struct {
	Name string
	Type Type
	// Link is a symlink's target exactly as stored, or a hard link's target
	// as a name of the same form as Name, never the root.
	Link string
	// Mode holds the permission bits with set-uid, set-gid and sticky (07777).
	Mode     uint32
	UID, GID uint32
	// Size is the number of content bytes of a Regular entry.
	Size int64
	// ModTime is in UTC and fits 64-bit nanoseconds.
	ModTime time.Time
	// Major and Minor are a device's numbers.
	Major, Minor uint32
	// Xattrs holds extended attributes by full name ("security.capability").
	// Values are bytes and may be empty. It is nil if there are none.
	Xattrs map[string]string
}
