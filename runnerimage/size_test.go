package runnerimage

import (
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0":                   0,
		"1073741824":          1 << 30,
		"7B":                  7,
		"10GiB":               10 << 30,
		"10gib":               10 << 30,
		"500MB":               500e6,
		"3kB":                 3e3,
		"3KiB":                3 << 10,
		"64MiB":               64 << 20,
		"2 TB":                2e12,
		"2TiB":                2 << 40,
		"1.5GiB":              3 << 29,
		"0.25 kB":             250,
		"1.9B":                1,
		"9223372036854775806": 1<<63 - 2,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                     "not a size",
		"GiB":                  "not a size",
		"ten":                  "not a size",
		"-1":                   "not a size",
		"+1":                   "not a size",
		"1e9":                  "not a size",
		"1_000":                "not a size",
		"0x10":                 "not a size",
		".5GB":                 "not a size",
		"5.GB":                 "not a size",
		"1.2.3":                "not a size",
		"5G":                   "not a size",
		"5 GB free":            "not a size",
		"5  GB":                "not a size",
		" 5GB":                 "not a size",
		"5GB ":                 "not a size",
		"9223372036854775808":  "too large",
		"8388608TiB":           "too large",
		"99999999999999999999": "too large",
	} {
		if got, err := ParseSize(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %d, %v; want an error with %q", text, got, err, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"10GiB", "1.5 MB", "9223372036854775807", "0.99999999999999999999TiB", "1." + strings.Repeat("0", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseSize(text)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("%q: %d", text, n)
		}
		if n > 1e15 {
			return // Size has no greater unit than GB, and so all its digits
		}
		// What Size writes has one digit behind the point.
		again, err := ParseSize(Size(n))
		if err != nil || again > n+n/10+1 || again < n-n/10-1 {
			t.Errorf("%q: %d, shown as %s, is read as %d, %v", text, n, Size(n), again, err)
		}
	})
}
