package published

import (
	"io"
	"strings"
	"testing"
)

func TestRationed(t *testing.T) {
	for _, tt := range []struct {
		total, value int64
		text         string
		ok           bool
	}{
		{10, 5, "four", true},
		{10, 4, "four", false}, // more could follow
		{4, 10, "four", false},
		{10, 10, "", true},
	} {
		got, err := io.ReadAll(&rationed{r: strings.NewReader(tt.text), total: tt.total, value: tt.value})
		if string(got) != tt.text || (err == nil) != tt.ok {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
	r := &rationed{r: strings.NewReader("one, two"), total: 100, value: 6}
	if n, err := io.ReadFull(r, make([]byte, 5)); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	r.value = 6
	if got, err := io.ReadAll(r); string(got) != "two" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
