package applet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds the line that a text applet takes.
const maxLine = 64 << 20

const grepUsage = usage("grep [-EFcilnoqsvwx] [-e PATTERN] PATTERN [FILE…]")

// grep prints the lines that match. Its exit code is 1 when none does and 2
// after an error.
func grep(_ context.Context, s Streams, args []string) error {
	flags := map[byte]bool{}
	var patterns []string
	rest, ok := options(args, "e", func(letter byte, value string) bool {
		if letter == 'e' {
			patterns = append(patterns, value)
			return true
		}
		flags[letter] = true
		return strings.IndexByte("EFGcilnoqsvwxh", letter) >= 0
	})
	if ok && patterns == nil {
		if ok = len(rest) > 0; ok {
			patterns, rest = strings.Split(rest[0], "\n"), rest[1:]
		}
	}
	if !ok {
		return grepUsage
	}
	match, err := compile(patterns, flags)
	if err != nil {
		fmt.Fprintf(s.Err, "grep: %v\n", err)
		return exitCode(2)
	}

	named := len(rest) > 1 && !flags['h']
	found := false
	err = eachInput(s, rest, func(name string, r io.Reader) error {
		prefix, number, matches := "", 0, 0
		if named {
			prefix = name + ":"
		}
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			number++
			line := lines.Bytes()
			at := match.FindAllIndex(line, -1)
			if (at == nil) != flags['v'] {
				continue
			}
			found = true
			matches++
			where := prefix
			if flags['n'] {
				where += strconv.Itoa(number) + ":"
			}
			switch {
			case flags['q'], flags['l'], flags['c']:
			case flags['o'] && !flags['v']:
				for _, m := range at {
					if m[0] < m[1] {
						fmt.Fprintf(s.Out, "%s%s\n", where, line[m[0]:m[1]])
					}
				}
			default:
				fmt.Fprintf(s.Out, "%s%s\n", where, line)
			}
			if flags['q'] || flags['l'] {
				break
			}
		}
		switch {
		case flags['q']:
		case flags['l'] && matches > 0:
			fmt.Fprintln(s.Out, name)
		case flags['c'] && !flags['l']:
			fmt.Fprintf(s.Out, "%s%d\n", prefix, matches)
		}
		return lines.Err()
	})
	switch {
	case found && flags['q']:
		return nil
	case err != nil:
		if !flags['s'] {
			fmt.Fprintf(s.Err, "grep: %v\n", err)
		}
		return exitCode(2)
	case !found:
		return exitCode(1)
	}
	return nil
}

// compile makes one expression of the patterns.
func compile(patterns []string, flags map[byte]bool) (*regexp.Regexp, error) {
	alternatives := make([]string, len(patterns))
	for i, p := range patterns {
		switch {
		case flags['F']:
			p = regexp.QuoteMeta(p)
		case !flags['E']:
			p = extended(p)
		}
		alternatives[i] = "(?:" + p + ")"
	}
	expr := strings.Join(alternatives, "|")
	switch {
	case flags['x']:
		expr = "^(?:" + expr + ")$"
	case flags['w']:
		expr = `\b(?:` + expr + `)\b`
	}
	if flags['i'] {
		expr = "(?i)" + expr
	}
	return regexp.Compile(expr)
}

// extended writes a basic regular expression as an extended one: there the
// characters ( ) { } | + ? are special without a backslash, and a * at the
// beginning stands for itself in a basic one.
func extended(basic string) string {
	const special = "(){}|+?"
	var b strings.Builder
	for i := 0; i < len(basic); i++ {
		c := basic[i]
		switch {
		case c == '\\' && i+1 < len(basic):
			i++
			if strings.IndexByte(special, basic[i]) < 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(basic[i])
		case strings.IndexByte(special, c) >= 0, c == '*' && i == 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '[':
			// A bracket expression is the same in both.
			end := strings.IndexByte(basic[min(i+2, len(basic)):], ']')
			if end < 0 {
				b.WriteString(basic[i:])
				return b.String()
			}
			b.WriteString(basic[i : i+2+end+1])
			i += 2 + end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// counted reads the options of head and tail: -n N, -c N, -N, and -f for
// tail.
func counted(args []string, letters string) (n int, bytes, follow bool, rest []string, ok bool) {
	n = 10
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0][1] >= '0' && args[0][1] <= '9' {
		args = append([]string{"-n", args[0][1:]}, args[1:]...)
	}
	rest, ok = options(args, "nc", func(letter byte, value string) bool {
		switch {
		case strings.IndexByte(letters, letter) < 0:
			return false
		case letter == 'f' || letter == 'F':
			follow = true
			return true
		default:
			var err error
			bytes = letter == 'c'
			n, err = strconv.Atoi(value)
			return err == nil && n >= 0
		}
	})
	return n, bytes, follow, rest, ok
}

func head(_ context.Context, s Streams, args []string) error {
	n, isBytes, _, rest, ok := counted(args, "nc")
	if !ok {
		return usage("head [-n LINES | -c BYTES] [FILE…]")
	}
	return eachInput(s, rest, func(_ string, r io.Reader) error {
		if isBytes {
			_, err := io.CopyN(s.Out, r, int64(n))
			return ignoreEOF(err)
		}
		in := bufio.NewReader(r)
		for range n {
			line, err := in.ReadBytes('\n')
			if _, werr := s.Out.Write(line); werr != nil {
				return werr
			}
			if err != nil {
				return ignoreEOF(err)
			}
		}
		return nil
	})
}

// followInterval is how often tail -f looks for more.
const followInterval = time.Second

// tail prints the end of its input. `tail -f /dev/null`, which keeps a
// container alive, waits for a signal.
func tail(ctx context.Context, s Streams, args []string) error {
	n, isBytes, follow, rest, ok := counted(args, "ncfF")
	if !ok || follow && len(rest) > 1 {
		return usage("tail [-f] [-n LINES | -c BYTES] [FILE…]")
	}
	return eachInput(s, rest, func(_ string, r io.Reader) error {
		data, err := lastOf(r, n, isBytes)
		if err != nil {
			return err
		}
		if _, err := s.Out.Write(data); err != nil {
			return err
		}
		ticks := time.NewTicker(followInterval)
		defer ticks.Stop()
		for follow {
			if _, err := io.Copy(s.Out, r); err != nil {
				return err
			}
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

// lastOf reads r to its end and returns its last n lines or bytes.
func lastOf(r io.Reader, n int, isBytes bool) ([]byte, error) {
	if isBytes {
		var kept []byte
		buf := make([]byte, 64<<10)
		for {
			m, err := r.Read(buf)
			kept = append(kept, buf[:m]...)
			if len(kept) > n {
				kept = append([]byte(nil), kept[len(kept)-n:]...)
			}
			if err != nil {
				return kept, ignoreEOF(err)
			}
		}
	}
	var lines [][]byte
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 && n > 0 {
			if len(lines) == n {
				lines = lines[1:]
			}
			lines = append(lines, line)
		}
		if err != nil {
			return bytes.Join(lines, nil), ignoreEOF(err)
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// count is wc.
func count(_ context.Context, s Streams, args []string) error {
	show := map[byte]bool{}
	rest, ok := options(args, "", func(letter byte, _ string) bool {
		show[letter] = true
		return strings.IndexByte("lwc", letter) >= 0
	})
	if !ok {
		return usage("wc [-clw] [FILE…]")
	}
	if len(show) == 0 {
		show = map[byte]bool{'l': true, 'w': true, 'c': true}
	}
	return eachInput(s, rest, func(name string, r io.Reader) error {
		counts := map[byte]int{}
		in := bufio.NewReader(r)
		inWord := false
		for {
			c, err := in.ReadByte()
			if err != nil {
				if err := ignoreEOF(err); err != nil {
					return err
				}
				break
			}
			counts['c']++
			if c == '\n' {
				counts['l']++
			}
			space := bytes.IndexByte([]byte(" \t\n\v\f\r"), c) >= 0
			if !space && !inWord {
				counts['w']++
			}
			inWord = !space
		}
		var fields []string
		for _, letter := range []byte("lwc") {
			if show[letter] {
				fields = append(fields, strconv.Itoa(counts[letter]))
			}
		}
		if name != "-" {
			fields = append(fields, name)
		}
		fmt.Fprintln(s.Out, strings.Join(fields, " "))
		return nil
	})
}
