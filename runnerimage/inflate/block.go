package inflate

// longestStart bounds the start of a block in bytes: 17 bits, 19 lengths of 3
// bits and 316 of up to 14.
const longestStart = 568

// block reads the start of a block: RFC 1951, 3.2.3.
func (z *Reader) block() bool {
	if z.read < z.end && (z.onBlock != nil || z.sips || !z.has(longestStart)) {
		return false
	}
	if z.onBlock != nil {
		z.onBlock(z.position()/8, z.before+int64(z.end))
	}
	z.final = z.take(1) == 1
	kind := z.take(2)
	if z.err != nil {
		return false
	}
	z.sips = kind == 0
	switch kind {
	case 0:
		z.startStored()
	case 1:
		z.startFixed()
	case 2:
		z.startDynamic()
	default:
		z.corrupt()
	}
	return z.err == nil
}

// endBlock goes to what follows the block.
func (z *Reader) endBlock() {
	z.state = (*Reader).block
	if z.final {
		z.state = (*Reader).trailer
	}
}

func (z *Reader) startStored() {
	z.take(z.nbits % 8)
	n := z.take(16)
	complement := z.take(16)
	if z.err != nil {
		return
	}
	if complement != n^0xffff {
		z.corrupt()
		return
	}
	z.unload()
	if n >= history && z.read == z.end {
		// Nothing before the block can be reached from behind it.
		z.before += int64(z.end)
		z.oldest, z.read, z.summed, z.end = 0, 0, 0, 0
	}
	z.stored = n
	z.state = (*Reader).copyStored
}

// copyStored takes the content of a stored block: from the buffer, and what is
// not there yet from the source at once.
func (z *Reader) copyStored() bool {
	if z.stored == 0 {
		z.endBlock()
		return true
	}
	room := z.window[z.end:min(z.end+z.stored, full)]
	n := uint(copy(room, z.buffer[z.next:z.limit]))
	z.next += n
	switch {
	case n > 0:
	case z.read < z.end:
		return false
	case len(room) < sip:
		return z.fill()
	default:
		n = z.readSource(room)
	}
	z.end += n
	z.stored -= n
	return z.err == nil
}

func (z *Reader) startFixed() {
	if !z.isFixed {
		f := fixed()
		copy(z.lit[:1<<litBits], f.lit[:])
		copy(z.dist[:1<<distBits], f.dist[:])
		z.isFixed = true
	}
	z.state = (*Reader).symbols
}

// lensOrder is the order of the lengths of the codes of lengths.
var lensOrder = [numLens]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// startDynamic reads the codes of a block: RFC 1951, 3.2.7.
func (z *Reader) startDynamic() {
	lits, dists, n := z.take(5)+257, z.take(5)+1, z.take(4)+4
	if z.err != nil {
		return
	}
	if lits > 286 || dists > 30 {
		z.corrupt()
		return
	}
	var lens [numLits + numDists]uint8
	for _, s := range lensOrder[:n] {
		lens[s] = uint8(z.take(3))
	}
	z.isFixed = false
	ok := build(z.dist[:], lenBits, lens[:numLens], lenMeaning[:])
	clear(lens[:numLens])
	ok = ok && z.takeLens(lens[:lits+dists]) &&
		build(z.lit[:], litBits, lens[:lits], litMeaning[:]) &&
		build(z.dist[:], distBits, lens[lits:lits+dists], distMeaning[:])
	if !ok && z.err == nil {
		z.corrupt()
	}
	z.state = (*Reader).symbols
}

// takeLens reads lengths in the code for them that the distances' table holds.
func (z *Reader) takeLens(lens []uint8) bool {
	for i := 0; i < len(lens); {
		e := z.dist[z.bits&(1<<lenBits-1)]
		n := uint(e & 63)
		if n > z.nbits {
			if !z.want(z.nbits + 1) {
				return false
			}
			continue
		}
		if e&special != 0 {
			return false
		}
		z.bits >>= n
		z.nbits -= n
		s := uint8(e >> 16)
		if s < 16 {
			lens[i] = s
			i++
			continue
		}
		var again uint8
		var times uint
		switch s {
		case 16:
			if i == 0 {
				return false
			}
			again, times = lens[i-1], 3+z.take(2)
		case 17:
			times = 3 + z.take(3)
		default:
			times = 11 + z.take(7)
		}
		if times > uint(len(lens)-i) {
			return false
		}
		for range times {
			lens[i] = again
			i++
		}
	}
	return true
}
