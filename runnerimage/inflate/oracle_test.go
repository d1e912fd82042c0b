package inflate_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"math/rand"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/inflate"
	faster "github.com/klauspost/compress/gzip"
)

// kind is what an error says; "" for none.
func kind(err error) string {
	var corrupt *inflate.CorruptError
	var theirs flate.CorruptInputError
	switch {
	case err == nil, err == io.EOF:
		return ""
	case errors.As(err, &corrupt), errors.As(err, &theirs):
		return "corrupt"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	case errors.Is(err, inflate.ErrHeader), errors.Is(err, gzip.ErrHeader), errors.Is(err, faster.ErrHeader):
		return "header"
	case errors.Is(err, inflate.ErrChecksum), errors.Is(err, gzip.ErrChecksum):
		return "sum"
	}
	return err.Error()
}

// standard reads with the standard library, which is right, except that it
// takes members whose reserved flags are set: RFC 1952, 2.3.1.2 says no, and
// the gzip that engines use says no.
func standard(stream []byte) (content []byte, err error) {
	z, err := gzip.NewReader(bytes.NewReader(stream))
	if err == nil {
		content, err = io.ReadAll(z)
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF // nothing is no member
	}
	if engine, other := readEngine(stream); errors.Is(other, faster.ErrHeader) {
		return engine, other
	}
	return content, err
}

func readEngine(stream []byte) ([]byte, error) {
	z, err := faster.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// pieces is a source that gives n(left) bytes at a time, at most.
type pieces struct {
	rest []byte
	n    func(left int) int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:max(1, min(p.n(len(p.rest)), len(p.rest)))])
	p.rest = p.rest[n:]
	return n, nil
}

// read reads the whole of a stream; source and output are cut as rnd likes.
func read(z *inflate.Reader, stream []byte, rnd *rand.Rand) ([]byte, error) {
	in := rnd.Intn(17)
	source := &pieces{stream, func(int) int { return 1 + rnd.Intn(1<<in) }}
	if err := z.Reset(source); err != nil {
		return nil, err
	}
	if rnd.Intn(4) == 0 {
		var content bytes.Buffer
		_, err := z.WriteTo(&content)
		return content.Bytes(), err
	}
	var content []byte
	for buf := make([]byte, 1<<rnd.Intn(18)); ; {
		n, err := z.Read(buf[:1+rnd.Intn(len(buf))])
		content = append(content, buf[:n]...)
		if err == io.EOF {
			return content, nil
		}
		if err != nil {
			return content, err
		}
	}
}

// check compares a reading of a stream with the standard library's.
func check(t *testing.T, stream, got []byte, err error) {
	t.Helper()
	want, wantErr := standard(stream)
	compare(t, got, err, want, wantErr)
}

func compare(t *testing.T, got []byte, err error, want []byte, wantErr error) {
	t.Helper()
	k, wantKind := kind(err), kind(wantErr)
	// The standard library looks at no code before there are as many bits as
	// the end of the block has. Of a stream that was cut it leaves up to 14.
	more := len(got) - len(want)
	if wantKind == "cut" && (k == "cut" || k == "corrupt") && more > 0 && more < 14*258 {
		got, k = got[:len(want)], "cut"
	}
	if !bytes.Equal(got, want) || k != wantKind {
		t.Fatalf("%d bytes of content, error %v, want %d, error %v", len(got), err, len(want), wantErr)
	}
}
