// Package awssdk finds, for tests, what the modules of AWS's SDK have beside
// code: their sources, whose comments are AWS's documentation, and AWS's own
// samples of requests and answers with every member set.
package awssdk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Module is the module of one service.
type Module struct {
	Dir string
}

// Service finds the module of a service, "cloudwatchlogs".
func Service(t testing.TB, name string) Module {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return Module{strings.TrimSpace(string(out))}
}

// Request is the body of the sample of an operation's request.
func (m Module) Request(t testing.TB, operation string) []byte {
	t.Helper()
	return m.body(t, "request_snapshot/"+operation+".request.snap")
}

// Response is the body of the sample of an operation's answer. Services of the
// Query protocol have none.
func (m Module) Response(t testing.TB, operation string) []byte {
	t.Helper()
	return m.body(t, "response_snapshot/"+operation+".response.snap")
}

// body is what follows a sample's head.
func (m Module) body(t testing.TB, file string) []byte {
	t.Helper()
	text := m.Read(t, file)
	_, rest, ok := bytes.Cut(text, []byte("Content-Type: "))
	_, content, found := bytes.Cut(rest, []byte("\n\n"))
	if !ok || !found {
		t.Fatalf("%s is no sample:\n%.200s", file, text)
	}
	return content
}

// Read is a file of the module.
func (m Module) Read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.Dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
