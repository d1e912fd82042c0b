package actions

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestSplitArguments(t *testing.T) {
	for line, want := range map[string][]string{
		`a  b	c`:                              {"a", "b", "c"},
		`--health-cmd "pg_isready -U x" -p 1`: {"--health-cmd", "pg_isready -U x", "-p", "1"},
		`-e PATH="/a b:/c"`:                   {"-e", "PATH=/a b:/c"},
		`'single quotes'`:                     {"'single", "quotes'"},
		`"" x`:                                {"", "x"},
		`a\b \"c\" "d\\" "e""f"`:              {`a\b`, `"c"`, `d\`, `e"f`},
		``:                                    nil,
	} {
		if got := splitArguments(line); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestQuotedIsOneWord(t *testing.T) {
	for _, value := range []string{"A=plain", "A=two words", `A="quoted"`, `A=ends in \`, `A=\"`, `A=\\"x\\`, "A=two\nlines", `A=""`} {
		if got := splitArguments("-e " + quote(value) + " next"); !slices.Equal(got, []string{"-e", value, "next"}) {
			t.Errorf("%q becomes %q", value, got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add(`a"\`)
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" {
			return
		}
		if got := splitArguments(quote(value)); !slices.Equal(got, []string{value}) {
			t.Errorf("%q becomes %q", value, got)
		}
	})
}

func TestInvoke(t *testing.T) {
	var lines []string
	exit, err := invoke(t.Context(), exec.Command("sh", "-c", `printf 'one\r\ntwo'; exit 3`), func(line string) { lines = append(lines, line) })
	if exit != 3 || err != nil || !slices.Equal(lines, []string{"one", "two"}) {
		t.Errorf("exit %d (%v) with %q", exit, err, lines)
	}
	if _, err := invoke(t.Context(), exec.Command("true", strings.Repeat("x", 200_000)), nil); err == nil || !strings.Contains(err.Error(), "argument list too long") {
		t.Errorf("an argument beyond the kernel's limit: %v", err)
	}
}

// TestCancelledProcess lets SIGINT end a process that knows it.
func TestCancelledProcess(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	exit, err := invoke(cancelled, exec.Command("bash", "-c", `trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.05; done`), func(line string) {
		if line == "ready" {
			cancel()
		}
	})
	if exit != 7 || err != nil {
		t.Errorf("exit %d (%v), want 7 from its own trap", exit, err)
	}
}
