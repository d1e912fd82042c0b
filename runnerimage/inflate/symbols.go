package inflate

import "encoding/binary"

// symbols inflates a block of codes, or as much of it as there is input and
// room for.
func (z *Reader) symbols() bool {
	z.fast()
	switch {
	case z.err != nil:
		return false
	case z.careful():
		z.endBlock()
		return true
	case z.err != nil || z.end >= full || z.read < z.end:
		return false
	}
	return z.fill()
}

// margin is more than one round of fast loads.
const margin = 32

// fast takes symbols while input and window are far from their ends. It leaves
// the end of the block to careful, and codes that are none.
func (z *Reader) fast() {
	if z.limit < margin || z.next >= z.limit-margin {
		return
	}
	last, to := z.limit-margin, z.end
	bits, nbits, next := z.more(z.bits, z.nbits, z.next)
	corrupt := false
	e := z.lit[bits&litMask]
	for next < last && to < full {
		// Here are 56 bits or more, and e is what they begin with.
		if e&literal != 0 {
			z.window[to&windowMask] = byte(e >> 16)
			to++
			bits, nbits = bits>>(e&63), nbits-uint(e)
			e = z.lit[bits&litMask]
			if e&literal != 0 {
				z.window[to&windowMask] = byte(e >> 16)
				to++
				bits, nbits = bits>>(e&63), nbits-uint(e)
				e = z.lit[bits&litMask]
				if e&literal != 0 {
					z.window[to&windowMask] = byte(e >> 16)
					to++
					bits, nbits = bits>>(e&63), nbits-uint(e)
					bits, nbits, next = z.more(bits, nbits, next)
					e = z.lit[bits&litMask]
					continue
				}
			}
		}
		if e&special != 0 {
			if e&neither != 0 {
				break
			}
			e = z.lit[second(e, bits>>litBits)&(litSize-1)]
			if e&special != 0 {
				break
			}
			if e&literal != 0 {
				z.window[to&windowMask] = byte(e >> 16)
				to++
				bits, nbits = bits>>(e&63), nbits-uint(e)
				bits, nbits, next = z.more(bits, nbits, next)
				e = z.lit[bits&litMask]
				continue
			}
		}
		// Of at least 36 bits the length takes 20 at most, and the distance 28.
		length := uint(e>>16&511) + uint(bits>>(e>>8&63)&uint64(e>>27))
		bits, nbits = bits>>(e&63), nbits-uint(e)
		if nbits&63 < 28 {
			bits, nbits, next = z.more(bits, nbits, next)
		}
		d := z.dist[bits&distMask]
		if d&special != 0 {
			if d&neither == 0 {
				d = z.dist[second(d, bits>>distBits)&(distSize-1)]
			}
			if d&special != 0 {
				corrupt = true
				break
			}
		}
		dist := uint(d>>16) + uint(bits&(1<<(d&63)-1)>>(d>>8&63))
		bits, nbits = bits>>(d&63), nbits-uint(d)
		if dist > to-z.oldest {
			corrupt = true
			break
		}
		bits, nbits, next = z.more(bits, nbits, next)
		e = z.lit[bits&litMask]

		p, from := to&windowMask, (to-dist)&windowMask
		to += length
		if dist < 16 {
			z.repeat(p, dist, length)
			continue
		}
		*(*[16]byte)(z.window[p : p+16]) = *(*[16]byte)(z.window[from : from+16])
		p, from = (p+16)&windowMask, (from+16)&windowMask
		*(*[16]byte)(z.window[p : p+16]) = *(*[16]byte)(z.window[from : from+16])
		for length > 32 {
			p, from = (p+16)&windowMask, (from+16)&windowMask
			*(*[16]byte)(z.window[p : p+16]) = *(*[16]byte)(z.window[from : from+16])
			length -= 16
		}
	}
	z.bits, z.nbits, z.next, z.end = bits, nbits&63, next, to
	z.unload()
	if corrupt {
		z.corrupt()
	}
}

// more loads bits until there are 56 to 63. It reads 8 bytes of the buffer.
//
// The number of bits is kept modulo 64, so that entries can be subtracted as
// they are. The masks, here and in fast, change nothing: they tell the compiler
// what holds.
func (in *input) more(bits uint64, nbits, next uint) (uint64, uint, uint) {
	bits |= binary.LittleEndian.Uint64(in.buffer[next&bufferMask:][:8]) << (nbits & 63)
	return bits, nbits | 56, next + (^nbits&63)>>3
}

// second is the place in the second table that e stands for.
func second(e uint32, bits uint64) uint64 {
	return uint64(e>>16) + bits&(1<<(e>>8&63)-1)
}

// strides are the multiples of 1 to 7 up to 8.
var strides = [8]uint8{0, 8, 8, 6, 8, 5, 6, 7}

// repeat continues the dist < 16 bytes before p.
func (z *Reader) repeat(p, dist, length uint) {
	end := p + length
	if dist >= 8 {
		for from := p - dist; p < end; p, from = p+8, from+8 {
			*(*[8]byte)(z.window[p&windowMask:][:8]) = *(*[8]byte)(z.window[from&windowMask:][:8])
		}
		return
	}
	// As often as they fit into 8 bytes.
	v := binary.LittleEndian.Uint64(z.window[(p-dist)&windowMask:][:8])
	v &= 1<<(8*dist) - 1
	v |= v << (8 * dist)
	v |= v << (16 * dist)
	v |= v << (32 * dist)
	step := uint(strides[dist])
	for ; p < end; p += step {
		binary.LittleEndian.PutUint64(z.window[p&windowMask:][:8], v)
	}
}

// careful takes symbols one by one and looks at every number. It returns true
// at the end of the block, and false where the window is full, the input is
// used up, or with err set.
func (z *Reader) careful() bool {
	for z.end < full {
		for z.nbits < 48 && z.byte() {
		}
		e := z.lit[z.bits&litMask]
		if e&special != 0 && e&neither == 0 {
			e = z.lit[second(e, z.bits>>litBits)]
		}
		n := uint(e & 63)
		if n > z.nbits {
			return false
		}
		if e&literal != 0 {
			z.window[z.end] = byte(e >> 16)
			z.end++
			z.bits >>= n
			z.nbits -= n
			continue
		}
		if e&special != 0 {
			if e&end != end {
				z.corrupt()
				return false
			}
			z.bits >>= n
			z.nbits -= n
			return true
		}
		length := uint(e>>16&511) + uint(z.bits>>(e>>8&63)&uint64(e>>27))
		bits := z.bits >> n
		d := z.dist[bits&distMask]
		if d&special != 0 && d&neither == 0 {
			d = z.dist[second(d, bits>>distBits)]
		}
		m := uint(d & 63)
		if n+m > z.nbits {
			return false
		}
		dist := uint(d>>16) + uint(bits&(1<<m-1)>>(d>>8&63))
		if d&special != 0 || dist > z.end-z.oldest {
			z.corrupt()
			return false
		}
		z.bits = bits >> m
		z.nbits -= n + m
		for range length {
			z.window[z.end] = z.window[z.end-dist]
			z.end++
		}
	}
	return false
}
