//go:build !aws

package awslive_test

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/test/awslive"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
)

// lab is set by TestMain before the first test and never after.
var lab *stack.Stack

func TestMain(m *testing.M) { os.Exit(ecslab.Main(m, "../..", &lab)) }

const (
	name     = "clipper-test-fake"
	password = "s3cret-of-the-team"
)

// TestFake runs the cases on the tests' engine, where ECS's own waits are a
// tenth. Nothing is left.
func TestFake(t *testing.T) {
	w := ecslab.Start(t, lab, func(c *ecsfake.Config) { c.Speed = 10 })
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lab.Registry})
	private := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 0 {
			rw.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(private.Close)
	keys, err := w.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("cases", awslive.Account{
		Config: w.Config(), Program: lab.Program(t, "cmd/clipper-runner"), Name: name, Poll: "200ms",
		Environ: []string{"AWS_ENDPOINT_URL=" + w.URL, "AWS_REGION=" + w.Config().Region, "AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey},
		Image:   strings.TrimPrefix(private.URL, "http://") + strings.TrimPrefix(w.Image, lab.Registry), Credentials: "robot:" + password, Subnets: []string{"subnet-0123456789abcdef0"},
	}.Run)
	nothing(t, w.Config())
}

// nothing fails the test if an account still has something of what the cases
// make.
func nothing(t *testing.T, cfg aws.Config) {
	t.Helper()
	tasks := ecs.NewFromConfig(cfg)
	clusters, err := tasks.ListClusters(t.Context(), &ecs.ListClustersInput{})
	if err != nil || len(clusters.ClusterArns) != 1 {
		t.Errorf("beside the default cluster: %v, %v", clusters, err)
	}
	for _, status := range []types.TaskDefinitionStatus{types.TaskDefinitionStatusActive, types.TaskDefinitionStatusInactive} {
		if revisions, err := tasks.ListTaskDefinitions(t.Context(), &ecs.ListTaskDefinitionsInput{Status: status}); err != nil || len(revisions.TaskDefinitionArns) > 0 {
			t.Errorf("%s revisions: %v, %v", status, revisions, err)
		}
	}
	if parameters, err := ssm.NewFromConfig(cfg).DescribeParameters(t.Context(), &ssm.DescribeParametersInput{}); err != nil || len(parameters.Parameters) > 0 {
		t.Errorf("parameters: %v, %v", parameters, err)
	}
	if groups, err := cloudwatchlogs.NewFromConfig(cfg).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{}); err != nil || len(groups.LogGroups) > 0 {
		t.Errorf("log groups: %v, %v", groups, err)
	}
	var none *iamtypes.NoSuchEntityException
	if role, err := iam.NewFromConfig(cfg).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String(name + "-execution")}); !errors.As(err, &none) {
		t.Errorf("the role: %v, %v", role, err)
	}
}
