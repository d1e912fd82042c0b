package inflate_test

// handmade are DEFLATE streams that no compressor makes.
func handmade() []struct {
	name     string
	deflated []byte
	right    bool
} {
	const (
		final   = 1
		fixed   = 1
		dynamic = 2
	)
	start := func(kind int) *bitWriter { return new(bitWriter).bits(final, 1).bits(kind, 2) }
	literal := func(w *bitWriter, b byte) *bitWriter { return w.code(0x30+int(b), 8) } // fixed, below 144

	// codes starts a dynamic block with lengths below 16, each as a code of
	// four bits.
	codes := func(lits, dists []int) *bitWriter {
		w := start(dynamic).bits(len(lits)-257, 5).bits(len(dists)-1, 5).bits(15, 4)
		w.bits(0, 9) // nothing is repeated
		for range 16 {
			w.bits(4, 3)
		}
		for _, n := range lits {
			w.code(n, 4)
		}
		for _, n := range dists {
			w.code(n, 4)
		}
		return w
	}
	// lens are lengths of codes, but those of the symbols named: n, symbol, …
	lens := func(size int, pairs ...int) []int {
		all := make([]int, size)
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i+1]] = pairs[i]
		}
		return all
	}
	// ladder has codes of 1 to 15 bits for the symbols; the last has 15 as well.
	ladder := func(size int, symbols ...int) []int {
		all := make([]int, size)
		for i, s := range symbols {
			all[s] = min(i+1, 15)
		}
		return all
	}
	// repeats starts a dynamic block whose lengths are 1 (00), 16 (01),
	// 17 (10) and 18 (11).
	repeats := func() *bitWriter {
		w := start(dynamic).bits(0, 5).bits(0, 5).bits(14, 4)
		for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1} {
			n := 0
			if symbol > 15 || symbol == 1 {
				n = 2
			}
			w.bits(n, 3)
		}
		return w
	}

	long := codes(
		ladder(286, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 256, 257, 284, 285),
		ladder(30, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1),
	)
	for range 40 { // "l"
		long.code(0xffe, 12)
	}
	for range 30 {
		long.code(0x7fff, 15).code(0x7fff, 15)             // 285: 258, distance 2
		long.code(0x7ffe, 15).bits(30, 5).code(0x7ffe, 15) // 284: 227+30, distance 1
	}
	long.code(0x1ffe, 13)

	deepSecond := lens(257, 1, 'a', 15, 256) // of 1, and 15 codes of all lengths behind one index
	for i, n := 0, 2; n <= 15; i, n = i+1, n+1 {
		deepSecond['b'+i] = n
	}

	// many has, from the first symbol on, count codes of n bits: n, count, …
	many := func(pairs ...int) (all []int) {
		for i := 0; i < len(pairs); i += 2 {
			for range pairs[i+1] {
				all = append(all, pairs[i])
			}
		}
		return all
	}
	// What examples/enough.c of zlib finds for 286 and 30 codes.
	largest := codes(
		many(1, 1, 2, 1, 3, 1, 4, 1, 11, 1, 12, 229, 13, 49, 14, 1, 15, 2),
		many(1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 9, 13, 10, 5, 11, 1, 12, 1, 14, 3, 15, 2),
	)
	largest.code(0, 1)
	for range 100 {
		largest.code(0x7fff, 15).code(0, 1) // 258, distance 1
	}
	largest.code(0x7fff, 15).code(0x7ffe, 15).bits(0, 13) // distance 16385
	largest.code(0x1fe4, 13)

	return []struct {
		name     string
		deflated []byte
		right    bool
	}{
		{"reserved kind", start(3).bits(0, 20).out, false},
		{"stored, empty", start(0).bits(0, 5).bits(0, 16).bits(0xffff, 16).out, true},
		{"stored, complement", start(0).bits(0, 5).bits(1, 16).bits(0xffff, 16).bits(0, 8).out, false},
		{"stored, padding is not looked at", start(0).bits(31, 5).bits(1, 16).bits(0xfffe, 16).bits('x', 8).out, true},
		{"fixed, empty", start(fixed).code(0, 7).out, true},
		{"fixed, length 286", literal(start(fixed), 'a').code(0xc6, 8).bits(0, 30).out, false},
		{"fixed, length 287", literal(start(fixed), 'a').code(0xc7, 8).bits(0, 30).out, false},
		{"fixed, distance 30", literal(start(fixed), 'a').code(1, 7).code(30, 5).bits(0, 30).out, false},
		{"fixed, distance 31", literal(start(fixed), 'a').code(1, 7).code(31, 5).bits(0, 30).out, false},
		{"fixed, distance 1", literal(start(fixed), 'a').code(1, 7).code(0, 5).code(0, 7).out, true},
		{"fixed, distance before the start", literal(start(fixed), 'a').code(1, 7).code(1, 5).code(0, 7).out, false},
		{"fixed, no literal before", start(fixed).code(1, 7).code(0, 5).code(0, 7).out, false},
		{"too many lengths", start(dynamic).bits(30, 5).bits(0, 5).bits(0, 100).out, false},
		{"too many distances", start(dynamic).bits(0, 5).bits(30, 5).bits(0, 100).out, false},
		{"no lengths at all", start(dynamic).bits(0, 5).bits(0, 5).bits(0, 200).out, false},
		{"repeated before the first", repeats().code(1, 2).bits(0, 100).out, false},
		{"repeated zeros", repeats().code(3, 2).bits(127, 7).code(3, 2).bits(107, 7).code(0, 2).code(0, 2).bits(0, 1).out, true},
		{"repeated beyond the end", repeats().code(3, 2).bits(127, 7).code(3, 2).bits(127, 7).bits(0, 100).out, false},
		{"repeated from lengths to distances", repeats().code(3, 2).bits(127, 7).code(3, 2).bits(104, 7).code(0, 2).code(2, 2).bits(0, 3).code(0, 2).bits(0, 4).out, false},
		{"no codes", codes(lens(257), lens(1)).bits(0, 30).out, false},
		{"only an end", codes(lens(257, 1, 256), lens(1)).code(0, 1).out, true},
		{"only an end, other bit", codes(lens(257, 1, 256), lens(1)).code(1, 1).bits(0, 30).out, false},
		{"only an end, of two bits", codes(lens(257, 2, 256), lens(1)).bits(0, 30).out, false},
		{"no end", codes(lens(257, 1, 'a', 1, 'b'), lens(1)).bits(0x5555, 30).out, false},
		{"too few codes", codes(lens(257, 1, 'a', 3, 256), lens(1)).bits(0, 30).out, false},
		{"too many codes", codes(lens(257, 1, 'a', 1, 'b', 1, 256), lens(1)).bits(0, 30).out, false},
		{"no distances", codes(lens(258, 1, 'a', 2, 256, 2, 257), lens(1)).code(0, 1).code(3, 2).bits(0, 30).out, false},
		{"one distance", codes(lens(258, 1, 'a', 2, 256, 2, 257), lens(1, 1, 0)).code(0, 1).code(3, 2).code(0, 1).code(2, 2).out, true},
		{"one distance, other bit", codes(lens(258, 1, 'a', 2, 256, 2, 257), lens(1, 1, 0)).code(0, 1).code(3, 2).code(1, 1).bits(0, 30).out, false},
		{"one distance, of two bits", codes(lens(258, 1, 'a', 2, 256, 2, 257), lens(1, 2, 0)).bits(0, 30).out, false},
		{"codes of 15 bits", long.out, true},
		{"the largest tables", largest.out, true},
		{"a second table of all lengths", codes(deepSecond, lens(1)).code(0, 1).code(0x7ffe, 15).code(6, 3).code(0x3ffe, 14).code(0x7fff, 15).out, true},
	}
}
