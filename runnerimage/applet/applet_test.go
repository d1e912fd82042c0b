package applet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// asApplet makes the test binary an applet when it is called by an applet's
// name, as the links in a container call the real one.
const asApplet = "CLIPPER_TEST_APPLET"

func TestMain(m *testing.M) {
	if os.Getenv(asApplet) != "" {
		os.Exit(Main(context.Background(), filepath.Base(os.Args[0]), os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(m.Run())
}

// outcome is what a command did.
type outcome struct {
	out  string
	code int
}

func run(t *testing.T, dir, stdin, path string, args ...string) outcome {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Args[0] = filepath.Base(path)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), asApplet+"=1", "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", path, err)
	}
	if errs.Len() > 0 {
		t.Logf("%s %q: %s", path, args, errs.String())
	}
	return outcome{out.String(), cmd.ProcessState.ExitCode()}
}

// applets links every name to the test binary.
func applets(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range Names() {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestAsTheRealOnes runs each command as an applet and as the system's own.
func TestAsTheRealOnes(t *testing.T) {
	const text = "one\ntwo two\nThree(3)\nfour+\n"
	dir := applets(t)
	for _, test := range []struct {
		stdin string
		args  []string
	}{
		{text, []string{"cat"}},
		{text, []string{"cat", "f", "-"}},
		{"", []string{"cat", "missing"}},
		{text, []string{"grep", "two"}},
		{text, []string{"grep", "-n", "o"}},
		{text, []string{"grep", "-vi", "THREE"}},
		{text, []string{"grep", "-c", "o"}},
		{text, []string{"grep", "-o", "t[wx]o"}},
		{text, []string{"grep", "-w", "tw"}},
		{text, []string{"grep", "-x", "one"}},
		{text, []string{"grep", "-F", "(3)"}},
		{text, []string{"grep", "e(3)"}},
		{text, []string{"grep", `\(on\|fou\)`}},
		{text, []string{"grep", "-E", "(on|fou)"}},
		{text, []string{"grep", `r+`}},
		{text, []string{"grep", "-E", `r\+`}},
		{text, []string{"grep", "[]e]$"}},
		{"*a\nb\n", []string{"grep", "*a"}},
		{text, []string{"grep", "-e", "one", "-e", "four"}},
		{text, []string{"grep", "-q", "four"}},
		{text, []string{"grep", "nothing"}},
		{text, []string{"grep", "-s", "x", "missing"}},
		{"", []string{"grep", "-l", "file", "f", "g"}},
		{"", []string{"grep", "file", "f", "g"}},
		{"", []string{"grep", "-h", "file", "f", "g"}},
		{"", []string{"grep", "-E", "("}},
		{text, []string{"head", "-n", "2"}},
		{text, []string{"head", "-1"}},
		{text, []string{"head", "-c", "5"}},
		{"no end", []string{"head"}},
		{text, []string{"tail", "-n", "2"}},
		{text, []string{"tail", "-c", "5"}},
		{text, []string{"tail", "-n1"}},
		{text, []string{"wc", "-l"}},
		{text, []string{"wc", "-c"}},
		{text, []string{"wc", "-w"}},
		{"", []string{"basename", "/a/b.txt", ".txt"}},
		{"", []string{"basename", "a/"}},
		{"", []string{"dirname", "/a/b", "c", "/x/"}},
		{"", []string{"test", "-f", "f"}},
		{"", []string{"test", "-d", "f"}},
		{"", []string{"[", "a", "=", "b", "]"}},
		{"", []string{"[", "a", "=", "a", "]"}},
		{"", []string{"true"}},
		{"", []string{"false"}},
		{"", []string{"printf", "%s-%d\n", "a", "3"}},
		{"", []string{"pwd"}},
		{"", []string{"id", "-u"}},
		{"", []string{"id", "-un"}},
		{"", []string{"id", "-g"}},
		{"", []string{"id"}},
		{"", []string{"uname"}},
		{"", []string{"uname", "-sm"}},
		{"", []string{"uname", "-a"}},
		{"", []string{"env", "-i", "A=1", "B=2"}},
		{"", []string{"env", "-i", "/bin/sh", "-c", "exit 3"}},
		{"", []string{"env", "no-such-command"}},
		{"", []string{"stat", "-c", "%a %F %n %s %u:%g %h %Y", "f", "d", "l"}},
		{"", []string{"stat", "-L", "-c", "%F", "l"}},
		{"", []string{"readlink", "l"}},
		{"", []string{"readlink", "f"}},
		{"", []string{"readlink", "-f", "l"}},
		{"", []string{"sleep", "0.01"}},
		{"", []string{"find", "d"}},
		{"", []string{"sh", "-c", "echo $1", "name", "first"}},
		{"", []string{"sh", "-ec", "false; echo not reached"}},
		{"", []string{"sh", "-e", "script", "arg"}},
		{"", []string{"sh", "-c", "cat f | grep file; exit 5"}},
		{"", []string{"sh", "-c", "for i in a b; do echo $i; done; x=$(cat f); echo \"$x\""}},
		{"", []string{"sh", "-c", "if"}},
		{"", []string{"sh", "-c", "no-such-command"}},
		{"echo from stdin; exit 4\n", []string{"sh"}},
		{"echo $1", []string{"sh", "-s", "x"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			work := t.TempDir()
			for name, content := range map[string]string{"f": "a file\n", "g": "g file\n", "script": "echo script $1\nfalse\necho not reached\n"} {
				if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Mkdir(filepath.Join(work, "d"), 0o750), os.Symlink("f", filepath.Join(work, "l"))); err != nil {
				t.Fatal(err)
			}
			real, err := exec.LookPath(test.args[0])
			if err != nil {
				t.Fatal(err)
			}
			want := run(t, work, test.stdin, real, test.args[1:]...)
			got := run(t, work, test.stdin, filepath.Join(dir, test.args[0]), test.args[1:]...)
			if got != want {
				t.Errorf("got %+v, the system's own %+v", got, want)
			}
		})
	}
}

func TestUnknownOptions(t *testing.T) {
	dir := applets(t)
	for _, args := range [][]string{
		{"grep", "-P", "x"}, {"grep"}, {"head", "-z"}, {"tail", "-n", "x"}, {"sleep", "x"}, {"sleep"}, {"stat", "f"},
		{"id", "-Z"}, {"uname", "-q"}, {"ln", "a"}, {"sh", "-Z"}, {"sh", "-c"}, {"wc", "-m"}, {"dirname"},
	} {
		if got := run(t, t.TempDir(), "", filepath.Join(dir, args[0]), args[1:]...); got.code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, got.code)
		}
	}
}

func TestFilesAreChanged(t *testing.T) {
	dir, work := applets(t), t.TempDir()
	script := `set -e
		mkdir -p a/b; echo x >a/b/f; cp -r a c; mv c/b/f c/g; touch t; chmod 600 t; ln -s g c/l; ln c/g c/h; rm -r a
		cat c/l c/h; ls c`
	cmd := exec.Command(filepath.Join(dir, "sh"), "-c", script)
	cmd.Dir, cmd.Env = work, []string{"PATH=" + dir, asApplet + "=1"}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "x\nx\nb\ng\nh\nl\n" {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestTailKeepsAContainerAlive(t *testing.T) {
	dir := applets(t)
	cmd := exec.Command(filepath.Join(dir, "tail"), "-f", "/dev/null")
	cmd.Env = []string{asApplet + "=1"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("ended at once: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	cmd.Process.Kill()
	<-ended
}

func TestUnknownApplet(t *testing.T) {
	var errs bytes.Buffer
	code := Main(context.Background(), "vi", nil, Streams{Err: &errs})
	if code != 127 || !strings.Contains(errs.String(), "grep") {
		t.Errorf("%d %q", code, &errs)
	}
}

func TestNamesAnswerWhatRunnersAsk(t *testing.T) {
	// What GitHub's runner and its Kubernetes hooks call in a job container.
	for _, name := range strings.Fields("sh env mkdir cp find dirname rm stat tar cat grep [ tail") {
		if !slices.Contains(Names(), name) {
			t.Errorf("no applet %s", name)
		}
	}
}

func TestHealth(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	failure := errors.New("failed")
	var h health
	if !h.due(now, time.Minute) || h.healthy(3) {
		t.Errorf("before the first test: %+v", h)
	}
	h = h.after(now, failure)
	if h.healthy(3) || !h.due(now.Add(time.Second), time.Minute) {
		t.Errorf("a container that never was healthy is not, and is tested again at once: %+v", h)
	}
	h = h.after(now, nil)
	if !h.healthy(3) || h.due(now.Add(59*time.Second), time.Minute) || !h.due(now.Add(time.Minute), time.Minute) {
		t.Errorf("after the test passed: %+v", h)
	}
	if !h.due(now.Add(-time.Second), time.Minute) {
		t.Error("a clock that was set back stops the tests")
	}
	for range 2 {
		h = h.after(now, failure)
	}
	if !h.healthy(3) {
		t.Errorf("two failures of three allowed: %+v", h)
	}
	if h = h.after(now, failure); h.healthy(3) {
		t.Errorf("three failures: %+v", h)
	}
	path := filepath.Join(t.TempDir(), "last.json")
	if err := h.save(path); err != nil {
		t.Fatal(err)
	}
	if got, err := loadHealth(path); err != nil || got != h {
		t.Errorf("loaded %+v, %v; want %+v", got, err, h)
	}
}

// FuzzExtended checks that a basic regular expression in which every special
// character is quoted matches its text and nothing else, as with grep -F.
func FuzzExtended(f *testing.F) {
	for _, text := range []string{"a(b)", "*", "[]a]", "[^]]x", `\`, "a{2}", "[", "x+", "a|b", "^.$", "?"} {
		f.Add(text)
	}
	quote := strings.NewReplacer(`\`, `\\`, ".", `\.`, "[", `\[`, "]", `\]`, "*", `\*`, "^", `\^`, "$", `\$`)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // no pattern of package regexp
		}
		match, err := regexp.Compile(`\A(?s:` + extended(quote.Replace(text)) + `)\z`)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !match.MatchString(text) || match.MatchString(text+"x") {
			t.Errorf("%q became %s", text, match)
		}
	})
}
