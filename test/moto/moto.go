// Package moto starts moto (https://docs.getmoto.org), an imitation of AWS by
// other people: a second witness, beside ecsfake, for what this project
// believes of SSM, Secrets Manager, STS, IAM, ECR and CloudWatch Logs. For ECS
// itself it is none, as it takes any task definition and runs nothing.
//
// moto is Debian's python3-moto, in a tree that test/setup/install.sh makes.
// Whoever starts it must be root, to make that tree its root directory.
package moto

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Account is the account that everything is in, which is ecsfake's, too.
const Account = "123456789012"

// Server is a running moto. All calls are allowed to everybody.
type Server struct {
	// URL is the endpoint of all services.
	URL string
	// Version is moto's: unstable's of the day on which it was unpacked.
	Version string
}

// Start starts a server that ends with the test; root is the module's
// directory.
func Start(t testing.TB, root string) *Server {
	t.Helper()
	tree, err := filepath.Abs(filepath.Join(root, ".setup", "moto"))
	if err != nil {
		t.Fatal(err)
	}
	about, err := filepath.Glob(filepath.Join(tree, "usr/lib/python3/dist-packages/moto-*.dist-info"))
	if err != nil || len(about) != 1 {
		t.Fatalf("there is no moto in %s: run `make test`, which installs it", tree)
	}
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(about[0]), "moto-"), ".dist-info")
	server := exec.Command("/usr/bin/python3", "/usr/bin/moto_server", "--host", "127.0.0.1", "--port", "0")
	server.Env, server.Dir = append(os.Environ(), "TMPDIR=/tmp"), "/"
	server.SysProcAttr = &syscall.SysProcAttr{Chroot: tree}
	said, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-drained
		_ = server.Wait() // which says that it was killed
	})
	url := make(chan string, 1)
	go func() {
		defer close(drained)
		url <- address(said)
		_, _ = io.Copy(io.Discard, said) // a line for each request
	}()
	s := &Server{URL: <-url, Version: version}
	if s.URL == "" {
		t.Fatal("moto ended without saying where it listens")
	}
	return s
}

// address is what a server says that it listens on, "" if it ends before.
func address(said io.Reader) string {
	const before = "Running on "
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), before); ok {
			url, _, _ = strings.Cut(url, " ")
			return url
		}
	}
	return ""
}

// Reset empties the account.
func (s *Server) Reset(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/moto-api/reset", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("moto does not reset: %s", resp.Status)
	}
	return nil
}

// Config configures the SDK's clients as somebody in eu-central-1, with no
// second attempt: what moto cannot do, it never can.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &s.URL, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAMOTO", SecretAccessKey: "moto", Source: "moto"}, nil
		}),
	}
}
