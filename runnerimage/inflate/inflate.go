// Package inflate reads gzip: RFC 1952 around the DEFLATE of RFC 1951.
//
// What comes in is a stream of one or more members; what goes out is their
// content, one after the other. Promised is the content or an error: every
// member's CRC-32 and size are compared, and nothing is taken for content that
// compress/gzip would refuse. A Reader is a little over 100 KiB whatever it
// reads, never waits for its source while it holds content that was not read,
// and can be asked at the start of every block for a Checkpoint from which
// another Reader goes on.
//
// Inflating is the largest single cost of a cold start from a gzip layer, and
// this package exists for its speed alone. What it is built on:
//
//   - Input, window and tables are arrays of one struct, their sizes powers of
//     two: an index under a mask needs no bounds check and all of them need
//     one register.
//   - 64 bits are loaded at once, past the ones that are left (a refill), and
//     one lookup gives a symbol with its extra bits: at most three refills and
//     usually one for each match.
//   - A match is copied 16 bytes at a time, beyond its end.
//   - All this only while input and window are far from their ends. There a
//     second loop takes symbol by symbol and checks every bit.
//
// Nothing is unsafe in it, in Go's sense or another.
package inflate
