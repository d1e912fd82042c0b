package fakehub

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Octokit runs a script of the testdata of the test's package, with the packages
// of npm that GitHub's own people write, until the test ends. It is for packages
// two directories down, from where .setup has Node and those packages.
func Octokit(t testing.TB, script string, environment ...string) (output io.Reader) {
	t.Helper()
	const setup = "../../.setup"
	source, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	node, err := filepath.Abs(filepath.Join(setup, "externals/node24/bin/node"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "--eval", string(source))
	cmd.Dir = filepath.Join(setup, "npm") // where its imports are looked for
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // a server ends with it
		t.Fatal(err)
	}
	output, err = cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("the set-up has not been made: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the end of the test's context has killed it
	return output
}
