package actions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// parsePairs reads GITHUB_ENV, GITHUB_OUTPUT and GITHUB_STATE as the runner
// does (FileCommandManager.cs, EnvFileKeyValuePairs): each pair up to the first
// error counts.
func parsePairs(text string) (pairs Pairs, err error) {
	text = strings.ToValidUTF8(strings.TrimPrefix(text, "\ufeff"), "\ufffd")
	for {
		line, rest, ok := cutLine(text)
		if !ok {
			return pairs, nil
		}
		text = rest
		if line == "" || line == "\n" {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			pairs = append(pairs, Pair{line[:equals], line[equals+1:]})
		case heredoc >= 0:
			var value string
			if value, text, err = parseHeredoc(line, heredoc, text); err != nil {
				return pairs, err
			}
			pairs = append(pairs, Pair{line[:heredoc], value})
		default:
			return pairs, saidf("Invalid format '%s'", line)
		}
	}
}

// parseHeredoc reads the value of NAME<<DELIMITER, which stands in the lines of
// text up to one that is the delimiter. The last newline before it is not the
// value's.
func parseHeredoc(line string, at int, text string) (value, rest string, err error) {
	name, delimiter := line[:at], line[at+2:]
	if name == "" || delimiter == "" {
		return "", "", saidf("Invalid format '%s'. Name must not be empty and delimiter must not be empty", line)
	}
	var b strings.Builder
	for {
		next, after, ok := cutLine(text)
		switch {
		case !ok:
			return "", "", saidf("Invalid value. Matching delimiter not found '%s'", delimiter)
		case strings.TrimSuffix(next, "\n") == delimiter:
			return strings.TrimSuffix(b.String(), "\n"), after, nil
		case !strings.HasSuffix(next, "\n"):
			return "", "", saidf("Invalid value. EOF marker missing new line.")
		}
		b.WriteString(next)
		text = after
	}
}

// cutLine cuts a line off with its newline; not ok at the end of the text.
func cutLine(text string) (line, rest string, ok bool) {
	if text == "" {
		return "", "", false
	}
	at := strings.IndexByte(text, '\n')
	if at < 0 {
		return text, "", true
	}
	return text[:at+1], text[at+1:], true
}

// parsePath reads GITHUB_PATH: lines, of which empty ones do not count, ended
// as .NET's ReadAllLines ends them.
func parsePath(text string) (dirs []string) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			dirs = append(dirs, line)
		}
	}
	return dirs
}

// commandFiles are the files by which one step speaks to the runner.
type commandFiles struct{ dir, suffix string }

// fileCommands are the contexts' names and the files' prefixes, in the order in
// which the runner reads them.
var fileCommands = []struct{ name, prefix string }{
	{"path", "add_path_"}, {"env", "set_env_"}, {"step_summary", "step_summary_"}, {"state", "save_state_"}, {"output", "set_output_"},
}

// newCommandFiles makes the files empty.
func newCommandFiles(temp, suffix string) (commandFiles, error) {
	c := commandFiles{filepath.Join(temp, "_runner_file_commands"), suffix}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return c, err
	}
	for _, f := range fileCommands {
		if err := os.WriteFile(filepath.Join(c.dir, f.prefix+suffix), nil, 0o644); err != nil {
			return c, err
		}
	}
	return c, nil
}

// paths are the files on the host, by the names of github's context.
func (c commandFiles) paths() map[string]string {
	paths := map[string]string{}
	for _, f := range fileCommands {
		paths[f.name] = filepath.Join(c.dir, f.prefix+c.suffix)
	}
	return paths
}

// read returns what a step wrote; a file that is gone holds nothing.
func (c commandFiles) read(name string) (string, error) {
	text, err := os.ReadFile(c.paths()[name])
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// maxSummary is the largest step summary that GitHub takes.
const maxSummary = 1 << 20

// obey does what a step's files ask for. Each file is for itself: an error in
// one fails the step, and the others still count.
func (s *running) obey(files commandFiles) {
	for _, f := range fileCommands {
		text, err := files.read(f.name)
		if err == nil {
			err = s.obeyFile(f.name, text)
		}
		if err != nil {
			s.annotate("error", fmt.Sprintf("Unable to process file command '%s' successfully.", f.name), nil)
			s.annotate("error", err.Error(), nil)
			s.failed = true
		}
	}
}

func (s *running) obeyFile(name, text string) error {
	switch name {
	case "path":
		for _, dir := range parsePath(text) {
			s.job.prependPath(dir)
		}
		return nil
	case "step_summary":
		if len(text) > maxSummary {
			s.annotate("error", fmt.Sprintf("$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of %dk, got %dk.", maxSummary>>10, len(text)>>10), nil)
			return nil
		}
		s.result.Summary += s.job.log.mask(text)
		return nil
	}
	pairs, err := parsePairs(text)
	for _, p := range pairs {
		if e := s.set(name, p); e != nil {
			return e
		}
	}
	return err
}

// set stores one pair of an env, output or state file.
func (s *running) set(name string, p Pair) error {
	switch name {
	case "env":
		if strings.EqualFold(p.Name, "NODE_OPTIONS") {
			s.annotate("error", "Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.", nil)
			return nil
		}
		if p.Name == "" {
			return saidf("Value cannot be null. (Parameter 'name')")
		}
		s.job.env[p.Name] = p.Value
	case "output":
		if p.Name == "" {
			return saidf("Value cannot be null. (Parameter 'name')")
		}
		s.result.Outputs[p.Name] = p.Value
	case "state":
		s.state[p.Name] = p.Value
	}
	return nil
}
