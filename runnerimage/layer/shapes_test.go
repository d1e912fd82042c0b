package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand"
	"strings"
	"time"

	. "github.com/clipperregistry/runner/test/tarball"
)

// mixed is content of which DEFLATE makes blocks of all kinds.
func mixed(rnd *rand.Rand, n int) string {
	b := make([]byte, n)
	for start := 0; start < n; {
		part := b[start:min(n, start+1+rnd.Intn(20_000))]
		start += len(part)
		for i, kinds := 0, 1<<rnd.Intn(9); i < len(part); i++ {
			part[i] = byte(rnd.Intn(kinds))
		}
	}
	return string(b)
}

// gzipWith compresses in pieces. Between them is a flush, which ends a block
// and adds an empty stored one.
func gzipWith(b []byte, level, piece int) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		panic(err)
	}
	for len(b) > 0 {
		n := min(piece, len(b))
		w.Write(b[:n])
		w.Flush()
		b = b[n:]
	}
	w.Close()
	return out.Bytes()
}

// members makes a member of gzip of each piece, with every field that a header
// can have, and empty ones between them.
func members(b []byte, piece int) []byte {
	var out bytes.Buffer
	for len(b) > 0 {
		w := gzip.NewWriter(&out)
		w.Name, w.Comment, w.Extra = "layer.tar", "a comment", []byte("extra\x00field")
		n := min(piece, len(b))
		w.Write(b[:n])
		w.Close()
		out.Write(Gzip(nil))
		b = b[n:]
	}
	return out.Bytes()
}

// storedMembers makes a member of each piece that is a single stored block, so
// that there are no places to go on but between members.
func storedMembers(b []byte, piece int) []byte {
	var out []byte
	for len(b) > 0 {
		n := min(piece, len(b))
		out = append(out, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 1)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out = append(out, b[:n]...)
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(b[:n]))
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
		b = b[n:]
	}
	return out
}

// shapes are layers in which a Position means different things.
func shapes() map[string][]byte {
	rnd := rand.New(rand.NewSource(1))
	long := strings.Repeat("directory/", 30)
	var small []Entry
	for i := range 70 {
		small = append(small, File(fmt.Sprintf("f%d", i), mixed(rnd, rnd.Intn(1500))))
	}
	tars := map[string][]byte{
		"small": Build(small...),
		"large": Build(File("a", mixed(rnd, 170_000)), File("b", mixed(rnd, 512*150)), File("c", "")),
		"meta": Build(Dir("d", Xattr("user.x", "y")), File(long+"pax", mixed(rnd, 3000), Xattr("user.x", strings.Repeat("v", 2000)), Time(time.Unix(1, 5))),
			HardLink("h", long+"pax"), Symlink("s", long), File(long+"gnu", mixed(rnd, 2000), Format(tar.FormatGNU)), HardLink("h2", long+"gnu", Size(700)),
			Global("comment", "x"), File(".wh..wh.aufs", "text"), Whiteout("w"), File(".wh.content", mixed(rnd, 800)), Opaque("d"), Char("n", 1, 3), FIFO("p"), File("z", mixed(rnd, 700))),
		"sparse": Build(File("a", mixed(rnd, 90_000)), Sparse("s", 9000, []Fragment{{Offset: 2000, Data: mixed(rnd, 3000)}, {Offset: 7000, Data: "z"}}),
			File("b", mixed(rnd, 50_000)), Sparse("t", 1<<40, []Fragment{{Offset: 1 << 39, Data: "x"}}), File("c", "text")),
		"unended": Unended(File("a", mixed(rnd, 700)), File("b", mixed(rnd, 900))),
		"empty":   Build(),
	}
	all := make(map[string][]byte)
	for name, b := range tars {
		all[name+", plain"] = b
		all[name+", gzip"] = Gzip(b)
		all[name+", gzip stored"] = gzipWith(b, gzip.NoCompression, 1<<30)
		all[name+", gzip stored members"] = storedMembers(b, 7001)
		all[name+", gzip Huffman"] = gzipWith(b, gzip.HuffmanOnly, 3000)
		all[name+", gzip flushed"] = gzipWith(b, 6, 700)
		all[name+", gzip members"] = members(b, 7001)
	}
	all["meta, gzip and garbage"] = join(gzipWith(tars["meta"], 9, 5000), []byte("garbage, garbage"))
	cut := tars["unended"]
	all["cut in padding"] = cut[:len(cut)-(1024-900)]
	return all
}
