package toc

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// The columns of a table's entries. What belongs together is kept together,
// because it is alike and so compresses well.
const (
	headColumn      = iota // a byte for each entry: its type and what other columns have of it
	sharedColumn           // how many bytes of the name are those of the name before
	lengthColumn           // how many bytes are not
	nameColumn             // and which
	linkColumn             // length and bytes
	attributeColumn        // mode, owner, group
	deviceColumn           // major, minor
	timeColumn             // seconds since the time before; nanoseconds
	sizeColumn             // of Regular entries
	leadColumn             // of Regular entries with content
	xattrColumn            // count; of each length and bytes of name and value

	columnCount
)

// columns are the encoded entries.
type columns [columnCount][]byte

// A head is a layer.Type and flags.
const (
	typeMask       = 0x0f
	withAttributes = 0x10 // mode, owner and group are not those before
	withTime       = 0x20 // the time is not the one before
	withXattrs     = 0x40
	unknownFlags   = 0x80
)

// tarBlock is the size that entries and content of a tar archive are padded to.
const tarBlock = 512

// previous is what an entry is told in terms of: of the entry before, except
// that entries without a thing leave that of an earlier one.
type previous struct {
	name     string
	mode     uint32
	uid, gid uint32
	sec      int64
	nsec     int64
	size     int64 // of the content, if there is any
}

func (p *previous) sameOwner(e *layer.Entry) bool {
	return e.Mode == p.mode && e.UID == p.uid && e.GID == p.gid
}

func isWhiteout(t layer.Type) bool { return t == layer.Whiteout || t == layer.Opaque }
func isDevice(t layer.Type) bool   { return t == layer.CharDevice || t == layer.BlockDevice }
func isLink(t layer.Type) bool     { return t == layer.Symlink || t == layer.HardLink }

// clip returns the columns as they are, whatever is appended later.
func (cs columns) clip() columns {
	for i := range cs {
		cs[i] = slices.Clip(cs[i])
	}
	return cs
}

func (cs *columns) uvarint(column int, n uint64) {
	cs[column] = binary.AppendUvarint(cs[column], n)
}

func (cs *columns) text(column int, s string) {
	cs.uvarint(column, uint64(len(s)))
	cs[column] = append(cs[column], s...)
}

// append adds an entry that is in order.
func (cs *columns) append(last *previous, e *layer.Entry, lead int64) {
	head := byte(e.Type)
	cs.appendName(last, e.Name)
	if isLink(e.Type) {
		cs.text(linkColumn, e.Link)
	}
	if !isWhiteout(e.Type) {
		if !last.sameOwner(e) {
			head |= withAttributes
			last.mode, last.uid, last.gid = e.Mode, e.UID, e.GID
			cs.uvarint(attributeColumn, uint64(e.Mode))
			cs.uvarint(attributeColumn, uint64(e.UID))
			cs.uvarint(attributeColumn, uint64(e.GID))
		}
		if sec, nsec := e.ModTime.Unix(), int64(e.ModTime.Nanosecond()); sec != last.sec || nsec != last.nsec {
			head |= withTime
			cs[timeColumn] = binary.AppendVarint(cs[timeColumn], sec-last.sec)
			cs.uvarint(timeColumn, uint64(nsec))
			last.sec, last.nsec = sec, nsec
		}
	}
	if isDevice(e.Type) {
		cs.uvarint(deviceColumn, uint64(e.Major))
		cs.uvarint(deviceColumn, uint64(e.Minor))
	}
	if e.Type == layer.Regular {
		cs.uvarint(sizeColumn, uint64(e.Size))
		if e.Size > 0 {
			cs.uvarint(leadColumn, packLead(lead, last.size))
			last.size = e.Size
		}
	}
	if len(e.Xattrs) > 0 {
		head |= withXattrs
		cs.appendXattrs(e.Xattrs)
	}
	cs[headColumn] = append(cs[headColumn], head)
}

func (cs *columns) appendName(last *previous, name string) {
	n := 0
	for n < len(name) && n < len(last.name) && name[n] == last.name[n] {
		n++
	}
	cs.uvarint(sharedColumn, uint64(n))
	cs.uvarint(lengthColumn, uint64(len(name)-n))
	cs[nameColumn] = append(cs[nameColumn], name[n:]...)
	last.name = name
}

func (cs *columns) appendXattrs(all map[string]string) {
	cs.uvarint(xattrColumn, uint64(len(all)))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		cs.text(xattrColumn, name)
		cs.text(xattrColumn, all[name])
	}
}

// padding is what follows content of this size in a tar archive.
func padding(size int64) int64 { return -size & (tarBlock - 1) }

// packLead counts the blocks of a lead behind the padding of the content
// before. 0 is not told: content has a header at least.
func packLead(lead, before int64) uint64 {
	if lead == 0 {
		return 0
	}
	return uint64(lead-padding(before)) / tarBlock
}

func unpackLead(blocks, before int64) int64 {
	if blocks == 0 {
		return 0
	}
	return padding(before) + blocks*tarBlock
}
