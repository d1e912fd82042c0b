package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// probeImage is the busybox image with the probe as its command.
func probeImage(t *testing.T, change func(*v1.Config)) stack.Image {
	img := busybox(t)
	img.Layers = append(slices.Clone(img.Layers), stack.Tar(tarball.Build(
		tarball.Dir("usr"), tarball.Dir("usr/local"), tarball.Dir("usr/local/bin"),
		program(t, "usr/local/bin/probe", "test/e2e/probe"),
		tarball.Dir("srv"), tarball.File("srv/not-a-program", "text\n"), tarball.Dir("srv/private", tarball.Mode(0o700), tarball.Owner(1000, 1000)),
	)))
	img.Config.Env = append(slices.Clone(img.Config.Env), "COLOR=image", "SIZE=image", "EMPTY=")
	img.Config.Cmd = []string{"probe"}
	if change != nil {
		change(&img.Config)
	}
	return img
}

// processCase is a container whose process is compared.
type processCase struct {
	name   string
	config func(*v1.Config)
	spec   stack.RunSpec
	// direct and runner are what only one of the two is given, where the
	// runner has a setting in place of a flag.
	direct, runner stack.RunSpec
}

func user(user string) func(*v1.Config) {
	return func(c *v1.Config) { c.User = user }
}

func flags(flags ...string) stack.RunSpec { return stack.RunSpec{Flags: flags} }

var processes = []processCase{
	{name: "default"},
	{name: "user by name", config: user("app")},
	{name: "user by number", config: user("1000")},
	{name: "user with another group", config: user("svc")},
	{name: "user and group by number", config: user("1000:29")},
	{name: "user and group by name", config: user("app:audio")},
	{name: "user by name, group by number", config: user("app:2500")},
	{name: "user by number, group by name", config: user("101:app")},
	{name: "user that passwd does not know", config: user("4242")},
	{name: "user and group that nobody knows", config: user("4242:4243")},
	{name: "user by a number that is a name too", config: user("2000")},
	{name: "root by name", config: user("root")},
	{name: "root with group", config: user("0:0")},

	{name: "working directory", config: func(c *v1.Config) { c.WorkingDir = "/home/app" }},
	{name: "working directory that is missing", config: func(c *v1.Config) { c.WorkingDir = "/made/by/nobody" }},
	{name: "working directory that is missing, with a user", config: func(c *v1.Config) { c.WorkingDir, c.User = "/made/by/nobody", "app" }},
	{name: "working directory that only the user may enter", config: func(c *v1.Config) { c.WorkingDir, c.User = "/srv/private", "app" }},
	{name: "working directory of the container", spec: flags("--workdir", "/home/app")},
	{name: "working directory of the container, missing", spec: flags("--workdir", "/new/dir")},

	{name: "entrypoint", config: func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"probe", "one"}, nil }},
	{name: "entrypoint and command", config: func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"/usr/local/bin/probe", "one"}, []string{"two", ""} }},
	{name: "arguments replace the command", config: func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"probe"}, []string{"image"} }, spec: stack.RunSpec{Args: []string{"mine", "a b", "$HOME", "--"}}},
	{name: "arguments as command", spec: stack.RunSpec{Args: []string{"probe", "", "é\n"}}},
	{name: "entrypoint override drops the command", config: func(c *v1.Config) { c.Cmd = []string{"image"} }, spec: stack.RunSpec{Entrypoint: []string{"probe"}}},
	{name: "entrypoint override with arguments", spec: stack.RunSpec{Entrypoint: []string{"probe"}, Args: []string{"x"}}},
	{name: "relative command", config: func(c *v1.Config) { c.WorkingDir, c.Cmd = "/usr/local", []string{"bin/probe"} }},

	{name: "environment wins over the image", spec: stack.RunSpec{Env: []string{"COLOR=mine", "NEW=1", "EMPTY=now", "SIZE="}}},
	{name: "path of the user", spec: stack.RunSpec{Env: []string{"PATH=/usr/local/bin"}}},
	{name: "home of the user", config: user("app"), spec: stack.RunSpec{Env: []string{"HOME=/somewhere"}}},
	{name: "home of the image", config: func(c *v1.Config) { c.User, c.Env = "app", append(c.Env, "HOME=/image") }},
	{name: "no environment in the image", config: func(c *v1.Config) { c.Env, c.Cmd = nil, []string{"/usr/local/bin/probe"} }},
	{name: "values with everything", spec: stack.RunSpec{Env: []string{"A=b=c", "SPACE= x ", "LINES=1\n2", "CLIPPER_OTHER=stays"}}},
	{name: "hostname and term", spec: flags("--tty")},

	{name: "--user by number", spec: flags("--user", "1000")},
	{name: "--user with group", spec: flags("--user", "1000:1000")},
	{name: "--user unknown", spec: flags("--user", "4242")},
	// From inside, --user 0 is what the runner image has anyway.
	{name: "root over the image's user", config: user("app"), direct: flags("--user", "0"), runner: stack.RunSpec{RunnerEnv: []string{"CLIPPER_USER=0"}}},
	{name: "--user and --group-add", spec: flags("--user", "1000", "--group-add", "77")},
	{name: "--group-add", config: user("app"), spec: flags("--group-add", "77")},
	{name: "CLIPPER_USER", config: user("svc"), spec: stack.RunSpec{User: "app:audio"}},

	// Without SETGID nothing can give root the groups of the image.
	{name: "--cap-drop ALL", config: user("0:0"), spec: flags("--cap-drop", "ALL")},
	{name: "--cap-drop one", spec: flags("--cap-drop", "NET_RAW")},
	{name: "--cap-drop one, with a user", config: user("app"), spec: flags("--cap-drop", "NET_RAW")},
	{name: "CLIPPER_CAP_DROP", direct: flags("--cap-drop", "NET_RAW", "--cap-drop", "CHOWN"), runner: stack.RunSpec{RunnerEnv: []string{"CLIPPER_CAP_DROP=NET_RAW,CAP_CHOWN"}}},
	{name: "--cap-add", spec: flags("--cap-add", "SYS_TIME")},
	{name: "--cap-add, with a user", config: user("app"), spec: flags("--cap-add", "SYS_TIME")},
	{name: "no-new-privileges", spec: flags("--security-opt", "no-new-privileges")},
	{name: "no-new-privileges, with a user", config: user("app"), spec: flags("--security-opt", "no-new-privileges")},
	{name: "seccomp unconfined", spec: flags("--security-opt", "seccomp=unconfined")},

	{name: "tty", config: user("app"), spec: flags("--tty")},
	{name: "standard input", config: user("app"), spec: stack.RunSpec{Stdin: strings.NewReader("")}},
	{name: "--init", spec: flags("--init")},
	{name: "--init, with a user", config: user("app"), spec: flags("--init")},
	{name: "--ulimit", spec: flags("--ulimit", "nofile=512:1024")},
	{name: "another stop signal", config: func(c *v1.Config) { c.StopSignal = "SIGTERM" }},
}

func TestProcess(t *testing.T) {
	for _, c := range processes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "process/"+slug(c.name), probeImage(t, c.config))
			lab.Engine.Pull(t, ref)
			want := describe(t, c, ref, stack.Direct)
			got := describe(t, c, ref, stack.Runner)
			for _, field := range slices.Sorted(maps.Keys(want)) {
				if want[field] != got[field] {
					t.Errorf("%s:\n want %s\n got  %s", field, want[field], got[field])
				}
			}
		})
	}
}

// describe runs the probe and returns its report, each field as text.
func describe(t *testing.T, c processCase, ref string, via stack.Via) map[string]string {
	t.Helper()
	result := lab.Run(t, c.container(ref, via))
	if result.Exit != 0 {
		t.Fatalf("%s: exit %d\n%s%s", via, result.Exit, result.Stdout, result.Stderr)
	}
	// On a terminal the runner's own lines are in the same stream.
	start := strings.LastIndex(result.Stdout, `{"UID"`)
	if start < 0 {
		t.Fatalf("%s: no report in %q, stderr %s", via, result.Stdout, result.Stderr)
	}
	if !slices.Contains(c.spec.Flags, "--tty") && start > 0 {
		t.Errorf("%s: something else on standard output: %q", via, result.Stdout[:start])
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(result.Stdout[start:]), &fields); err != nil {
		t.Fatal(err)
	}
	report := map[string]string{}
	for field, value := range fields {
		report[field] = string(value)
	}
	var env []string
	if err := json.Unmarshal(fields["Env"], &env); err != nil {
		t.Fatal(err)
	}
	slices.Sort(env) // where a variable stands is the engine's affair
	report["Env"] = fmt.Sprintf("%q", env)
	return report
}

// container is the case's container for one of the two ways.
func (c processCase) container(ref string, via stack.Via) stack.RunSpec {
	spec, own := c.spec, c.direct
	if via == stack.Runner {
		own = c.runner
	}
	spec.Image, spec.Via = ref, via
	spec.Flags = slices.Concat([]string{"--hostname", "box"}, spec.Flags, own.Flags)
	spec.RunnerEnv = own.RunnerEnv
	return spec
}

// slug makes a repository's name of a test's.
func slug(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '-'
	}, strings.NewReplacer(", ", "-", " ", "-", "--", "").Replace(name)), "-")
}

// TestKernelView compares what only the kernel can tell, through a program
// that touches neither signals nor limits before it looks.
func TestKernelView(t *testing.T) {
	ref := lab.Push(t, "process/kernel", probeImage(t, nil))
	lab.Engine.Pull(t, ref)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"signals", []string{"grep", "-E", "^(Shd|Sig)(Pnd|Blk|Ign|Cgt)|^Name|^Umask|^NoNewPrivs|^Seccomp:|^Cap", "/proc/self/status"}},
		{"limits", []string{"cat", "/proc/self/limits"}},
		{"schedule", []string{"cat", "/proc/self/oom_score_adj", "/proc/self/coredump_filter", "/proc/self/personality", "/proc/self/cmdline"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Direct, Args: c.args})
			got := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, Args: c.args})
			if want.Stdout == "" || got.Stdout != want.Stdout {
				t.Errorf("want:\n%sgot:\n%sstderr: %s", want.Stdout, got.Stdout, got.Stderr)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		config func(*v1.Config)
		spec   stack.RunSpec
		want   int
	}{
		{name: "0", spec: stack.RunSpec{Args: []string{"probe", "exit", "0"}}},
		{name: "3", spec: stack.RunSpec{Args: []string{"probe", "exit", "3"}}, want: 3},
		{name: "85 of the program's own", spec: stack.RunSpec{Args: []string{"probe", "exit", "85"}}, want: 85},
		{name: "not found in PATH", spec: stack.RunSpec{Args: []string{"nothing-of-this-name"}}, want: 127},
		{name: "not found", spec: stack.RunSpec{Args: []string{"/nothing/of/this/name"}}, want: 127},
		{name: "not executable", spec: stack.RunSpec{Args: []string{"/srv/not-a-program"}}, want: 126},
		{name: "directory", spec: stack.RunSpec{Args: []string{"/srv"}}, want: 126},
		{name: "not allowed", config: user("4242"), spec: stack.RunSpec{Args: []string{"/srv/private/x"}}, want: 126},
		{name: "first process ignores what it does not handle", spec: stack.RunSpec{Args: []string{"sh", "-c", "kill -TERM $$; exit 7"}}, want: 7},
		{name: "killed by TERM under --init", spec: stack.RunSpec{Args: []string{"sh", "-c", "kill -TERM $$; exit 7"}, Flags: []string{"--init"}}, want: 143},
		{name: "killed by KILL under --init", spec: stack.RunSpec{Args: []string{"sh", "-c", "kill -KILL $$"}, Flags: []string{"--init"}}, want: 137},
		{name: "exit under another stop signal", config: func(c *v1.Config) { c.StopSignal = "SIGQUIT" }, spec: stack.RunSpec{Args: []string{"probe", "exit", "9"}}, want: 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "exit/"+slug(c.name), probeImage(t, c.config))
			lab.Engine.Pull(t, ref)
			for _, via := range []stack.Via{stack.Direct, stack.Runner} {
				spec := c.spec
				spec.Image, spec.Via = ref, via
				if got := lab.Run(t, spec); got.Exit != c.want {
					t.Errorf("%s: want exit %d, got %d\n%s", via, c.want, got.Exit, got.Stderr)
				}
			}
		})
	}
}

func TestStandardInputReachesTheProgram(t *testing.T) {
	ref := lab.Push(t, "process/stdin", probeImage(t, user("app")))
	text := strings.Repeat("line by line\n", 10_000)
	got := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, Args: []string{"probe", "cat"}, Stdin: strings.NewReader(text)})
	if got.Stdout != "ready\n"+text {
		t.Errorf("%d bytes came back of %d: %s", len(got.Stdout), len(text), got.Stderr)
	}
}
