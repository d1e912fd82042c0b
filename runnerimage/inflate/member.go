package inflate

import (
	"hash/crc32"
	"io"
)

// Flags of a header: RFC 1952, 2.3.1. The first is a hint, and those from
// flagReserved on mean nothing yet and must not be set.
const (
	flagText = 1 << iota
	flagSum
	flagExtra
	flagName
	flagComment
	flagReserved
)

// longestString bounds a name and a comment, each with the zero at its end, as
// compress/gzip does.
const longestString = 512

// header reads the header of a member, or finds the end of the source. Of what
// it says, nothing is needed.
func (z *Reader) header() bool {
	if z.read < z.end {
		return false
	}
	if !z.want(8) {
		if z.srcErr == io.EOF {
			z.err = io.EOF
		}
		return false
	}
	z.crc = ^uint32(0) // of the header, until the content starts
	ok := z.skipHeader()
	if z.err == nil && !ok {
		z.err = ErrHeader
	}
	z.crc, z.size, z.oldest = 0, 0, z.end
	z.state = (*Reader).block
	return z.err == nil
}

func (z *Reader) skipHeader() bool {
	// Two magic bytes, the method, flags; time, effort of the compressor,
	// system. All must be there before they are judged, as for compress/gzip.
	var start [10]uint
	for i := range start {
		start[i] = z.headerByte()
	}
	flags := start[3]
	if start[0] != 0x1f || start[1] != 0x8b || start[2] != 8 {
		return false
	}
	if flags&flagExtra != 0 {
		n := z.headerByte()
		n |= z.headerByte() << 8
		for ; n > 0; n-- {
			z.headerByte()
		}
	}
	if flags&flagName != 0 && !z.skipString() {
		return false
	}
	if flags&flagComment != 0 && !z.skipString() {
		return false
	}
	if sum := uint(^z.crc & 0xffff); flags&flagSum != 0 && z.take(16) != sum {
		return false
	}
	return flags < flagReserved
}

func (z *Reader) skipString() bool {
	for range longestString {
		if z.headerByte() == 0 {
			return true
		}
	}
	return false
}

func (z *Reader) headerByte() uint {
	b := z.take(8)
	z.crc = crc32.IEEETable[byte(z.crc)^byte(b)] ^ z.crc>>8
	return b
}

// trailer compares the sums behind a member's last block.
func (z *Reader) trailer() bool {
	if z.read < z.end && !z.has(9) {
		return false
	}
	z.sum()
	z.take(z.nbits % 8)
	crc := z.take(16)
	crc |= z.take(16) << 16
	size := z.take(16)
	size |= z.take(16) << 16
	if z.err == nil && (uint32(crc) != z.crc || uint32(size) != z.size) {
		z.err = ErrChecksum
	}
	z.state = (*Reader).header
	return z.err == nil
}
