package chunk

// window is how many bytes a rolling sum remembers: each moves one bit to the
// left with every byte that follows, and falls out of its 64 bits.
const window = 64

// roll adds bytes to a rolling sum, until it is below a threshold: the sum is
// evenly distributed, so that this happens once in 2⁶⁴/below bytes. It returns
// the sum, how many bytes it has added, and whether the threshold is met
// behind them.
func roll(sum uint64, p []byte, below uint64) (uint64, int, bool) {
	for i, b := range p {
		sum = sum<<1 + gear[b]
		if sum < below {
			return sum, i + 1, true
		}
	}
	return sum, len(p), false
}

// gear gives every byte its number, 64 bits without a pattern. It is part of
// the format.
var gear = func() (table [256]uint64) {
	// SplitMix64, which has its constants from its authors and no others.
	state := uint64(0)
	for i := range table {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		table[i] = z ^ z>>31
	}
	return table
}()
