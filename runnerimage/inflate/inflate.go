// Package inflate reads gzip: RFC 1952 around the DEFLATE of RFC 1951.
//
// What comes in is a stream of one or more members; what goes out is their
// content, one after the other. Promised is the content or an error: every
// member's CRC-32 and size are compared, and no stream is taken that
// compress/gzip would refuse. A Reader takes 171 KiB whatever it reads, never
// waits for its source while it holds content that was not read, and can be
// asked at the start of every block for a Checkpoint from which another Reader
// goes on.
//
// Inflating is the largest single cost of a cold start from a gzip layer, and
// this package exists for its speed alone. What it is built on:
//
//   - Input, window and tables are arrays of one struct, their sizes powers of
//     two: an index under a mask needs no bounds check and all of them need
//     one register.
//   - 64 bits are loaded at once, past the ones that are left (a refill), and
//     one lookup gives a symbol with its extra bits. A refill serves three
//     literals; a match needs one, at worst two.
//   - A match is copied 16 bytes at a time, beyond its end.
//   - All this only while input and window are far from their ends. There a
//     second loop takes symbol by symbol and checks every bit.
//
// Nothing is unsafe in it, in Go's sense or another.
//
// BenchmarkReader in MB/s of content, CPU time of one core of an AMD EPYC
// (Zen 4), medians of five and more turns, 2026-11-21, Go 1.26.8,
// klauspost/compress 1.20.3:
//
//	                                                     inflate  klauspost  compress/gzip
//	a layer of 1.2 GB: Debian, /usr/share, programs          603        256            200
//	the same from pigz                                       580        248            179
//	debian:12, 170 MB                                        682        302            222
//	programs, 105 MB                                         548        228            169
//	Go's sources, 137 MB                                     910        367            275
//	stored, 64 MB: a copy and the CRC-32                    6700       6800           6800
//
// Turn by turn that is 2.3 to 2.5 times klauspost and 3 times compress/gzip.
package inflate
