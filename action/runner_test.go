package action

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// readText is .NET's File.ReadAllText: a byte order mark is taken off, and what
// is not UTF-8 is replaced.
func readText(b []byte) string {
	return strings.ToValidUTF8(strings.TrimPrefix(string(b), bom), string(utf8.RuneError))
}

// lineReader is ReadLine of the runner's FileCommandManager on Linux: only "\n"
// ends a line, and the last one may have no end.
type lineReader struct {
	text  string
	index int
}

func (r *lineReader) read() (line, newline string, ok bool) {
	if r.index >= len(r.text) {
		return "", "", false
	}
	from := r.index
	i := strings.Index(r.text[from:], "\n")
	if i < 0 {
		r.index = len(r.text)
		return r.text[from:], "", true
	}
	r.index = from + i + 1
	return r.text[from : from+i], "\n", true
}

// readPairs is what GitHub's runner reads from GITHUB_ENV and GITHUB_OUTPUT:
// the EnvFileKeyValuePairs of its FileCommandManager, step by step.
func readPairs(b []byte) (map[string]string, error) {
	pairs := map[string]string{}
	r := &lineReader{text: readText(b)}
	for {
		line, _, ok := r.read()
		if !ok {
			return pairs, nil
		}
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			name, value, _ := strings.Cut(line, "=")
			if name == "" {
				return nil, errors.New("a name is empty")
			}
			pairs[name] = value
		case heredoc >= 0:
			name, delimiter, _ := strings.Cut(line, "<<")
			if name == "" || delimiter == "" {
				return nil, errors.New("a name or a delimiter is empty")
			}
			start, end := r.index, r.index
			for {
				line, newline, ok := r.read()
				if !ok {
					return nil, errors.New("no matching delimiter")
				}
				if line == delimiter {
					break
				}
				if newline == "" {
					return nil, errors.New("the value's last line has no end")
				}
				end = r.index - len(newline)
			}
			value := ""
			if end > start {
				value = r.text[start:end]
			}
			pairs[name] = value
		default:
			return nil, errors.New("invalid format")
		}
	}
}

// readPath is what the runner makes of GITHUB_PATH: its AddPathFileCommand and
// the -e PATH of its docker exec. Lines are those of .NET's File.ReadAllLines,
// which "\r" ends as well.
func readPath(b []byte, before []string, container string) string {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(readText(b))
	for _, line := range strings.Split(text, "\n") {
		if line == "" {
			continue
		}
		var kept []string
		for _, dir := range before {
			if dir != line {
				kept = append(kept, dir)
			}
		}
		before = append([]string{line}, kept...)
	}
	return strings.Join(append(before, container), ":")
}

// isCommand reports whether the runner may take something in the output of a
// step for a command: TryParse and TryParseV2 of its ActionCommand. It compares
// by culture, which passes over characters without a width.
func isCommand(output string) bool {
	visible := func(r rune) rune {
		if r == '\u200b' || r == '\u200d' || r == '\ufeff' || r == '\u00ad' || r == 0 {
			return -1
		}
		return r
	}
	for _, line := range strings.FieldsFunc(strings.Map(visible, output), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			return true
		}
	}
	return false
}
