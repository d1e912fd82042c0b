package doctor_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/webhook/doctor"
	"github.com/clipperregistry/runner/webhook/serve"
)

// TestAmazon: the clusters of the policy are looked at as whoever the service
// is there.
func TestAmazon(t *testing.T) {
	fake, err := ecsfake.Start(t.Context(), ecsfake.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	if _, err := ecs.NewFromConfig(fake.Config()).CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("ci")}); err != nil {
		t.Fatal(err)
	}
	token, value := "/token", "let-me-in"
	if _, err := ssm.NewFromConfig(fake.Config()).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &token, Value: &value, Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.policy(t, `version: 1
repositories: ["acme/*"]
workflows: true
clusters:
  default: { cluster: ci, subnets: [subnet-0a1b2c3d], execution_role: "arn:aws:iam::111122223333:role/e" }
  forks: { cluster: nowhere, subnets: [subnet-0a1b2c3d], execution_role: "arn:aws:iam::111122223333:role/e" }
secrets:
  there: { arn: "arn:aws:ssm:eu-central-1:123456789012:parameter/token", repositories: ["acme/*"] }
  gone: { arn: "arn:aws:ssm:eu-central-1:123456789012:parameter/gone", repositories: ["acme/*"] }
`)
	w.AWS = &serve.AWS{Config: fake.Config()}
	found := w.Look(t.Context())
	for _, want := range []struct {
		level      doctor.Level
		what, text string
	}{
		{doctor.OK, "aws", "arn:aws"}, {doctor.OK, "ecs", "cluster default (ci in"}, {doctor.Bad, "ecs", "cluster forks (nowhere in"}, {doctor.Warn, "policy", "CLIPPER_WEBHOOK_IMAGE"},
		{doctor.OK, "secrets", "secret there of the policy"}, {doctor.Warn, "secrets", "secret gone of the policy: it is not there any more"},
	} {
		if !find(found, want.level, want.what, want.text) {
			t.Errorf("no %s %s %q in %v", want.level, want.what, want.text, found)
		}
	}

	w.AWS = &serve.AWS{Config: fake.Config()}
	w.AWS.Region = ""
	if found := w.Look(t.Context()); !find(found, doctor.Bad, "aws", "AWS_REGION") {
		t.Errorf("no region: %v", found)
	}
	w.AWS = &serve.AWS{Config: fake.Config()}
	w.AWS.BaseEndpoint = aws.String("http://127.0.0.1:9")
	w.AWS.RetryMaxAttempts = 1
	if found := w.Look(t.Context()); !find(found, doctor.Bad, "aws", "an identity") {
		t.Errorf("no AWS: %v", found)
	}
}
