package inflate

import (
	"math/bits"
	"sync"
)

// An entry of a table says what the next bits are. All have the same lower
// half: how many bits to consume, extra bits included (bits 0–5), and how many
// of them are the code (bits 8–13). The upper half is what the code means:
//
//	literal    the byte (16–23), and the flag literal
//	length     the base (16–24) and the mask of the extra bits (27–31)
//	distance   the base (16–31)
//
// The flag special marks the others: the end of the block; bits that are no
// code; and in place of codes longer than the index a second table, with its
// place in the upper half (16–29) and the bits of its index where the bits of
// the code would be.
const (
	literal = 1 << 14
	special = 1 << 15
	end     = special | 1<<30
	bad     = special | 1<<31
	neither = 3 << 30 // of a special entry: it stands for no second table

	coded = 1<<8 | 1 // times the bits of a code
)

// The sizes of the tables with their second ones. No set of 286 codes needs
// more than 1332 entries behind an index of 10 bits, none of 30 codes more than
// 400 behind 8 (examples/enough.c of zlib counts that). An index of 11 or 12
// bits for literals and lengths, and several literals in one entry, were
// measured too: what they save is lost in building the tables.
const (
	litBits  = 10
	litSize  = 2048
	distBits = 8
	distSize = 512
	lenBits  = 7 // code lengths of a dynamic block, in the distances' table

	litMask  = 1<<litBits - 1
	distMask = 1<<distBits - 1

	maxCode = 15 // bits
)

const (
	numLits  = 288 // the last two only in the fixed code, where they mean nothing
	numDists = 32  // the same
	numLens  = 19
)

// tables are the codes of the block.
type tables struct {
	lit  [litSize]uint32
	dist [distSize]uint32
}

// What the symbols mean: RFC 1951, 3.2.5.
var (
	litMeaning  = meaningOfLits()
	distMeaning = meaningOfDists()
	lenMeaning  = meaningOfLens()
)

func meaningOfLits() (m [numLits]uint32) {
	for s := range 256 {
		m[s] = uint32(s)<<16 | literal
	}
	m[256] = end
	base := uint32(3)
	for s := 257; s < 285; s++ {
		extra := max(s-261, 0) / 4
		m[s] = base<<16 | (1<<extra-1)<<27 | uint32(extra)
		base += 1 << extra
	}
	m[285] = 258 << 16
	m[286], m[287] = bad, bad
	return m
}

func meaningOfDists() (m [numDists]uint32) {
	base := uint32(1)
	for s := range 30 {
		extra := max(s-2, 0) / 2
		m[s] = base<<16 | uint32(extra)
		base += 1 << extra
	}
	m[30], m[31] = bad, bad
	return m
}

func meaningOfLens() (m [numLens]uint32) {
	for s := range m {
		m[s] = uint32(s) << 16
	}
	return m
}

// fixed are the codes of RFC 1951, 3.2.6. None is longer than the indexes.
var fixed = sync.OnceValue(func() *tables {
	var lens [numLits]uint8
	for s := range lens {
		switch {
		case s < 144:
			lens[s] = 8
		case s < 256:
			lens[s] = 9
		case s < 280:
			lens[s] = 7
		default:
			lens[s] = 8
		}
	}
	t := new(tables)
	build(t.lit[:], litBits, lens[:], litMeaning[:])
	for s := range numDists {
		lens[s] = 5
	}
	build(t.dist[:], distBits, lens[:numDists], distMeaning[:])
	return t
})

// build fills a table from the lengths of the codes: RFC 1951, 3.2.2. The
// codes must be complete, but for what zlib allows and compress/flate with it:
// none at all, or one alone of one bit.
func build(table []uint32, index int, lens []uint8, meaning []uint32) bool {
	var count [maxCode + 1]int
	for _, n := range lens {
		count[n&15]++
	}
	used := len(lens) - count[0]
	left := 1 // codes of this many bits that are free
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - count[n]
		if left < 0 {
			return false
		}
	}
	if left > 0 {
		if used > count[1] {
			return false
		}
		buildIncomplete(table[:1<<index], lens, meaning)
		return true
	}

	// The symbols in the order of their codes.
	var next [maxCode + 2]int
	for n := 1; n <= maxCode; n++ {
		next[n+1] = next[n] + count[n]
	}
	var sorted [numLits]uint16
	for s, n := range lens {
		if n != 0 {
			sorted[next[n&15]] = uint16(s)
			next[n&15]++
		}
	}

	// Codes come with their first bit lowest. A table of all codes of up to n
	// bits, written twice in a row, is one of n+1 bits that lacks its longest.
	code, n := 0, 1
	symbols := sorted[:used]
	for size := 2; n <= index; n++ {
		for range count[n] {
			table[code] = meaning[symbols[0]] + uint32(n)*coded
			symbols = symbols[1:]
			code = following(code, n)
		}
		if n < index {
			copy(table[size:2*size], table[:size])
			size *= 2
		}
	}
	if len(symbols) > 0 {
		buildSecond(table, index, code, symbols, count, meaning)
	}
	return true
}

// following is the code of n bits after this one, the first bit lowest; after
// the last one it is that.
func following(code, n int) int {
	zeros := code ^ (1<<n - 1)
	if zeros == 0 {
		return code
	}
	bit := 1 << (bits.Len(uint(zeros)) - 1)
	return code&(bit-1) | bit
}

// buildSecond adds the codes longer than the index, of which code is the first,
// in tables for each of their beginnings.
func buildSecond(table []uint32, index, code int, symbols []uint16, count [maxCode + 1]int, meaning []uint32) {
	begin := -1
	var place, behind int
	behind = 1 << index
	for n := index + 1; n <= maxCode; n++ {
		for ; count[n] > 0; count[n]-- {
			if b := code & (1<<index - 1); b != begin {
				begin, place = b, behind
				longest := n
				for free := 1<<(n-index) - count[n]; free > 0; free = free<<1 - count[longest] {
					longest++
				}
				behind = place + 1<<(longest-index)
				table[begin] = special | uint32(place)<<16 | uint32(longest-index)<<8
			}
			e := meaning[symbols[0]] + uint32(n)*coded
			symbols = symbols[1:]
			for i := place + code>>index; i < behind; i += 1 << (n - index) {
				table[i] = e
			}
			code = following(code, n)
		}
	}
}

// buildIncomplete is build for no code, or for one alone, a zero bit.
func buildIncomplete(table []uint32, lens []uint8, meaning []uint32) {
	for i := range table {
		table[i] = bad | coded
	}
	for s, n := range lens {
		if n == 0 {
			continue
		}
		for i := 0; i < len(table); i += 2 {
			table[i] = meaning[s] + coded
		}
	}
}
