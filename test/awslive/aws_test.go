//go:build aws

package awslive_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/clipperregistry/runner/test/awslive"
)

// TestAWS runs the cases in the account that the environment names.
func TestAWS(t *testing.T) {
	subnets := os.Getenv("CLIPPER_AWS_SUBNETS")
	if subnets == "" {
		t.Fatal("set CLIPPER_AWS_SUBNETS, and what else CONTRIBUTING.md says of a real account")
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "clipper-runner")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/clipper-runner").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	image := os.Getenv("CLIPPER_AWS_IMAGE")
	if image == "" {
		image = "public.ecr.aws/docker/library/busybox:stable"
	}
	awslive.Account{
		Config: cfg, Program: program, Name: "clipper-test-" + strings.ToLower(rand.Text()[:8]),
		Image: image, Credentials: os.Getenv("CLIPPER_AWS_CREDENTIALS"), RunnerImage: os.Getenv("CLIPPER_AWS_RUNNER_IMAGE"),
		Subnets: strings.Split(subnets, ","),
	}.Run(t)
}
