package applet

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/state"
)

// container is a root directory with this system's programs, and this test's
// binary as its health check.
type container struct {
	root string
	// binds are the directories that it shares with this system.
	binds []string
}

func newContainer(t *testing.T) container {
	t.Helper()
	c := container{root: t.TempDir(), binds: []string{"usr", "proc", "dev"}}
	for d := c.root; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"etc", "home/app", "srv", ".clipper-runner/health"} {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + dir); err == nil {
			if err := os.Symlink(target, filepath.Join(c.root, dir)); err != nil {
				t.Fatal(err)
			}
		} else if info, err := os.Stat("/" + dir); err == nil && info.IsDir() {
			c.binds = append(c.binds, dir)
		}
	}
	for _, dir := range c.binds {
		if err := os.Mkdir(filepath.Join(c.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.write(t, "etc/passwd", strings.NewReader("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"), 0o644)
	c.write(t, "etc/group", strings.NewReader("root:x:0:\napp:x:1000:\n"), 0o644)
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	c.write(t, ".clipper-runner/healthcheck", self, 0o755)
	return c
}

func (c container) write(t *testing.T, path string, content io.Reader, mode os.FileMode) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(c.root, path), os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// holds says how far the image of this config is laid out.
func (c container) holds(t *testing.T, phase state.Phase, config string, change func(*state.Layout)) {
	t.Helper()
	layout := state.Layout{Phase: phase, Image: "app", Config: []byte(config), Own: []string{"CLIPPER_CREDENTIALS", "CLIPPER_USER"}}
	if change != nil {
		change(&layout)
	}
	if err := layout.Save(filepath.Join(c.root, statePath)); err != nil {
		t.Fatal(err)
	}
}

// check is the health check as an engine starts it: as root, in /, with the
// container's variables.
func (c container) check(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	script := `root=$1; shift; for dir in ` + strings.Join(c.binds, " ") + `; do mount --rbind "/$dir" "$root/$dir"; done
		exec env -i PATH="$TEST_PATH" ` + asApplet + `=1 GREETING=given CLIPPER_CREDENTIALS=secret chroot "$root" /.clipper-runner/healthcheck "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-euc", script, "sh", c.root}, args...)...)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "TEST_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.clipper-runner/bin")
	return cmd
}

// result runs a check to its end.
func result(t *testing.T, cmd *exec.Cmd) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

const appConfig = `{"config":{"User":"app","WorkingDir":"/home/app","Env":["GREETING=image's","ONLY=image's"]}}`

// TestGivenCheck: what a task definition says runs as the image has it, and
// what comes of it is the check's own.
func TestGivenCheck(t *testing.T) {
	c := newContainer(t)
	for _, test := range []struct {
		name   string
		config string
		change func(*state.Layout)
		args   []string
		out    string
		code   int
	}{
		{name: "user, directory, environment", args: []string{"CMD-SHELL", `echo "$(id -un) in $(pwd), $HOME: $GREETING, $ONLY, ${CLIPPER_CREDENTIALS-no secret}"`},
			out: "app in /home/app, /home/app: given, image's, no secret\n"},
		{name: "settings before the image", change: func(l *state.Layout) { l.User, l.WorkDir = "0", "/srv" },
			args: []string{"CMD-SHELL", `echo "$(id -un) in $(pwd)"`}, out: "root in /srv\n"},
		{name: "words", args: []string{"CMD", "printf", "<%s>", "a b", "--", "$HOME"}, out: "<a b><--><$HOME>"},
		{name: "the image's SHELL", config: `{"config":{"Shell":["/bin/echo","shell:"]}}`, args: []string{"CMD-SHELL", "exit 1"}, out: "shell: exit 1\n"},
		{name: "exit code", args: []string{"CMD-SHELL", "exit 22"}, code: 22},
		{name: "no such program", args: []string{"CMD", "curl-that-is-not-there"}, code: 127},
		{name: "dropped capabilities", config: `{}`, change: func(l *state.Layout) { l.CapDrop = []string{"ALL"} },
			args: []string{"CMD", "grep", "-E", "^Cap(Eff|Bnd)", "/proc/self/status"}, out: "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"},
		{name: "not the image's own", config: `{"config":{"Healthcheck":{"Test":["CMD","false"]}}}`, args: []string{"CMD", "true"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.config == "" {
				test.config = appConfig
			}
			c.holds(t, state.Done, test.config, test.change)
			out, errs, code := result(t, c.check(t, append([]string{"--"}, test.args...)...))
			if out != test.out || code != test.code {
				t.Errorf("exit %d, %q, %q; want %d, %q", code, out, errs, test.code, test.out)
			}
		})
	}
}

// TestGivenCheckBeforeTheImage: it fails, and says nothing.
func TestGivenCheckBeforeTheImage(t *testing.T) {
	c := newContainer(t)
	for _, phase := range []state.Phase{state.None, state.Writing} {
		if phase != state.None {
			c.holds(t, phase, appConfig, nil)
		}
		if out, errs, code := result(t, c.check(t, "--", "CMD", "true")); out != "" || errs != "" || code != 1 {
			t.Errorf("phase %q: exit %d, %q, %q", phase, code, out, errs)
		}
	}
}

func TestGivenCheckRefuses(t *testing.T) {
	c := newContainer(t)
	for _, args := range []string{"CMD true", "--", "-- NONE", "-- CMD", "-- CMD-SHELL", "-- true"} {
		if _, errs, code := result(t, c.check(t, strings.Fields(args)...)); code != 2 || !strings.Contains(errs, "usage: healthcheck") {
			t.Errorf("%s: exit %d, %q", args, code, errs)
		}
	}
}

// TestGivenCheckIsSignalled: an engine whose time-out is over signals the
// process that it started, and that is the check.
func TestGivenCheckIsSignalled(t *testing.T) {
	c := newContainer(t)
	c.holds(t, state.Done, appConfig, nil)
	cmd := c.check(t, "--", "CMD-SHELL", "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("ended with %v, want exit code 7", err)
	}
}

// TestImageCheck: without arguments it is the image's own.
func TestImageCheck(t *testing.T) {
	c := newContainer(t)
	if _, errs, code := result(t, c.check(t)); code != 1 || !strings.Contains(errs, "not laid out yet") {
		t.Errorf("before the image: exit %d, %q", code, errs)
	}
	for _, test := range []struct {
		test string
		code int
	}{
		{`null`, 0},
		{`{"Test":["NONE"]}`, 0},
		{`{"Test":["CMD","false"]}`, 1},
		{`{"Test":["CMD-SHELL","test \"$(id -un)\" = app"]}`, 0},
	} {
		c.holds(t, state.Done, `{"config":{"User":"app","Healthcheck":`+test.test+`}}`, nil)
		if _, errs, code := result(t, c.check(t)); code != test.code {
			t.Errorf("%s: exit %d, %q; want %d", test.test, code, errs, test.code)
		}
	}
}
