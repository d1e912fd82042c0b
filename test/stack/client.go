package stack

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Client is the command line of an engine that one test has for itself.
type Client struct {
	program string
	// engine are the arguments that come first and say which engine is meant.
	engine []string
}

// Command is one command of the client.
func (c Client) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, c.program, slices.Concat(c.engine, args)...)
}

// Output runs a command that must succeed and returns its standard output.
func (c Client) Output(t testing.TB, args ...string) []byte {
	t.Helper()
	return Output(t, c.Command(t.Context(), args...))
}

// Output runs a command that must succeed and returns its standard output.
func Output(t testing.TB, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s (run `make test`, which installs it): %v: %s", cmd, err, stderr.String())
	}
	return out
}
