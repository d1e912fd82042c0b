package applet

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const tarUsage = usage("tar -c|-x|-t [-f FILE] [-C DIRECTORY] [-mopvz] [--strip-components=N] [--no-same-owner] [PATH…]")

// archiver is tar with its options.
type archiver struct {
	s Streams

	action byte   // c, x or t
	file   string // "" and "-" are a standard stream
	// gzip is for making archives: of those that are read it is seen.
	gzip, verbose bool
	// How files are unpacked: strip is how many directories of a path are left
	// out.
	noOwner, noTime bool
	strip           int
	// paths are what is packed, or all that is unpacked.
	paths []located
	dir   string // that of every -C so far
}

// located is a path and the directory that it is below.
type located struct{ dir, path string }

// archiveFiles is tar.
func archiveFiles(_ context.Context, s Streams, args []string) error {
	a := archiver{s: s, noOwner: os.Geteuid() != 0}
	if !a.parse(args) {
		return tarUsage
	}
	if a.action == 'c' {
		return a.create()
	}
	return a.read()
}

// parse reads arguments: options may stand between paths, and the first
// argument needs no dash.
func (a *archiver) parse(args []string) bool {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		// The values of "xfC" are the next arguments, in that order.
		var first []string
		letters, rest := args[0], args[1:]
		for i := range len(letters) {
			first = append(first, "-"+letters[i:i+1])
			if strings.IndexByte("fC", letters[i]) >= 0 && len(rest) > 0 {
				first, rest = append(first, rest[0]), rest[1:]
			}
		}
		args = append(first, rest...)
	}
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "--":
			for _, path := range args[1:] {
				a.paths = append(a.paths, located{a.dir, path})
			}
			args = nil
		case strings.HasPrefix(arg, "--"):
			args = args[1:]
			if !a.long(arg) {
				return false
			}
		case strings.HasPrefix(arg, "-") && arg != "-":
			// One argument of letters, with the value that the last may have.
			n := 1
			if strings.IndexByte("fC", arg[len(arg)-1]) >= 0 && len(args) > 1 {
				n = 2
			}
			if _, ok := options(args[:n:n], "fC", a.short); !ok {
				return false
			}
			args = args[n:]
		default:
			a.paths = append(a.paths, located{a.dir, arg})
			args = args[1:]
		}
	}
	return a.action != 0
}

func (a *archiver) short(letter byte, value string) bool {
	switch letter {
	case 'c', 'x', 't':
		if a.action != 0 && a.action != letter {
			return false
		}
		a.action = letter
	case 'f':
		a.file = value
	case 'C':
		if !filepath.IsAbs(value) { // each is below those before it
			value = filepath.Join(a.dir, value)
		}
		a.dir = value
	case 'z':
		a.gzip = true
	case 'v':
		a.verbose = true
	case 'o':
		a.noOwner = true
	case 'm':
		a.noTime = true
	case 'p': // for root as it is anyway
	default:
		return false
	}
	return true
}

func (a *archiver) long(arg string) bool {
	name, value, _ := strings.Cut(arg, "=")
	letters := map[string]byte{
		"--create": 'c', "--extract": 'x', "--get": 'x', "--list": 't', "--file": 'f', "--directory": 'C', "--gzip": 'z', "--verbose": 'v',
		"--no-same-owner": 'o', "--touch": 'm', "--preserve-permissions": 'p', "--same-permissions": 'p',
	}
	if letter, ok := letters[name]; ok {
		return (value != "") == (letter == 'f' || letter == 'C') && a.short(letter, value)
	}
	switch name {
	case "--same-owner":
		a.noOwner = false
	case "--numeric-owner": // names are never asked for
	case "--strip-components":
		n, err := strconv.Atoi(value)
		a.strip = n
		return err == nil && n >= 0
	default:
		return false
	}
	return true
}

// name is what a file is called in an archive, whose place below the path is
// this. It begins as the path was given, "." included, and leads nowhere else.
func (l located) name(below string) string {
	name := path.Clean(l.path)
	if path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		name = local(name)
	}
	return strings.Trim(name+"/"+strings.Trim(below, "/"), "/")
}

// create packs the paths.
func (a *archiver) create() (err error) {
	if len(a.paths) == 0 {
		return errors.New("there is nothing to pack: name a path")
	}
	out, own := a.s.Out, fs.FileInfo(nil)
	if a.file != "" && a.file != "-" {
		f, err := os.Create(a.file)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if own, err = f.Stat(); err != nil {
			return err
		}
		out = f
	}
	if a.gzip {
		z := gzip.NewWriter(out)
		defer func() { err = errors.Join(err, z.Close()) }()
		out = z
	}
	w := tar.NewWriter(out)
	var errs []error
	for _, p := range a.paths {
		top, err := filepath.Abs(filepath.Join(p.dir, p.path))
		if err != nil {
			return err
		}
		errs = append(errs, filepath.WalkDir(top, func(file string, e fs.DirEntry, err error) error {
			if err != nil {
				errs = append(errs, err)
				return nil
			}
			return a.pack(w, file, p.name(strings.TrimPrefix(file, top)), e, own)
		}))
	}
	return errors.Join(append(errs, w.Close())...)
}

// pack writes one entry, unless it is the archive itself.
func (a *archiver) pack(w *tar.Writer, file, name string, e fs.DirEntry, own fs.FileInfo) error {
	info, err := e.Info()
	if err != nil || own != nil && os.SameFile(info, own) || info.Mode().Type() == fs.ModeSocket {
		return err
	}
	target := ""
	if info.Mode().Type() == fs.ModeSymlink {
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name = name
	if info.IsDir() {
		h.Name += "/"
	}
	a.say(h)
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(w, f, h.Size) // and nothing that is appended meanwhile
	return err
}

// say tells of an entry that is packed or unpacked, where that was asked for.
func (a *archiver) say(h *tar.Header) {
	if !a.verbose {
		return
	}
	out := a.s.Out
	if a.action == 'c' && (a.file == "" || a.file == "-") {
		out = a.s.Err
	}
	fmt.Fprintln(out, h.Name)
}

// read lists or unpacks an archive.
func (a *archiver) read() error {
	in := a.s.In
	if a.file != "" && a.file != "-" {
		f, err := os.Open(a.file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	buffered := bufio.NewReader(in)
	in = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return err
		}
		in = z
	}
	u, err := a.unpacker()
	if err != nil {
		return err
	}
	defer u.close()
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !a.wanted(h.Name) {
			continue
		}
		if a.action == 't' {
			fmt.Fprintln(a.s.Out, h.Name)
			continue
		}
		a.say(h)
		if err := u.entry(h, r); err != nil {
			u.errs = append(u.errs, fmt.Errorf("%s: %w", h.Name, err))
		}
	}
	// A writer may not have ended yet.
	_, err = io.Copy(io.Discard, in)
	return errors.Join(append(u.errs, u.finish(), err)...)
}

// wanted says whether an entry is one of those asked for.
func (a *archiver) wanted(name string) bool {
	return len(a.paths) == 0 || slices.ContainsFunc(a.paths, func(p located) bool {
		rest, ok := strings.CutPrefix(path.Clean("/"+name), path.Clean("/"+p.path))
		return ok && (rest == "" || rest[0] == '/')
	})
}
