package runnerimage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeUnits are those that ParseSize knows, in lower case.
var sizeUnits = map[string]int64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// ParseSize reads a number of bytes as people write it: 1073741824, 500MB,
// 1.5 GiB, and what Size writes. MB is a million bytes, MiB 1024 × 1024;
// capital and small letters are one. Parts of a byte are left out.
func ParseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, known := sizeUnits[strings.ToLower(text[len(number):])]
	whole, fraction, point := strings.Cut(strings.TrimSuffix(number, " "), ".")
	if !known || !digits(whole) || point && !digits(fraction) {
		return 0, fmt.Errorf("%q is not a size such as 10GiB, 500MB or 1073741824", text)
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n >= math.MaxInt64/unit {
		return 0, fmt.Errorf("the size %q is too large", text)
	}
	part, err := strconv.ParseFloat("0."+fraction+"0", 64)
	if err != nil {
		return 0, fmt.Errorf("the size %q: %w", text, err)
	}
	return n*unit + int64(part*float64(unit)), nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
