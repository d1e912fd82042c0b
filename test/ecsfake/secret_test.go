package ecsfake_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// code is the code of the error that AWS answered.
func code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// put stores a secure string.
func (w *world) put(t *testing.T, name, value, key string) {
	t.Helper()
	in := &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString}
	if key != "" {
		in.KeyId = &key
	}
	if _, err := ssm.NewFromConfig(w.Config()).PutParameter(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func TestSecrets(t *testing.T) {
	w := start(t)
	w.put(t, "/app/token", "from-ssm", "")
	w.put(t, "/app/sealed", "sealed", "alias/own")
	secret, err := secretsmanager.NewFromConfig(w.Config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("login"), SecretString: aws.String(`{"username":"u","password":"p"}`)})
	if err != nil {
		t.Fatal(err)
	}
	const logs = `{"Effect":"Allow","Action":["logs:*"],"Resource":"*"}`
	ssmOnly := w.trusting(t, "ssm-only", `{"Statement":[`+logs+`,{"Effect":"Allow","Action":"ssm:GetParameters","Resource":"arn:aws:ssm:*:*:parameter/app/*"}]}`)
	both := w.trusting(t, "both", `{"Statement":[`+logs+`,{"Effect":"Allow","Action":["ssm:GetParameters","secretsmanager:GetSecretValue"],"Resource":"*"}]}`)
	nobody, err := w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("lambda"), AssumeRolePolicyDocument: aws.String(`{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, role, from string
		want             string // the value, or
		reason           string // a part of why the task does not start
	}{
		{"a parameter's name", ssmOnly, "/app/token", "from-ssm", ""},
		{"a parameter's ARN", ssmOnly, "arn:aws:ssm:eu-central-1:123456789012:parameter/app/token", "from-ssm", ""},
		{"a parameter that is not there", ssmOnly, "/app/none", "", "invalid parameters: /app/none"},
		{"a parameter the role may not read", ssmOnly, "/other", "", "is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:eu-central-1:123456789012:parameter/other"},
		{"a key the role may not use", ssmOnly, "/app/sealed", "", "is not authorized to perform: kms:Decrypt"},
		{"a secret", both, *secret.ARN, `{"username":"u","password":"p"}`, ""},
		{"a secret's key", both, *secret.ARN + ":password::", "p", ""},
		{"a secret's version", both, *secret.ARN + "::AWSPREVIOUS:", "", "can't find the specified secret value for staging label: AWSPREVIOUS"},
		{"a secret the role may not read", ssmOnly, *secret.ARN, "", "is not authorized to perform: secretsmanager:GetSecretValue"},
		{"a role that ECS may not assume", *nobody.Role.Arn, "/app/token", "", "ECS was unable to assume the role"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := w.define(t, "secret", func(in *ecs.RegisterTaskDefinitionInput) { in.ExecutionRoleArn = &tt.role },
				w.script("app", "echo \"$TOKEN\"", logged, func(d *types.ContainerDefinition) {
					d.Secrets = []types.Secret{{Name: aws.String("TOKEN"), ValueFrom: &tt.from}}
				}))
			task := w.stopped(t, w.run(t, d).TaskArn)
			if tt.reason != "" {
				if task.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.Contains(*task.StoppedReason, tt.reason) {
					t.Errorf("%s: %s", task.StopCode, *task.StoppedReason)
				}
				return
			}
			if got := strings.Join(w.lines(t, task, "app"), ","); got != tt.want {
				t.Errorf("the container has %q (%s)", got, *task.StoppedReason)
			}
		})
	}
}

// TestTaskRole lets a container fetch its credentials and uses them.
func TestTaskRole(t *testing.T) {
	w := start(t)
	role := w.trusting(t, "task", `{"Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}]}`)
	d := w.define(t, "role", func(in *ecs.RegisterTaskDefinitionInput) { in.TaskRoleArn = &role }, w.script("app", `wget -q -O - "$AWS_CONTAINER_CREDENTIALS_FULL_URI"`, logged))
	task := w.stopped(t, w.run(t, d).TaskArn)
	if got := strings.Join(w.lines(t, task, "app"), ""); !strings.Contains(got, `"RoleArn":"`+role+`"`) || !strings.Contains(got, `"AccessKeyId":"ASIA`) {
		t.Errorf("the container got %q", got)
	}
	if n := w.Calls("task:GetCredentials"); n != 1 {
		t.Errorf("credentials were fetched %d times", n)
	}
}

func TestCallers(t *testing.T) {
	w := start(t)
	role := w.trusting(t, "deployer", `{"Statement":[{"Effect":"Allow","Action":["ecs:*","iam:GetRole"],"Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/mine","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}}]}`)
	cfg, err := w.ConfigAs(role)
	if err != nil {
		t.Fatal(err)
	}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::123456789012:assumed-role/deployer/test" {
		t.Errorf("GetCallerIdentity: %v, %v", aws.ToString(who.Arn), err)
	}
	for name, want := range map[string]string{"mine": "", "other": "AccessDeniedException"} {
		in := &ecs.RegisterTaskDefinitionInput{Family: aws.String("f"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/" + name), ContainerDefinitions: []types.ContainerDefinition{w.script("app", "true")}}
		if _, err := ecs.NewFromConfig(cfg).RegisterTaskDefinition(t.Context(), in); code(err) != want {
			t.Errorf("passing the role %s: %v", name, err)
		}
	}
	if _, err := ssm.NewFromConfig(cfg).GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"/x"}}); code(err) != "AccessDeniedException" {
		t.Errorf("GetParameters: %v", err)
	}
	if _, err := iam.NewFromConfig(cfg).SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &role, ActionNames: []string{"x:Y"}}); code(err) != "AccessDenied" {
		t.Errorf("SimulatePrincipalPolicy: %v", err)
	}
	simulated, err := w.iam.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &role, ActionNames: []string{"ecs:RunTask", "iam:PassRole"},
		ResourceArns: []string{"arn:aws:iam::123456789012:role/mine"}, ContextEntries: []iamtypes.ContextEntry{{ContextKeyName: aws.String("iam:PassedToService"), ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: []string{"lambda.amazonaws.com"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := simulated.EvaluationResults; len(got) != 2 || got[0].EvalDecision != "allowed" || got[1].EvalDecision != "implicitDeny" {
		t.Errorf("simulated %+v", got)
	}
}
