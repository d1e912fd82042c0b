package action

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// step makes the file commands of a step, with what earlier commands of the
// same step have written.
func step(t *testing.T, before string) Files {
	t.Helper()
	dir := t.TempDir()
	job := map[string]string{}
	for _, name := range []string{"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} {
		job[name] = filepath.Join(dir, name)
		if err := os.WriteFile(job[name], []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return NewFiles(job)
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var hardPairs = []Pair{
	{"PLAIN", "value"}, {"EMPTY", ""}, {"NEWLINE", "\n"}, {"NEWLINES", "\n\na\n\n"}, {"CR", "a\r"}, {"CRLF", "a\r\nb\r\n"},
	{"HEREDOC", "X<<ghadelimiter_\nY=1\nghadelimiter_"}, {"MARK", "\ufeffx"}, {"SPACE", "  a\t "}, {"a.b-c d", "\u2028\u0085é"},
	{"EXPRESSION", "${{ secrets.X }}"}, {"COMMAND", "::set-output name=a::b"},
}

func TestSetPairs(t *testing.T) {
	for _, before := range []string{"", "A=1\n", "A=1", "A<<X\n\nX\n", "\n\n"} {
		f := step(t, before)
		for range 2 { // the second time changes nothing
			if err := errors.Join(f.SetEnv(hardPairs...), f.SetOutputs(hardPairs...)); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{f.Env, f.Output} {
			written := content(t, path)
			got, err := readPairs(written)
			if err != nil {
				t.Fatalf("after %q: %v\n%s", before, err, written)
			}
			for _, p := range hardPairs {
				if got[p.Name] != p.Value {
					t.Errorf("after %q: %s is %q, want %q", before, p.Name, got[p.Name], p.Value)
				}
			}
			if n := bytes.Count(written, []byte("PLAIN<<")); n != 1 {
				t.Errorf("after %q: written %d times", before, n)
			}
			if strings.HasPrefix(before, "A") {
				delete(got, "A")
			}
			if len(got) != len(hardPairs) {
				t.Errorf("after %q: %d variables", before, len(got))
			}
		}
	}
}

func TestSetAnother(t *testing.T) {
	f := step(t, "")
	for _, value := range []string{"1", "2", "2", "1", "1\n"} {
		if err := f.SetEnv(Pair{"A", value}); err != nil {
			t.Fatal(err)
		}
		if got, err := readPairs(content(t, f.Env)); err != nil || got["A"] != value {
			t.Errorf("%q, %v; want %q", got["A"], err, value)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, p := range []Pair{{"", "x"}, {"A=B", "x"}, {"A<<B", "x"}, {"A\nB", "x"}, {"A\r", "x"}, {"\ufeffA", "x"}, {"A\xff", "x"}, {"A", "\xff"}, {"A", "a\x00"}} {
		f := step(t, "")
		if err := f.SetEnv(Pair{"GOOD", "1"}, p); !errors.Is(err, ErrUnfit) {
			t.Errorf("%q: %v", p, err)
		}
		if b := content(t, f.Env); len(b) > 0 {
			t.Errorf("%q: wrote %q", p, b)
		}
	}
	for _, dir := range []string{"", "/a\n/b", "/a\r", "\ufeff/a", "/a\xff", "/\x00"} {
		f := step(t, "")
		if err := f.AddPath("/good", dir); !errors.Is(err, ErrUnfit) {
			t.Errorf("%q: %v", dir, err)
		}
		if b := content(t, f.Path); len(b) > 0 {
			t.Errorf("%q: wrote %q", dir, b)
		}
	}
	f := step(t, "")
	if err := f.AddSummary(strings.Repeat("x", maxSummary)); !errors.Is(err, ErrUnfit) {
		t.Errorf("a summary too large: %v", err)
	}
}

func TestAddPath(t *testing.T) {
	f := step(t, "/before")
	for range 2 {
		if err := f.AddPath("/b", "/a dir"); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(content(t, f.Path)); got != "/before\n/b\n/a dir\n" {
		t.Errorf("wrote %q", got)
	}
	if got := readPath(content(t, f.Path), nil, "/bin"); got != "/a dir:/b:/before:/bin" {
		t.Errorf("PATH is %s", got)
	}
	if err := f.AddPath(); err != nil || len(content(t, f.Path)) != len("/before\n/b\n/a dir\n") {
		t.Errorf("nothing to add: %v", err)
	}
}

func TestAddSummary(t *testing.T) {
	f := step(t, "")
	for _, text := range []string{"# one", "# two\n\n", "# one"} {
		if err := f.AddSummary(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(content(t, f.Summary)); got != "# one\n# two\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestNoFile(t *testing.T) {
	if err := (Files{}).SetEnv(Pair{"A", "1"}); err == nil || err.Error() != "GITHUB_ENV is not set: this is no step of a GitHub job" {
		t.Errorf("no variable: %v", err)
	}
	f := step(t, "")
	if err := os.Remove(f.Output); err != nil {
		t.Fatal(err)
	}
	if err := f.SetOutputs(Pair{"A", "1"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	f.Open = func(string, int, os.FileMode) (*os.File, error) {
		return nil, &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}
	}
	if err := f.SetEnv(Pair{"A", "1"}); err == nil || !strings.Contains(err.Error(), `leave "options: --user" away`) {
		t.Errorf("another user's file: %v", err)
	}
	f = step(t, "")
	if err := os.Truncate(f.Env, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if err := f.SetEnv(Pair{"A", "1"}); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("a huge file: %v", err)
	}
}

// repeating is a source of "randomness" that a value knows.
type repeating struct{ first []byte }

func (r *repeating) Read(p []byte) (int, error) {
	n := copy(p, r.first)
	r.first = r.first[n:]
	if n == 0 {
		return rand.Read(p)
	}
	return n, nil
}

func TestDelimiterInValue(t *testing.T) {
	f := step(t, "")
	f.Random = &repeating{make([]byte, 16)}
	value := "a\nghadelimiter_" + strings.Repeat("0", 32) + "\nEVIL=1"
	if err := f.SetEnv(Pair{"A", value}); err != nil {
		t.Fatal(err)
	}
	if got, err := readPairs(content(t, f.Env)); err != nil || got["A"] != value || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	f.Random = io.LimitReader(rand.Reader, 3)
	if err := f.SetEnv(Pair{"B", "1"}); err == nil {
		t.Error("written without a random delimiter")
	}
}

// FuzzPairs: what is written is read back exactly, or refused before writing,
// whatever stood in the file, and the second time nothing is written.
func FuzzPairs(f *testing.F) {
	for _, p := range hardPairs {
		f.Add(p.Name, p.Value, "B=1")
	}
	f.Add("A", "x\nA<<ghadelimiter_\ny", "A<<B\nB=1\nB")
	f.Add("A<<B", "x", "A<<B\n")
	f.Add("\ufeff", "\xff", "\ufeff")
	f.Add("A", "ghadelimiter_", "A<<ghadelimiter_\n\nghadelimiter_\n")
	f.Fuzz(func(t *testing.T, name, value, before string) {
		path := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		was, malformed := readPairs([]byte(before))
		if utf8.ValidString(before) && !strings.HasPrefix(before, bom) {
			if values, ok := decode(before); ok != (malformed == nil) || ok && !maps.Equal(values, was) {
				t.Fatalf("decode reads %q, the runner %q, %v", values, was, malformed)
			}
		}
		files := Files{Env: path}
		err := files.SetEnv(Pair{name, value})
		after := content(t, path)
		if err != nil {
			if !errors.Is(err, ErrUnfit) || string(after) != before {
				t.Fatalf("refused by %v, and left %q", err, after)
			}
			return
		}
		if malformed == nil {
			got, err := readPairs(after)
			if err != nil || got[name] != value {
				t.Fatalf("read %q, %v from %q", got[name], err, after)
			}
			delete(got, name)
			delete(was, name)
			if len(got) != len(was) {
				t.Fatalf("others were %q, are %q", was, got)
			}
		}
		if malformed != nil || strings.HasPrefix(before, bom) {
			return
		}
		if err := files.SetEnv(Pair{name, value}); err != nil || !bytes.Equal(content(t, path), after) {
			t.Fatalf("the second time: %v", err)
		}
	})
}

// FuzzPlan: whatever an image's ENV is, the file commands take the plan, and
// nothing that the plan must keep from steps is in it.
func FuzzPlan(f *testing.F) {
	f.Add("A", "1", "/a:/b")
	f.Add("DOCKER_HOST", "x", "/a\n:/b")
	f.Add("Node_Options", "x", "::")
	f.Fuzz(func(t *testing.T, name, value, path string) {
		image := []string{name + "=" + value, "PATH=" + path}
		p := NewPlan(image, map[string]string{"PATH": baked})
		dir := t.TempDir()
		files := Files{Env: filepath.Join(dir, "env"), Path: filepath.Join(dir, "path")}
		for _, file := range []string{files.Env, files.Path} {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(files.SetEnv(p.Env...), files.AddPath(p.Path...)); err != nil {
			t.Fatal(err)
		}
		got, err := readPairs(content(t, files.Env))
		if err != nil || len(got) != len(p.Env) {
			t.Fatalf("%q, %v", got, err)
		}
		for name := range got {
			if name == "PATH" || strings.EqualFold(name, "NODE_OPTIONS") || strings.HasPrefix(name, "DOCKER_") || strings.HasPrefix(name, "GITHUB_") {
				t.Fatalf("%s is passed on", name)
			}
		}
		if after := readPath(content(t, files.Path), nil, baked); !strings.HasSuffix(after, baked) {
			t.Fatalf("PATH is %q", after)
		}
	})
}

func TestGit(t *testing.T) {
	image := []string{"PATH=/opt/none:/usr/bin"}
	for _, workspace := range []string{"/__w/app/app", `/w/a "b" \c;#d`, "/w/new\nline", "/w/ space "} {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[user]\n\tname = somebody"), 0o644); err != nil {
			t.Fatal(err)
		}
		g := PlanGit(image, map[string]string{"HOME": home, "GITHUB_WORKSPACE": workspace}, true)
		for range 2 {
			if err := (Files{}).AddGit(g); err != nil {
				t.Fatal(err)
			}
		}
		git := exec.Command("git", "config", "--global", "--null", "--get-all", "safe.directory")
		git.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
		out, err := git.Output()
		if err != nil || string(out) != workspace+"\x00" {
			t.Errorf("git reads %q, %v; want %q", out, err, workspace)
		}
	}
	job := map[string]string{"HOME": "/github/home", "GITHUB_WORKSPACE": "/__w/a/a"}
	if g := PlanGit(image, job, true); g.File != "/github/home/.gitconfig" {
		t.Errorf("the file is %s", g.File)
	}
	for name, g := range map[string]Git{
		"no git":          PlanGit(image, job, false),
		"no workspace":    PlanGit(image, map[string]string{"HOME": "/github/home"}, true),
		"no home":         PlanGit(image, map[string]string{"GITHUB_WORKSPACE": "/__w/a/a"}, true),
		"image's config":  PlanGit([]string{"GIT_CONFIG_GLOBAL=/x"}, job, true),
		"somebody's own":  PlanGit(image, map[string]string{"HOME": "/h", "GITHUB_WORKSPACE": "/w", "GIT_CONFIG_GLOBAL": "/x"}, true),
		"a relative home": PlanGit(image, map[string]string{"HOME": "h", "GITHUB_WORKSPACE": "/w"}, true),
	} {
		if err := (Files{}).AddGit(g); g != (Git{}) || err != nil {
			t.Errorf("%s: %q, %v", name, g, err)
		}
	}
	g := Git{File: filepath.Join(t.TempDir(), "none", ".gitconfig"), Text: "x"}
	if err := (Files{}).AddGit(g); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "git's configuration: ") {
		t.Errorf("no directory: %v", err)
	}
}

func TestHasGit(t *testing.T) {
	root := fstest.MapFS{
		"usr/bin/git":   {Mode: 0o755},
		"opt/git":       {Mode: fs.ModeDir | 0o755},
		"usr/share/git": {Mode: 0o644},
	}
	for path, want := range map[string]bool{
		"/usr/local/bin:/usr/bin": true, "/usr/bin/": true, "/opt": false, "/usr/share": false, "usr/bin": false, "": false, "/../usr/bin": true,
	} {
		if got := HasGit(root, []string{"PATH=" + path}); got != want {
			t.Errorf("PATH=%s: %v", path, got)
		}
	}
	if HasGit(root, nil) {
		t.Error("without a PATH")
	}
	if !HasGit(os.DirFS("/"), []string{"PATH=" + os.Getenv("PATH")}) {
		t.Error("this machine's git is not found")
	}
}
