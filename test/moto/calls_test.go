package moto_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/test/moto"
)

// call is one call, or a few that belong together. What is refused is an
// answer, too.
type call struct {
	name string
	do   func(t *testing.T, c *clients)
}

// one is a call with an input that is the same for everybody.
func one[C, I, O, F any](name string, client func(*clients) C, operation func(C, context.Context, *I, ...F) (*O, error), in I) call {
	return call{name, func(t *testing.T, c *clients) {
		t.Helper()
		input := in
		answered(t, func() error { _, err := operation(client(c), t.Context(), &input); return err })
	}}
}

// answered fails the test if there is no answer at all.
func answered(t *testing.T, do func() error) {
	t.Helper()
	var refusal smithy.APIError
	if err := do(); err != nil && !errors.As(err, &refusal) {
		t.Fatal(err)
	}
}

func ofSSM(c *clients) *ssm.Client                { return c.ssm }
func ofSecrets(c *clients) *secretsmanager.Client { return c.secrets }
func ofSTS(c *clients) *sts.Client                { return c.sts }
func ofIAM(c *clients) *iam.Client                { return c.iam }
func ofECR(c *clients) *ecr.Client                { return c.ecr }
func ofLogs(c *clients) *cloudwatchlogs.Client    { return c.logs }

// eleven are more names than may be asked for at once.
var eleven = strings.Split("a b c d e f g h i j k", " ")

func named(option string, values ...string) []ssmtypes.ParameterStringFilter {
	return []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Option: &option, Values: values}}
}

var (
	tasksTrust = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com","AWS":"*"},"Action":"sts:AssumeRole"}]}`)
	readPolicy = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:GetParameters","Resource":"*"}]}`)
	execution  = aws.String("execution")
	short      = aws.String("short-lived")
	missing    = aws.String("missing")
	registry   = aws.String("/shop/registry")
	group      = aws.String("/ecs/shop")
	stream     = aws.String("web/app/0123456789abcdef0123456789abcdef")
	managed    = aws.String("arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")
)

// calls are those that the adapter and its tests make of these services, in
// the order in which they are made.
var calls = []call{
	one("a parameter", ofSSM, (*ssm.Client).PutParameter, ssm.PutParameterInput{Name: registry, Value: aws.String("robot:secret"), Type: ssmtypes.ParameterTypeSecureString, Description: aws.String("login")}),
	one("a parameter that is there", ofSSM, (*ssm.Client).PutParameter, ssm.PutParameterInput{Name: registry, Value: aws.String("x"), Type: ssmtypes.ParameterTypeSecureString}),
	one("a parameter's second version", ofSSM, (*ssm.Client).PutParameter, ssm.PutParameterInput{Name: registry, Value: aws.String("robot:secret2"), Overwrite: aws.Bool(true), Type: ssmtypes.ParameterTypeSecureString, Description: aws.String("login")}),
	one("a parameter of no type", ofSSM, (*ssm.Client).PutParameter, ssm.PutParameterInput{Name: aws.String("untyped"), Value: aws.String("x")}),
	one("a parameter that is too long", ofSSM, (*ssm.Client).PutParameter, ssm.PutParameterInput{Name: aws.String("long"), Value: aws.String(strings.Repeat("x", 4097)), Type: ssmtypes.ParameterTypeString}),
	one("an advanced parameter", ofSSM, (*ssm.Client).PutParameter, ssm.PutParameterInput{Name: aws.String("/shop/long"), Value: aws.String(strings.Repeat("x", 4097)), Type: ssmtypes.ParameterTypeString, Tier: ssmtypes.ParameterTierAdvanced, Description: aws.String("long")}),
	one("a parameter, encrypted", ofSSM, (*ssm.Client).GetParameter, ssm.GetParameterInput{Name: registry}),
	one("a parameter, decrypted", ofSSM, (*ssm.Client).GetParameter, ssm.GetParameterInput{Name: registry, WithDecryption: aws.Bool(true)}),
	one("no parameter", ofSSM, (*ssm.Client).GetParameter, ssm.GetParameterInput{Name: missing}),
	one("parameters by name, version and ARN", ofSSM, (*ssm.Client).GetParameters, ssm.GetParametersInput{WithDecryption: aws.Bool(true),
		Names: []string{"/shop/registry", "/shop/long:1", "arn:aws:ssm:eu-central-1:" + moto.Account + ":parameter/shop/long"}}),
	one("parameters that are missing", ofSSM, (*ssm.Client).GetParameters, ssm.GetParametersInput{Names: []string{"/shop/registry", "/shop/registry:9", "missing", "arn:aws:ssm:eu-central-1:" + moto.Account + ":parameter/missing"}}),
	one("too many parameters", ofSSM, (*ssm.Client).GetParameters, ssm.GetParametersInput{Names: eleven}),
	one("parameters described", ofSSM, (*ssm.Client).DescribeParameters, ssm.DescribeParametersInput{MaxResults: aws.Int32(50), ParameterFilters: named("Equals", "/shop/registry", "/missing")}),
	one("parameters beneath a path", ofSSM, (*ssm.Client).DescribeParameters, ssm.DescribeParametersInput{ParameterFilters: named("BeginsWith", "/shop/")}),
	one("parameters, page by page", ofSSM, (*ssm.Client).DescribeParameters, ssm.DescribeParametersInput{MaxResults: aws.Int32(1), ParameterFilters: named("BeginsWith", "/shop/")}),
	one("a parameter deleted", ofSSM, (*ssm.Client).DeleteParameter, ssm.DeleteParameterInput{Name: registry}),
	one("no parameter deleted", ofSSM, (*ssm.Client).DeleteParameter, ssm.DeleteParameterInput{Name: registry}),

	one("a secret", ofSecrets, (*secretsmanager.Client).CreateSecret, secretsmanager.CreateSecretInput{Name: registry, SecretString: aws.String(`{"username":"robot"}`), Description: aws.String("login")}),
	one("a secret that is there", ofSecrets, (*secretsmanager.Client).CreateSecret, secretsmanager.CreateSecretInput{Name: registry, SecretString: aws.String("x")}),
	one("a secret of one version", ofSecrets, (*secretsmanager.Client).GetSecretValue, secretsmanager.GetSecretValueInput{SecretId: registry, VersionStage: aws.String("AWSPREVIOUS")}),
	one("a secret's second version", ofSecrets, (*secretsmanager.Client).PutSecretValue, secretsmanager.PutSecretValueInput{SecretId: registry, SecretString: aws.String(`{"username":"cook"}`)}),
	one("a secret's value", ofSecrets, (*secretsmanager.Client).GetSecretValue, secretsmanager.GetSecretValueInput{SecretId: registry}),
	one("a secret's previous value", ofSecrets, (*secretsmanager.Client).GetSecretValue, secretsmanager.GetSecretValueInput{SecretId: registry, VersionStage: aws.String("AWSPREVIOUS")}),
	one("a secret's version", ofSecrets, (*secretsmanager.Client).GetSecretValue, secretsmanager.GetSecretValueInput{SecretId: registry, VersionId: aws.String("00000000-0000-4000-8000-000000000000")}),
	one("a secret described", ofSecrets, (*secretsmanager.Client).DescribeSecret, secretsmanager.DescribeSecretInput{SecretId: registry}),
	one("no value", ofSecrets, (*secretsmanager.Client).GetSecretValue, secretsmanager.GetSecretValueInput{SecretId: missing}),
	one("no second version", ofSecrets, (*secretsmanager.Client).PutSecretValue, secretsmanager.PutSecretValueInput{SecretId: missing, SecretString: aws.String("x")}),
	one("no secret", ofSecrets, (*secretsmanager.Client).DescribeSecret, secretsmanager.DescribeSecretInput{SecretId: missing}),
	one("a secret deleted", ofSecrets, (*secretsmanager.Client).DeleteSecret, secretsmanager.DeleteSecretInput{SecretId: registry}),
	one("a deleted secret described", ofSecrets, (*secretsmanager.Client).DescribeSecret, secretsmanager.DescribeSecretInput{SecretId: registry}),
	one("a deleted secret's value", ofSecrets, (*secretsmanager.Client).GetSecretValue, secretsmanager.GetSecretValueInput{SecretId: registry}),
	one("no secret deleted", ofSecrets, (*secretsmanager.Client).DeleteSecret, secretsmanager.DeleteSecretInput{SecretId: missing}),

	one("a role", ofIAM, (*iam.Client).CreateRole, iam.CreateRoleInput{RoleName: execution, AssumeRolePolicyDocument: tasksTrust, Path: aws.String("/ecs/"), Description: aws.String("of tasks")}),
	one("a role that is there", ofIAM, (*iam.Client).CreateRole, iam.CreateRoleInput{RoleName: execution, AssumeRolePolicyDocument: tasksTrust}),
	one("a role without a policy", ofIAM, (*iam.Client).CreateRole, iam.CreateRoleInput{RoleName: aws.String("malformed"), AssumeRolePolicyDocument: aws.String("{")}),
	one("a role's trust", ofIAM, (*iam.Client).UpdateAssumeRolePolicy, iam.UpdateAssumeRolePolicyInput{RoleName: execution, PolicyDocument: tasksTrust}),
	one("no role's trust", ofIAM, (*iam.Client).UpdateAssumeRolePolicy, iam.UpdateAssumeRolePolicyInput{RoleName: missing, PolicyDocument: tasksTrust}),
	one("a role told", ofIAM, (*iam.Client).GetRole, iam.GetRoleInput{RoleName: execution}),
	one("no role", ofIAM, (*iam.Client).GetRole, iam.GetRoleInput{RoleName: missing}),
	one("a policy", ofIAM, (*iam.Client).PutRolePolicy, iam.PutRolePolicyInput{RoleName: execution, PolicyName: aws.String("read"), PolicyDocument: readPolicy}),
	one("a policy that is none", ofIAM, (*iam.Client).PutRolePolicy, iam.PutRolePolicyInput{RoleName: execution, PolicyName: aws.String("read"), PolicyDocument: aws.String("{")}),
	one("a policy told", ofIAM, (*iam.Client).GetRolePolicy, iam.GetRolePolicyInput{RoleName: execution, PolicyName: aws.String("read")}),
	one("no policy", ofIAM, (*iam.Client).GetRolePolicy, iam.GetRolePolicyInput{RoleName: execution, PolicyName: missing}),
	one("policies", ofIAM, (*iam.Client).ListRolePolicies, iam.ListRolePoliciesInput{RoleName: execution}),
	one("a managed policy", ofIAM, (*iam.Client).AttachRolePolicy, iam.AttachRolePolicyInput{RoleName: execution, PolicyArn: managed}),
	one("no managed policy", ofIAM, (*iam.Client).AttachRolePolicy, iam.AttachRolePolicyInput{RoleName: execution, PolicyArn: aws.String("arn:aws:iam::aws:policy/NoSuchPolicyThereIs")}),
	one("managed policies", ofIAM, (*iam.Client).ListAttachedRolePolicies, iam.ListAttachedRolePoliciesInput{RoleName: execution}),
	one("a policy deleted", ofIAM, (*iam.Client).DeleteRolePolicy, iam.DeleteRolePolicyInput{RoleName: execution, PolicyName: aws.String("read")}),
	one("no policy deleted", ofIAM, (*iam.Client).DeleteRolePolicy, iam.DeleteRolePolicyInput{RoleName: execution, PolicyName: aws.String("read")}),

	one("another role", ofIAM, (*iam.Client).CreateRole, iam.CreateRoleInput{RoleName: short, AssumeRolePolicyDocument: tasksTrust, Description: aws.String("short")}),
	one("its policy", ofIAM, (*iam.Client).PutRolePolicy, iam.PutRolePolicyInput{RoleName: short, PolicyName: aws.String("read"), PolicyDocument: readPolicy}),
	one("a role with a policy deleted", ofIAM, (*iam.Client).DeleteRole, iam.DeleteRoleInput{RoleName: short}),
	one("its policy deleted", ofIAM, (*iam.Client).DeleteRolePolicy, iam.DeleteRolePolicyInput{RoleName: short, PolicyName: aws.String("read")}),
	one("a role deleted", ofIAM, (*iam.Client).DeleteRole, iam.DeleteRoleInput{RoleName: short}),
	one("no role deleted", ofIAM, (*iam.Client).DeleteRole, iam.DeleteRoleInput{RoleName: short}),

	one("the caller", ofSTS, (*sts.Client).GetCallerIdentity, sts.GetCallerIdentityInput{}),
	one("a session", ofSTS, (*sts.Client).AssumeRole, sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + moto.Account + ":role/ecs/execution"), RoleSessionName: aws.String("test")}),

	one("a login", ofECR, (*ecr.Client).GetAuthorizationToken, ecr.GetAuthorizationTokenInput{}),
	one("a repository", ofECR, (*ecr.Client).CreateRepository, ecr.CreateRepositoryInput{RepositoryName: aws.String("shop/web")}),
	one("a repository that is there", ofECR, (*ecr.Client).CreateRepository, ecr.CreateRepositoryInput{RepositoryName: aws.String("shop/web")}),
	one("a repository told", ofECR, (*ecr.Client).DescribeRepositories, ecr.DescribeRepositoriesInput{RepositoryNames: []string{"shop/web"}}),
	one("all repositories", ofECR, (*ecr.Client).DescribeRepositories, ecr.DescribeRepositoriesInput{}),
	one("no repository", ofECR, (*ecr.Client).DescribeRepositories, ecr.DescribeRepositoriesInput{RepositoryNames: []string{"missing"}}),

	one("a group", ofLogs, (*cloudwatchlogs.Client).CreateLogGroup, cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}),
	one("a group that is there", ofLogs, (*cloudwatchlogs.Client).CreateLogGroup, cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}),
	one("groups", ofLogs, (*cloudwatchlogs.Client).DescribeLogGroups, cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/ecs/")}),
	one("no stream yet", ofLogs, (*cloudwatchlogs.Client).GetLogEvents, cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream}),
	one("a stream", ofLogs, (*cloudwatchlogs.Client).CreateLogStream, cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}),
	one("a stream that is there", ofLogs, (*cloudwatchlogs.Client).CreateLogStream, cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}),
	one("a stream of no group", ofLogs, (*cloudwatchlogs.Client).CreateLogStream, cloudwatchlogs.CreateLogStreamInput{LogGroupName: missing, LogStreamName: stream}),
	one("an empty stream", ofLogs, (*cloudwatchlogs.Client).GetLogEvents, cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, StartFromHead: aws.Bool(true)}),
	{"events", putEvents},
	{"events, page by page", pages},
	one("events without a stream", ofLogs, (*cloudwatchlogs.Client).PutLogEvents, cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: missing, LogEvents: []logtypes.InputLogEvent{{Message: aws.String("x"), Timestamp: aws.Int64(1)}}}),
	one("streams", ofLogs, (*cloudwatchlogs.Client).DescribeLogStreams, cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: group, LogStreamNamePrefix: aws.String("web/")}),
	one("streams of no group", ofLogs, (*cloudwatchlogs.Client).DescribeLogStreams, cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: missing}),
	one("events found", ofLogs, (*cloudwatchlogs.Client).FilterLogEvents, cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: aws.String(`"two"`)}),
	one("events of no group", ofLogs, (*cloudwatchlogs.Client).FilterLogEvents, cloudwatchlogs.FilterLogEventsInput{LogGroupName: missing}),
	one("a group deleted", ofLogs, (*cloudwatchlogs.Client).DeleteLogGroup, cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group}),
	one("no group deleted", ofLogs, (*cloudwatchlogs.Client).DeleteLogGroup, cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group}),
}

// putEvents writes three lines of this moment.
func putEvents(t *testing.T, c *clients) {
	t.Helper()
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream}
	for i, message := range []string{"one", "two", "three"} {
		in.LogEvents = append(in.LogEvents, logtypes.InputLogEvent{Message: aws.String(message), Timestamp: aws.Int64(time.Now().UnixMilli() + int64(i))})
	}
	answered(t, func() error { _, err := c.logs.PutLogEvents(t.Context(), in); return err })
}

// pages reads a stream two events at a time until the token comes back.
func pages(t *testing.T, c *clients) {
	t.Helper()
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, StartFromHead: aws.Bool(true), Limit: aws.Int32(2)}
	var read []string
	for {
		out, err := c.logs.GetLogEvents(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			read = append(read, *e.Message)
		}
		if in.NextToken != nil && *in.NextToken == *out.NextForwardToken {
			break
		}
		in.NextToken = out.NextForwardToken
	}
	if got := strings.Join(read, " "); got != "one two three" {
		t.Errorf("the stream holds %q", got)
	}
}
