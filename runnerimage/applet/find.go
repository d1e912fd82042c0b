package applet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/pattern"
)

const findUsage = usage("find [PATH…] [-maxdepth N] [-mindepth N] [-type bcdflps] [-name PATTERN] [-iname PATTERN] [-path PATTERN] [-newer FILE] [-empty] [-prune] [-print] [-print0] [-delete] [-exec COMMAND… ;] [-exec COMMAND… {} +], with ! -not -a -o and ( )")

// finder is find with its expression.
type finder struct {
	ctx context.Context
	s   Streams

	least, most int  // depths
	contents    bool // what a directory holds comes before itself
	acts        bool // the expression says what to do
	batches     []*batch
	errs        []error
}

// visit is a path that find comes to.
type visit struct {
	path  string
	info  fs.FileInfo
	prune bool
}

// test is a part of the expression.
type test func(*visit) bool

// find looks for paths. Directories are read in the order of their names.
func find(ctx context.Context, s Streams, args []string) error {
	f := finder{ctx: ctx, s: s, most: -1}
	starts := len(args)
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") || arg == "!" || arg == "(" {
			starts = i
			break
		}
	}
	p := findParser{finder: &f, args: args[starts:]}
	matches, err := p.parse()
	if err != nil {
		return err
	}
	if !f.acts {
		matches = and(matches, f.print("\n"))
	}
	paths := args[:starts]
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil {
			f.errs = append(f.errs, err)
			continue
		}
		f.walk(&visit{path: path, info: info}, matches, 0)
	}
	for _, b := range f.batches {
		f.run(b)
	}
	return errors.Join(append(f.errs, ctx.Err())...)
}

func (f *finder) walk(v *visit, matches test, depth int) {
	if f.ctx.Err() != nil {
		return
	}
	if !f.contents && depth >= f.least {
		matches(v)
	}
	if v.info.IsDir() && !v.prune && (f.most < 0 || depth < f.most) {
		entries, err := os.ReadDir(v.path)
		if err != nil {
			f.errs = append(f.errs, err)
		}
		for _, e := range entries {
			path := strings.TrimSuffix(v.path, "/") + "/" + e.Name()
			info, err := os.Lstat(path)
			if err != nil {
				f.errs = append(f.errs, err)
				continue
			}
			f.walk(&visit{path: path, info: info}, matches, depth+1)
		}
	}
	if f.contents && depth >= f.least {
		matches(v)
	}
}

func (f *finder) print(end string) test {
	return func(v *visit) bool {
		_, err := fmt.Fprint(f.s.Out, v.path, end)
		return err == nil
	}
}

func (f *finder) remove(v *visit) bool {
	err := os.Remove(v.path)
	if err != nil {
		f.errs = append(f.errs, err)
	}
	return err == nil
}

// maxBatch bounds the arguments of a command for many paths.
const maxBatch = 100 << 10

// batch is a command for many paths, and those that it has not got yet.
type batch struct {
	command, paths []string
	size           int
}

func (f *finder) add(b *batch) test {
	return func(v *visit) bool {
		b.paths = append(b.paths, v.path)
		if b.size += len(v.path) + 1; b.size > maxBatch {
			f.run(b)
		}
		return true
	}
}

func (f *finder) run(b *batch) {
	if len(b.paths) == 0 {
		return
	}
	if !f.execute(append(slices.Clone(b.command), b.paths...)) {
		f.errs = append(f.errs, fmt.Errorf("%s failed", b.command[0]))
	}
	b.paths, b.size = nil, 0
}

// execute runs a command and reports whether it ended well.
func (f *finder) execute(words []string) bool {
	name := words[0]
	if _, err := exec.LookPath(name); err != nil && commands()[name] != nil {
		name = filepath.Join(Dir, name)
	}
	cmd := exec.CommandContext(f.ctx, name, words[1:]...)
	cmd.Args[0] = words[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f.s.In, f.s.Out, f.s.Err
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		f.errs = append(f.errs, err)
	}
	return err == nil
}

func and(a, b test) test { return func(v *visit) bool { return a(v) && b(v) } }

func or(a, b test) test { return func(v *visit) bool { return a(v) || b(v) } }

func not(a test) test { return func(v *visit) bool { return !a(v) } }

func always(*visit) bool { return true }

// findParser reads an expression.
type findParser struct {
	*finder
	args []string
}

func (p *findParser) parse() (test, error) {
	if len(p.args) == 0 {
		return always, nil
	}
	t, err := p.either()
	if err == nil && len(p.args) > 0 {
		err = findUsage
	}
	return t, err
}

// next takes the next word if it is one of these, or any if none are given.
func (p *findParser) next(words ...string) (word string, ok bool) {
	if len(p.args) == 0 || len(words) > 0 && !slices.Contains(words, p.args[0]) {
		return "", false
	}
	word, p.args = p.args[0], p.args[1:]
	return word, true
}

func (p *findParser) either() (test, error) {
	t, err := p.all()
	for err == nil {
		if _, ok := p.next("-o", "-or"); !ok {
			break
		}
		var other test
		if other, err = p.all(); err == nil {
			t = or(t, other)
		}
	}
	return t, err
}

func (p *findParser) all() (test, error) {
	t, err := p.one()
	for err == nil && len(p.args) > 0 && !slices.Contains([]string{"-o", "-or", ")"}, p.args[0]) {
		p.next("-a", "-and")
		var other test
		if other, err = p.one(); err == nil {
			t = and(t, other)
		}
	}
	return t, err
}

func (p *findParser) one() (test, error) {
	word, ok := p.next()
	if !ok {
		return nil, findUsage
	}
	switch word {
	case "!", "-not":
		t, err := p.one()
		if err != nil {
			return nil, err
		}
		return not(t), nil
	case "(":
		t, err := p.either()
		if _, closed := p.next(")"); err == nil && !closed {
			err = findUsage
		}
		return t, err
	case "-exec":
		return p.command()
	case "-print":
		p.acts = true
		return p.print("\n"), nil
	case "-print0":
		p.acts = true
		return p.print("\x00"), nil
	case "-delete":
		p.acts, p.contents = true, true
		return p.remove, nil
	case "-depth":
		p.contents = true
		return always, nil
	case "-prune":
		return func(v *visit) bool { v.prune = true; return true }, nil
	case "-empty":
		return empty, nil
	}
	value, ok := p.next()
	if !ok {
		return nil, findUsage
	}
	return p.compare(word, value)
}

// compare makes a test of a word that has a value.
func (p *findParser) compare(word, value string) (test, error) {
	switch word {
	case "-name", "-iname", "-path", "-ipath", "-wholename":
		mode := pattern.EntireString
		if word[1] == 'i' {
			mode |= pattern.NoGlobCase
		}
		expr, err := pattern.Regexp(value, mode)
		if err != nil {
			return nil, err
		}
		match, err := regexp.Compile(expr)
		if err != nil {
			return nil, err
		}
		base := strings.HasSuffix(word, "iname") || word == "-name"
		return func(v *visit) bool {
			if base {
				return match.MatchString(filepath.Base(v.path))
			}
			return match.MatchString(v.path)
		}, nil
	case "-type":
		kinds := map[string]fs.FileMode{
			"b": fs.ModeDevice, "c": fs.ModeDevice | fs.ModeCharDevice, "d": fs.ModeDir, "f": 0, "l": fs.ModeSymlink, "p": fs.ModeNamedPipe, "s": fs.ModeSocket,
		}
		kind, ok := kinds[value]
		if !ok {
			return nil, findUsage
		}
		return func(v *visit) bool { return v.info.Mode().Type() == kind }, nil
	case "-newer":
		info, err := os.Stat(value)
		if err != nil {
			return nil, err
		}
		return func(v *visit) bool { return v.info.ModTime().After(info.ModTime()) }, nil
	case "-maxdepth", "-mindepth":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return nil, findUsage
		}
		if word == "-maxdepth" {
			p.most = n
		} else {
			p.least = n
		}
		return always, nil
	}
	return nil, findUsage
}

// empty is a file without content, or a directory that holds nothing.
func empty(v *visit) bool {
	if v.info.IsDir() {
		entries, err := os.ReadDir(v.path)
		return err == nil && len(entries) == 0
	}
	return v.info.Mode().IsRegular() && v.info.Size() == 0
}

// command reads the rest of -exec: words up to ";", or up to "{} +".
func (p *findParser) command() (test, error) {
	p.acts = true
	end := slices.IndexFunc(p.args, func(word string) bool { return word == ";" || word == "+" })
	for end > 0 && p.args[end] == "+" && p.args[end-1] != "{}" { // a plus of the command's own
		after := slices.IndexFunc(p.args[end+1:], func(word string) bool { return word == ";" || word == "+" })
		if after < 0 {
			return nil, findUsage
		}
		end += 1 + after
	}
	if end < 1 {
		return nil, findUsage
	}
	words, many := p.args[:end], p.args[end] == "+"
	p.args = p.args[end+1:]
	if many {
		if len(words) < 2 {
			return nil, findUsage
		}
		b := &batch{command: words[:len(words)-1]}
		p.batches = append(p.batches, b)
		return p.add(b), nil
	}
	return func(v *visit) bool {
		filled := make([]string, len(words))
		for i, word := range words {
			filled[i] = strings.ReplaceAll(word, "{}", v.path)
		}
		return p.execute(filled)
	}, nil
}
