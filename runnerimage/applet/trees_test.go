package applet

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// plant makes a small tree to work on.
func plant(t *testing.T, dir string) {
	t.Helper()
	old := time.Unix(1_600_000_000, 0)
	for _, name := range []string{"d", "d/sub", "d/none", "other"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o750))
	}
	for name, mode := range map[string]fs.FileMode{"f": 0o640, "d/a": 0o600, "d/.hidden": 0o644, "d/sub/b c": 0o755, "d/sub/x.txt": 0o444, "d/empty": 0o644} {
		content := name + "\n"
		if name == "d/empty" {
			content = ""
		}
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), mode))
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	must(t, os.Symlink("a", filepath.Join(dir, "d/link")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "d/broken")))
	must(t, os.Chtimes(filepath.Join(dir, "d"), old, old))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listing says what is below a directory: kinds, modes, contents, and times as
// far as they are not of this minute.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		when := "now"
		if time.Since(info.ModTime()) > time.Hour {
			when = fmt.Sprint(info.ModTime().Unix())
		}
		content, _ := os.Readlink(path)
		if info.Mode().IsRegular() {
			all, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(all)
		}
		if info.Mode().Type() == fs.ModeSymlink {
			when = "" // which tar leaves to the system
		}
		fmt.Fprintf(&b, "%s %s %s %q\n", strings.TrimPrefix(path, dir), info.Mode(), when, content)
		return nil
	}))
	return b.String()
}

// TestTreesAsTheRealOnes runs scripts with the applets and with the system's own
// commands: what they print and what they leave is the same.
func TestTreesAsTheRealOnes(t *testing.T) {
	dir := applets(t)
	for _, script := range []string{
		"mkdir new new/one && mkdir -p new/two/three d && mkdir -m 700 private && mkdir -p -m 711 x/y",
		"mkdir d",
		"mkdir no/such",
		"cp f g && cp f d && cp f d/a other",
		"cp d copy",
		"cp -r d copy && cp -r d copy && cp -R d/. other",
		"cp -a d copy && cp -a d/. other && cp -a d/link other/l2",
		"cp -p f g && cp d/link plain && cp -P d/link l && cp -d d/broken l3 && cp -rL d/sub s",
		"cp f f",
		"cp d/broken x",
		"cp missing x",
		"cp d/a f missing",
		"cp -r d f",
		"chmod 400 f && cp -f d/a f",
		"ln -s ../other d/dirlink && cp -r d copy && cp -a d/dirlink copy/again",
		// The real cp leaves out what comes after the directory itself, in an order
		// that is the file system's: so nothing else is there.
		"mkdir -p loop/in && cp -r loop loop/in 2>/dev/null; test -d loop/in/loop && test ! -e loop/in/loop/in/loop",
		"cp -v f g && cp -rv other o2",
		"find . | sort",
		"find d f -type f | sort",
		"find d -type l -name 'b*'",
		"find . -name '.*' | sort",
		"find . ! -name '*.txt' -not -type d | sort",
		"find . -path '*/sub/*' | sort",
		"find d -type f ! -path '*/sub/*' | sort",
		"find . -maxdepth 1 | sort; find . -mindepth 2 -maxdepth 2 | sort",
		"find . -name sub -prune -o -type f -print | sort",
		`find . \( -name a -o -iname 'B C' \) -a -print | sort`,
		"find d/ -empty | sort",
		"find . -newer f -type d | sort",
		`find . -type f -exec stat -c '%s %n' {} \; | sort`,
		`find d -type f -exec sh -c 'echo "[$1] [$2]"' _ {} x{}y \; | sort`,
		`find d -type f -name a -exec false {} \; -print; find d -type f -name a -exec true {} \; -print`,
		"find d -type f -exec stat -c %n {} + | sort",
		"find d -name a -exec false {} +",
		"find d -type f -print0 | tr '\\0' '\\n' | sort",
		"find d -name sub -delete",
		"find d -delete",
		"find missing f",
		"find . -type f -exec chmod u+rwx {} \\; && find . -type d -exec chmod g+w {} \\;",
		"tar cf - d | tar xf - -C other",
		"tar cf - -C d . | tar xf - --no-same-owner -C other",
		"tar -c -f a.tar d f && tar tf a.tar | sort && mkdir out && tar -xf a.tar -C out && rm a.tar",
		"tar czf a.tgz -C d sub -C ../other . && mkdir out && tar -xzf a.tgz -C out --strip-components=1 && rm a.tgz",
		"tar cf - $PWD/f 2>/dev/null | tar tf - | grep -c ^/",
		"cd d && tar cf - ../f 2>/dev/null | tar tf -",
		"tar cf - d | tar xf - -C other d/sub && ls other/d",
		"tar cf - d | tar xmf - -C other",
		"tar cf - d | (cd other && mkdir d && echo mine >d/a && ln -s /nowhere d/empty && tar xf -)",
		"tar cvf a.tar d/sub f | sort; tar xvf a.tar -C other | sort; rm a.tar",
		"tar cf a.tar . 2>/dev/null; tar tf a.tar | grep -c a.tar; rm a.tar",
		"tar xf missing",
		"tar cf - missing | wc -c >size; test -s size; rm size; tar cf - missing >/dev/null",
		"echo no archive | tar xf -",
	} {
		t.Run(script, func(t *testing.T) {
			outcomes := map[string]string{}
			for kind, path := range map[string]string{"applets": dir + ":" + os.Getenv("PATH"), "real": os.Getenv("PATH")} {
				// The same path for both: archives may hold it.
				work := filepath.Join(t.TempDir(), "work")
				must(t, os.Mkdir(work, 0o755))
				plant(t, work)
				cmd := exec.Command("/bin/sh", "-c", script)
				cmd.Dir, cmd.Env = work, append(os.Environ(), "PATH="+path, asApplet+"=1", "LC_ALL=C")
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				failed := cmd.Run() != nil
				outcomes[kind] = fmt.Sprintf("failed: %v\n%s%s", failed, &out, listing(t, work))
				if failed != (errs.Len() > 0) && !strings.Contains(script, "2>/dev/null") && !strings.Contains(script, "-c") && !strings.Contains(script, "false") {
					t.Errorf("%s: failed: %v, and it says %q", kind, failed, &errs)
				}
			}
			if outcomes["applets"] != outcomes["real"] {
				t.Errorf("applets:\n%s\nthe real ones:\n%s", outcomes["applets"], outcomes["real"])
			}
		})
	}
}

// TestHostileArchives: nothing is written outside of the directory, whatever an
// archive says.
func TestHostileArchives(t *testing.T) {
	dir := applets(t)
	for name, entries := range map[string][]tar.Header{
		"dots":         {{Name: "../out", Typeflag: tar.TypeReg}},
		"dots within":  {{Name: "a/../../out", Typeflag: tar.TypeReg}},
		"absolute":     {{Name: "/out", Typeflag: tar.TypeReg}},
		"symlink":      {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/out", Typeflag: tar.TypeReg}},
		"its own":      {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../victim"}, {Name: "l", Typeflag: tar.TypeReg}},
		"mode":         {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l", Typeflag: tar.TypeDir, Mode: 0o777}},
		"hard link":    {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../victim"}},
		"hard through": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "h", Typeflag: tar.TypeLink, Linkname: "l/victim"}},
		"the top":      {{Name: "..", Typeflag: tar.TypeDir, Mode: 0o777}},
	} {
		t.Run(name, func(t *testing.T) {
			work := t.TempDir()
			must(t, os.Mkdir(filepath.Join(work, "in"), 0o755))
			must(t, os.WriteFile(filepath.Join(work, "victim"), []byte("mine\n"), 0o600))
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for _, h := range entries {
				must(t, w.WriteHeader(&h))
			}
			must(t, w.Close())
			run(t, work, archive.String(), filepath.Join(dir, "tar"), "xf", "-", "-C", "in")
			left, err := os.ReadDir(work)
			must(t, err)
			victim, err := os.Stat(filepath.Join(work, "victim"))
			must(t, err)
			top, err := os.Stat(work)
			must(t, err)
			content, _ := os.ReadFile(filepath.Join(work, "victim"))
			if len(left) != 2 || string(content) != "mine\n" || victim.Mode() != 0o600 || top.Mode().Perm() == 0o777 {
				t.Errorf("%v is there, the victim is %s with %q", left, victim.Mode(), content)
			}
			within, err := filepath.Glob(filepath.Join(work, "in", "h"))
			if err != nil || len(within) > 0 {
				t.Errorf("a link out of the directory: %v, %v", within, err)
			}
		})
	}
}

func FuzzUnpack(f *testing.F) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o700}, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."},
		{Name: "d/l/x", Typeflag: tar.TypeReg}, {Name: "h", Typeflag: tar.TypeLink, Linkname: "d/l"}, {Name: "p", Typeflag: tar.TypeFifo},
	} {
		if err := w.WriteHeader(&h); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(archive.Bytes())
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		work := t.TempDir()
		in := filepath.Join(work, "in")
		must(t, os.Mkdir(in, 0o755))
		a := archiver{s: Streams{In: bytes.NewReader(archive), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, action: 'x', dir: in, noOwner: true}
		_ = a.read()
		left, err := os.ReadDir(work)
		must(t, err)
		if !slices.Equal([]string{"in"}, names(left)) {
			t.Errorf("%v", left)
		}
	})
}

func names(entries []os.DirEntry) (names []string) {
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
