package layer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

var (
	// errMember says that no member of gzip starts where one should.
	errMember = errors.New("gzip: invalid header of a member")
	errSum    = errors.New("gzip: checksum or length of a member is wrong")
)

// Flags of a member's header: RFC 1952, 2.3.1.
const (
	gzipHeaderSum = 1 << (iota + 1)
	gzipExtra
	gzipName
	gzipComment
	gzipReserved = 0xe0
)

// maxText is how long the name or comment of a member may be, as for Docker.
const maxText = 512

// gunzipper decompresses the members of gzip one after the other (RFC 1952).
// It does so itself, and not the gzip of a library, to be able to go on
// within a member and to know where in the blob it is.
type gunzipper struct {
	r         *source
	member    io.Reader // its DEFLATE stream
	sum, size uint32    // of the member's content so far
	tar       int64     // offset of the tar stream behind what was read
	err       error

	trail *trail   // nil if no places are kept
	last  Position // that was kept, or is to be
	// next is a place that decompression has reached and Read has not: its sum
	// and size are not known yet.
	next *Position
}

// gunzip goes on at p. It reads the header of a member that starts there.
func gunzip(r *source, p Position, t *trail) (io.ReadCloser, error) {
	z := &gunzipper{r: r, sum: p.sum, size: p.size, tar: p.begin, trail: t, last: p}
	if t != nil {
		t.add(p)
	}
	if p.at == gzipBlock {
		z.open(p)
		return io.NopCloser(z), nil
	}
	if err := z.header(); err != nil {
		return nil, noEOF(err)
	}
	return io.NopCloser(z), nil
}

// open makes what is at p the member to read. Without a trail the memory of
// the last one is used again, which saves a third of the time if members are
// small; with one, flate cannot.
func (z *gunzipper) open(p Position) {
	switch {
	case z.trail != nil:
		z.member = inflateFrom(z.r, p, z.between)
	case p.at == gzipBlock:
		z.member = inflateFrom(z.r, p, nil)
	default:
		z.member = inflate(z.r.Reader, z.member)
	}
}

// between is told the places within a member.
func (z *gunzipper) between(p Position) {
	if z.next == nil && z.wanted(p) {
		p.history = bytes.Clone(p.history)
		z.last, z.next = p, &p
	}
}

// wanted says that p is far enough from the last place. It must be in the tar
// stream too: places then take no more memory than what is read ahead.
func (z *gunzipper) wanted(p Position) bool {
	return z.trail != nil && p.Blob-z.last.Blob >= z.trail.every && p.begin-z.last.begin >= maxHistory
}

// Read implements io.Reader.
func (z *gunzipper) Read(p []byte) (int, error) {
	for z.err == nil {
		n, err := z.member.Read(p)
		z.account(p[:n])
		if err != io.EOF {
			z.err = err
			return n, err
		}
		if z.err = z.nextMember(); z.err != nil || n > 0 {
			return n, z.err
		}
	}
	return 0, z.err
}

// account adds what was read to the member's sum, and to that of a place
// within it or at its end.
func (z *gunzipper) account(content []byte) {
	if p := z.next; p != nil && p.begin <= z.tar+int64(len(content)) {
		before := content[:p.begin-z.tar]
		p.sum = crc32.Update(z.sum, crc32.IEEETable, before)
		p.size = z.size + uint32(len(before))
		z.trail.add(*p)
		z.next = nil
	}
	z.sum = crc32.Update(z.sum, crc32.IEEETable, content)
	z.size += uint32(len(content))
	z.tar += int64(len(content))
}

// nextMember checks a member that has ended and reads the header of the next.
// It returns io.EOF if there is none.
func (z *gunzipper) nextMember() error {
	var trailer [8]byte
	if _, err := io.ReadFull(z.r, trailer[:]); err != nil {
		return noEOF(err)
	}
	if binary.LittleEndian.Uint32(trailer[:]) != z.sum || binary.LittleEndian.Uint32(trailer[4:]) != z.size {
		return errSum
	}
	z.sum, z.size = 0, 0
	p := Position{at: gzipMember, Blob: z.r.taken(), begin: z.tar}
	if err := z.header(); err != nil {
		return err
	}
	if z.wanted(p) {
		z.last = p
		z.trail.add(p)
	}
	return nil
}

// header reads the header of a member and opens it. It returns io.EOF if
// nothing is there.
func (z *gunzipper) header() error {
	sum := crc32.NewIEEE()
	r := io.TeeReader(z.r, sum)
	var b [10]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	flags := b[3]
	if b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 || flags&gzipReserved != 0 {
		return errMember
	}
	if flags&gzipExtra != 0 {
		if _, err := io.ReadFull(r, b[:2]); err != nil {
			return noEOF(err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(binary.LittleEndian.Uint16(b[:]))); err != nil {
			return noEOF(err)
		}
	}
	for _, text := range []byte{gzipName, gzipComment} {
		if flags&text != 0 {
			if err := passText(r); err != nil {
				return noEOF(err)
			}
		}
	}
	if flags&gzipHeaderSum != 0 {
		want := uint16(sum.Sum32())
		if _, err := io.ReadFull(r, b[:2]); err != nil {
			return noEOF(err)
		}
		if binary.LittleEndian.Uint16(b[:]) != want {
			return errMember
		}
	}
	z.open(Position{at: gzipMember, Blob: z.r.taken(), begin: z.tar})
	return nil
}

// passText passes over a text and the NUL behind it.
func passText(r io.Reader) error {
	var b [1]byte
	for range maxText {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return err
		}
		if b[0] == 0 {
			return nil
		}
	}
	return errMember
}

// noEOF is for places where a member may not end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
