package action

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Files are a step's file commands. The zero Open and Random are good.
type Files struct {
	// Env, Path, Output and Summary are the paths that GITHUB_ENV and so on
	// name.
	Env, Path, Output, Summary string
	// Open opens a file. Default: os.OpenFile, which a program with a set-uid
	// bit must not use for names that variables give.
	Open func(name string, flag int, mode os.FileMode) (*os.File, error)
	// Random is where delimiters come from. Default: crypto/rand.
	Random io.Reader
}

// NewFiles finds the files of the step whose environment job is.
func NewFiles(job map[string]string) Files {
	return Files{Env: job["GITHUB_ENV"], Path: job["GITHUB_PATH"], Output: job["GITHUB_OUTPUT"], Summary: job["GITHUB_STEP_SUMMARY"]}
}

const (
	// maxFile is how much of a file is read to see what it holds already.
	maxFile = 16 << 20
	// maxSummary is the runner's limit for a step's summary.
	maxSummary = 1 << 20
)

// SetEnv sets variables for the later steps of the job.
func (f Files) SetEnv(vars ...Pair) error {
	return f.setPairs("GITHUB_ENV", f.Env, vars)
}

// SetOutputs sets outputs of this step.
func (f Files) SetOutputs(outputs ...Pair) error {
	return f.setPairs("GITHUB_OUTPUT", f.Output, outputs)
}

func (f Files) setPairs(variable, path string, pairs []Pair) error {
	random := f.Random
	if random == nil {
		random = rand.Reader
	}
	return f.add(variable, path, func(before string) (string, error) {
		var text strings.Builder
		known, _ := decode(before) // of a malformed file nothing is known
		for _, p := range pairs {
			block, err := encode(p, random)
			if err != nil {
				return "", err
			}
			if value, ok := known[p.Name]; !ok || value != p.Value {
				text.WriteString(block)
			}
		}
		return text.String(), nil
	})
}

// AddPath puts directories in front of the PATH of later steps, each in front
// of those before it.
func (f Files) AddPath(dirs ...string) error {
	return f.add("GITHUB_PATH", f.Path, func(before string) (string, error) {
		for _, dir := range dirs {
			if why := unfitLine(dir); why != "" {
				return "", fmt.Errorf("%.80q %w: %s", dir, ErrUnfit, why)
			}
		}
		text := strings.Join(dirs, "\n") + "\n"
		if len(dirs) == 0 || strings.HasSuffix("\n"+before, "\n"+text) {
			return "", nil
		}
		return text, nil
	})
}

// AddSummary adds Markdown to the step's summary.
func (f Files) AddSummary(markdown string) error {
	return f.add("GITHUB_STEP_SUMMARY", f.Summary, func(before string) (string, error) {
		text := strings.TrimRight(markdown, "\n") + "\n"
		if len(before)+len(text) > maxSummary {
			return "", fmt.Errorf("%w: the summary would be more than the %d bytes that GitHub shows", ErrUnfit, maxSummary)
		}
		if strings.Contains(before, text) {
			return "", nil
		}
		return text, nil
	})
}

// add appends what more makes of the content so far, by one write.
func (f Files) add(variable, path string, more func(before string) (string, error)) error {
	if path == "" {
		return fmt.Errorf("%s is not set: this is no step of a GitHub job", variable)
	}
	// The runner has made the file. One that is not there was lost, and what
	// was written to another would be, too.
	if err := f.appendTo(path, os.O_RDWR, more); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s: %w; the runner's files belong to another user: leave \"options: --user\" away, or let it name that user", variable, err)
		}
		return fmt.Errorf("%s: %w", variable, err)
	}
	return nil
}

// appendTo opens the file and appends to it.
func (f Files) appendTo(path string, flag int, more func(before string) (string, error)) (err error) {
	open := f.Open
	if open == nil {
		open = os.OpenFile
	}
	file, err := open(path, flag|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	before, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return err
	}
	if len(before) > maxFile {
		return fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	text, err := more(string(before))
	if err != nil || text == "" {
		return err
	}
	if len(before) > 0 && before[len(before)-1] != '\n' {
		text = "\n" + text // somebody's last line has no end
	}
	if n, err := file.WriteString(text); err != nil {
		// Half a variable would make the runner fail the step for its form.
		if n > 0 {
			err = errors.Join(err, file.Truncate(int64(len(before))))
		}
		return err
	}
	return nil
}
