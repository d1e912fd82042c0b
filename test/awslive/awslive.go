// Package awslive runs the commands of `clipper-runner ecs` against an account
// of AWS, from a private image to a service that is healthy, updated, rolled
// back and gone. In goes an account, real or imitated; all that is made there
// begins with one name, and is removed again.
//
// The tests of this package run it in ecsfake. With the build tag "aws" they
// run it in a real account instead: see CONTRIBUTING.md.
package awslive

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Account is where the cases run.
type Account struct {
	// Config is for what surrounds the cases: a role, a parameter, a cluster.
	Config aws.Config
	// Environ names the account to clipper-runner, beside the environment.
	Environ []string
	// Program is clipper-runner.
	Program string
	// Name begins everything's name: letters, numbers and hyphens.
	Name string
	// Image has a shell and no entry point; Credentials get it, "" if everybody
	// may.
	Image, Credentials string
	// RunnerImage is the runner's. Default: the program's own.
	RunnerImage string
	// Subnets are where tasks reach the registries from, by addresses of their
	// own.
	Subnets []string
	// Poll is how often clipper-runner asks. Default: as it does by itself.
	Poll string
}

// Run runs all cases, one after the other, as each needs what the one before
// it has left.
func (a Account) Run(t *testing.T) {
	w := a.furnish(t)
	for _, c := range []struct {
		name string
		run  func(*world, *testing.T)
	}{
		{"render", (*world).render}, {"verify", (*world).verify}, {"deploy", (*world).deploy}, {"update", (*world).update},
		{"roll back", (*world).rollBack}, {"run", (*world).runTask},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.run(w, t) }) {
			t.Fatalf("the cases after %q need what it leaves", c.name)
		}
	}
}

// world is an account that is furnished.
type world struct {
	Account
	account string // its number
	role    string // the execution role's ARN
	dir     string // where the commands run
}

// parameter is the name of the credentials' parameter.
func (w *world) parameter() string { return "/" + w.Name + "/registry" }

// group is the name of the log group.
func (w *world) group() string { return "/" + w.Name }

func (w *world) identify(t *testing.T) {
	t.Helper()
	out, err := sts.NewFromConfig(w.Config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	w.account = *out.Account
}

// said is what a command printed.
type said struct{ stdout, stderr string }

// ecs runs clipper-runner ecs …, which must end with this exit code and never
// shows the credentials.
func (w *world) ecs(t *testing.T, exit int, args ...string) said {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), w.Program, append([]string{"ecs"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.dir, &stdout, &stderr
	cmd.Env = append(append(os.Environ(), w.Environ...), "CLIPPER_CREDENTIALS="+w.Credentials, "GITHUB_STEP_SUMMARY=")
	_ = cmd.Run() // its exit code counts
	s := said{stdout.String(), stderr.String()}
	if got := cmd.ProcessState.ExitCode(); got != exit {
		t.Fatalf("ecs %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, exit, s.stdout, s.stderr)
	}
	if _, password, ok := strings.Cut(w.Credentials, ":"); ok && strings.Contains(s.stdout+s.stderr, password) {
		t.Errorf("ecs %s shows the password", strings.Join(args, " "))
	}
	return s
}

// rendering are the flags of all that renders.
func (w *world) rendering() []string {
	var flags []string
	if w.Credentials != "" {
		flags = append(flags, "--credentials", w.parameter())
	}
	if w.RunnerImage != "" {
		flags = append(flags, "--runner-image", w.RunnerImage)
	}
	return flags
}

// watching are the flags of all that waits.
func (w *world) watching() []string {
	flags := []string{"--cluster", w.Name}
	if w.Poll != "" {
		flags = append(flags, "--poll", w.Poll)
	}
	return flags
}

// write puts JSON into a file beside the commands.
func (w *world) write(t *testing.T, name string, value any) {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, name), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// has fails the test if a text lacks something.
func has(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// revision is how commands tell a revision of the family.
func (w *world) revision(n int) string { return fmt.Sprintf("%s:%d", w.Name, n) }
