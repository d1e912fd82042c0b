package ecsfake

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// hex makes a number that this fake has not made before, at most 64 digits
// long. Other fakes on the same engine make others: their URLs differ.
func (f *Fake) hex(digits int) string {
	f.serial++
	sum := sha256.Sum256([]byte(f.URL + "/" + strconv.Itoa(f.serial)))
	return hex.EncodeToString(sum[:])[:digits]
}

func (f *Fake) uuid() string {
	x := f.hex(32)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// paged cuts a page out of a list. Tokens are positions.
func paged[T any](all []T, token *string, size *int32, limit int) ([]T, *string, error) {
	start := 0
	if token != nil {
		var err error
		if start, err = strconv.Atoi(*token); err != nil || start < 0 || start > len(all) {
			return nil, nil, wire.Errorf("InvalidParameterException", "Invalid token")
		}
	}
	if n := int(aws.ToInt32(size)); n > 0 {
		limit = min(n, limit)
	}
	end := min(start+limit, len(all))
	if end == len(all) {
		return all[start:end], nil, nil
	}
	return all[start:end], aws.String(strconv.Itoa(end)), nil
}
