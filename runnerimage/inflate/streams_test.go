package inflate_test

import (
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"math/rand"
	"slices"
	"strings"

	"encoding/binary"
)

// zipped compresses b as one member, with a flush behind every piece.
func zipped(b []byte, level, piece int) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		panic(err)
	}
	for part := range slices.Chunk(b, piece) {
		w.Write(part)
		w.Flush()
	}
	w.Close()
	return out.Bytes()
}

// member puts gzip around a DEFLATE stream.
func member(deflated, content []byte) []byte {
	out := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, deflated...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(content))
	return binary.LittleEndian.AppendUint32(out, uint32(len(content)))
}

// mixed is content of which DEFLATE makes blocks of all kinds, with matches of
// all lengths and distances.
func mixed(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		part := min(n-len(b), 1+rnd.Intn(1<<rnd.Intn(14)))
		switch distance := 1 + rnd.Intn(1<<rnd.Intn(16)); {
		case rnd.Intn(2) == 0 && distance <= len(b):
			for range part {
				b = append(b, b[len(b)-distance])
			}
		default:
			for kinds := 1 << rnd.Intn(9); part > 0; part-- {
				b = append(b, byte(rnd.Intn(kinds)))
			}
		}
	}
	return b
}

// skewed has bytes so rare beside others that their codes are as long as codes
// can be.
func skewed(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(min(rnd.ExpFloat64()*1.5, 40))
	}
	return b
}

// contents are of all kinds, and of sizes around those of window and buffer.
func contents() map[string][]byte {
	rnd := rand.New(rand.NewSource(1))
	noise := make([]byte, 300_000)
	rnd.Read(noise)
	return map[string][]byte{
		"nothing": nil,
		"byte":    {'x'},
		"run":     bytes.Repeat([]byte("x"), 400_000),
		"periods": []byte(strings.Repeat("0123456789abcdefghi", 20_000)),
		"noise":   noise,
		"far":     bytes.Repeat(noise[:1<<15], 6), // matches of the longest distance
		"mixed":   mixed(rnd, 500_000),
		"skewed":  skewed(rnd, 300_000),
		"little":  mixed(rnd, 3000),
		"window":  mixed(rnd, 1<<17),
	}
}

// streams are gzip of all shapes.
func streams() map[string][]byte {
	all := map[string][]byte{}
	for name, b := range contents() {
		for how, level := range map[string]int{"stored": 0, "fast": 1, "best": 9, "Huffman": gzip.HuffmanOnly} {
			all[name+", "+how] = zipped(b, level, 1<<30)
		}
		all[name+", flushed"] = zipped(b, 6, max(1, len(b)/7))
	}
	little := contents()["little"]
	all["two members"] = slices.Concat(zipped(little, 9, 1000), zipped(little, 1, 1000))
	all["empty members"] = bytes.Repeat(zipped(nil, 6, 1), 100)
	all["fields"] = withFields(little)
	return all
}

// withFields is gzip with every field that a header can have.
func withFields(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra\x00field")
	w.Write(b)
	w.Close()
	z := out.Bytes()
	const end = 10 + 2 + 11 + 5 + 8 // of the header
	z[3] |= 2
	sum := binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE(z[:end])))
	return slices.Concat(z[:end], sum, z[end:])
}

// bitWriter writes DEFLATE by hand.
type bitWriter struct {
	out   []byte
	nbits int
}

// bits writes the lowest n bits of v, the lowest first.
func (w *bitWriter) bits(v, n int) *bitWriter {
	for i := range n {
		if w.nbits%8 == 0 {
			w.out = append(w.out, 0)
		}
		w.out[len(w.out)-1] |= byte(v>>i&1) << (w.nbits % 8)
		w.nbits++
	}
	return w
}

// code writes n bits of v, the highest first, as Huffman codes are.
func (w *bitWriter) code(v, n int) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		w.bits(v>>i, 1)
	}
	return w
}
