package actions

import (
	"slices"
	"strings"
	"testing"
)

func TestParsePairs(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want Pairs
		err  string
	}{
		"one line":                    {text: "A=1\nB=x=y\n", want: Pairs{{"A", "1"}, {"B", "x=y"}}},
		"no newline at the end":       {text: "A=1", want: Pairs{{"A", "1"}}},
		"blank lines":                 {text: "\nA=1\n\n\nB=2\n", want: Pairs{{"A", "1"}, {"B", "2"}}},
		"blanks alone":                {text: " \n", err: "Invalid format ' '"},
		"a carriage return stays":     {text: "A=1\r\n", want: Pairs{{"A", "1\r"}}},
		"byte order mark":             {text: "\ufeffA=1\n", want: Pairs{{"A", "1"}}},
		"not UTF-8":                   {text: "A=\xff\n", want: Pairs{{"A", "\ufffd"}}},
		"equals before heredoc":       {text: "A=x<<E\n", want: Pairs{{"A", "x<<E"}}},
		"heredoc":                     {text: "A<<E\none\n\ntwo\nE\n", want: Pairs{{"A", "one\n\ntwo"}}},
		"heredoc, delimiter with =":   {text: "A<<E=\none\nE=\n", want: Pairs{{"A", "one"}}},
		"heredoc, nothing trimmed":    {text: "A << E\nx\n E\n", want: Pairs{{"A ", "x"}}},
		"heredoc, empty":              {text: "A<<E\nE\n", want: Pairs{{"A", ""}}},
		"heredoc, newline only":       {text: "A<<E\n\n\nE\n", want: Pairs{{"A", "\n"}}},
		"heredoc, leading empty line": {text: "A<<E\n\nx\nE\n", want: Pairs{{"A", "\nx"}}},
		"heredoc, carriage returns":   {text: "A<<E\r\nx\r\nE\r\n", want: Pairs{{"A", "x\r"}}},
		"heredoc, end without line":   {text: "A<<E\nx\nE", want: Pairs{{"A", "x"}}},
		"heredoc, never closed":       {text: "B=1\nA<<E\nx\n", want: Pairs{{"B", "1"}}, err: "Invalid value. Matching delimiter not found 'E'"},
		"heredoc, last line open":     {text: "A<<E\nx", err: "Invalid value. EOF marker missing new line."},
		"heredoc, no name":            {text: "<<E\nx\nE\n", err: "Name must not be empty and delimiter must not be empty"},
		"heredoc, no delimiter":       {text: "A<<\nx\n\n", err: "Name must not be empty and delimiter must not be empty"},
		"neither":                     {text: "A\n", err: "Invalid format 'A'"},
		"no name passes the check":    {text: "=x\n", want: Pairs{{"", "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePairs(test.text)
			if !slices.Equal(got, test.want) {
				t.Errorf("pairs %q, want %q", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

func FuzzParsePairs(f *testing.F) {
	for _, seed := range []string{"A=1\n", "A<<E\nx\nE\n", "A<<E\n", "\ufeff=\r\n<<"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pairs, _ := parsePairs(text)
		for _, p := range pairs {
			if strings.Contains(p.Name, "\n") {
				t.Errorf("a name of two lines: %q", p.Name)
			}
		}
	})
}

func TestParsePath(t *testing.T) {
	if got, want := parsePath("\ufeff/a\n\n/b\r\n/c"), []string{"/a", "/b", "/c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPrependPath(t *testing.T) {
	j := &job{}
	for _, dir := range []string{"/a", "/b", "/c", "/a"} {
		j.prependPath(dir)
	}
	if got, want := j.prepended(), "/a:/c:/b"; got != want {
		t.Errorf("%s, want %s: the last comes first, and once", got, want)
	}
}
