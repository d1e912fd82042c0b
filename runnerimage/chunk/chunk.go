// Package chunk cuts content into chunks, the pieces that stores keep and
// updates share.
//
// What comes in is a layer's content stream: the content of its regular files,
// one after the other in the order of the tar archive. What goes out are
// chunks that cover this stream without a gap. Where a chunk ends depends on
// content alone, never on offsets, headers or times, so that a layer and its
// next version share most chunks, and so do two compressions of one layer.
//
//	                                       minimum  average  maximum
//	files below 64 KiB, several together    16 KiB   80 KiB  256 KiB
//	a larger file, alone                    32 KiB  120 KiB  512 KiB
//
// Chunks of small files end where a file ends; one that a larger file or the
// layer's end cuts off may be below its minimum. No chunk holds parts of a
// small and of a larger file.
//
// These numbers, the table behind the cuts and the order of the tests are a
// format: another choice cuts every layer anew, and nothing that was stored or
// published before would be shared. No promise is made against somebody who
// shapes content so that it is cut badly; the bounds hold for him too.
//
// The package does no I/O. Nothing in it is safe for concurrent use but the
// functions, which are.
package chunk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// MaxSize is the size in bytes that no chunk of a Cutter exceeds.
const MaxSize = maxFileChunk

// ID is the SHA-256 digest of a chunk's content, as it is in the files: not of
// its stored form.
type ID [sha256.Size]byte

// IDOf is the ID of the chunk with this content.
func IDOf(content []byte) ID { return sha256.Sum256(content) }

// String is the ID as 64 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String writes, and nothing else: an ID has one spelling.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) == hex.EncodedLen(len(id)) {
		if _, err := hex.Decode(id[:], []byte(s)); err == nil && id.String() == s {
			return id, nil
		}
	}
	return ID{}, fmt.Errorf("chunk ID %.80q is not 64 lower-case hexadecimal digits", s)
}

// Chunk is a piece of a content stream: its bytes from Offset to End.
type Chunk struct {
	Offset  int64
	Content []byte
}

// ID is that of the chunk's content.
func (c Chunk) ID() ID { return IDOf(c.Content) }

// End is the offset behind the chunk's last byte.
func (c Chunk) End() int64 { return c.Offset + int64(len(c.Content)) }
