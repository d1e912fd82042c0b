package verify

import (
	"slices"

	"github.com/clipperregistry/runner/ecs/rules"
)

const (
	guide        = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
	executionDoc = guide + "task_execution_IAM_role.html"
	secretDoc    = guide + "secrets-envvar-secrets-manager.html"
	parameterDoc = guide + "secrets-envvar-ssm-paramstore.html"
)

// The rules of the steps that ask somebody.
var (
	callerRule = rules.Rule{ID: "caller", Severity: rules.Error, Stage: rules.Register, Doc: "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html",
		Quote:  "No permissions are required to perform this operation.",
		Remedy: "give AWS credentials and a region as the AWS CLI takes them, or verify with --offline"}
	parameterRule = rules.Rule{ID: "parameter-exists", Severity: rules.Error, Stage: rules.Start, Doc: parameterDoc,
		Quote:  "If the Systems Manager Parameter Store parameter exists in the same Region as the task you are launching, then you can use either the full ARN or name of the parameter.",
		Remedy: "create the parameter in that region, or correct valueFrom; the caller needs ssm:DescribeParameters to have it checked"}
	secretRule = rules.Rule{ID: "secret-exists", Severity: rules.Error, Stage: rules.Start, Doc: "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html",
		Quote:  "The supported values are either the full ARN of the Secrets Manager secret or the full ARN of the parameter in the SSM Parameter Store.",
		Remedy: "create the secret, restore it, or correct valueFrom; the caller needs secretsmanager:DescribeSecret to have it checked"}
	versionRule = rules.Rule{ID: "secret-version", Severity: rules.Error, Stage: rules.Start, Doc: secretDoc,
		Quote:  "The staging label of the version of a secret that you want to use.",
		Remedy: "name a stage or version that the secret or parameter has"}
	readRule = rules.Rule{ID: "role-reads-secret", Severity: rules.Error, Stage: rules.Start, Doc: executionDoc,
		Quote:  "To provide access to the secrets that you create, manually add the following permissions as an inline policy to the task execution role.",
		Remedy: "allow the action on the resource in a policy of the execution role; accept the rule if a policy of the resource allows it"}
	decryptRule = rules.Rule{ID: "role-decrypts", Severity: rules.Error, Stage: rules.Start, Doc: executionDoc,
		Quote:  "Required only if your secret uses a customer managed key and not the default key.",
		Remedy: "allow kms:Decrypt on the key in a policy of the execution role; accept the rule if the key's own policy allows it"}
	logRule = rules.Rule{ID: "role-logs", Severity: rules.Error, Stage: rules.Start, Doc: executionDoc,
		Quote:  "sends container logs to CloudWatch Logs using the awslogs log driver",
		Remedy: "attach AmazonECSTaskExecutionRolePolicy to the execution role (and allow logs:CreateLogGroup for awslogs-create-group)"}
	pullRule = rules.Rule{ID: "role-pulls", Severity: rules.Error, Stage: rules.Start, Doc: executionDoc,
		Quote:  "is pulling a container image from an Amazon ECR private repository",
		Remedy: "attach AmazonECSTaskExecutionRolePolicy to the execution role; accept the rule if the repository's policy allows it"}
	taskPullRule = rules.Rule{ID: "task-role-pulls", Severity: rules.Error, Stage: rules.Start, Doc: guide + "task-iam-roles.html",
		Quote:  "The permissions granted in the IAM role are vended to containers running in the task.",
		Remedy: "allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to the task role: it is the runner in the container that pulls, not ECS"}
	roleRule = rules.Rule{ID: "role-exists", Severity: rules.Error, Stage: rules.Start, Doc: guide + "security-ecs-iam-role-overview.html",
		Quote:  "The roles Amazon ECS requires depend on the task definition launch type and the features that you use.",
		Remedy: "create the role, or correct its ARN; the caller needs iam:GetRole to have it checked"}
	trustRule = rules.Rule{ID: "role-trust", Severity: rules.Error, Stage: rules.Start, Doc: guide + "task-iam-roles.html",
		Quote:  "The IAM task role must have a trust policy that specifies the ecs-tasks.amazonaws.com service.",
		Remedy: `let the role's trust policy allow sts:AssumeRole to {"Service": "ecs-tasks.amazonaws.com"}`}
	passRule = rules.Rule{ID: "pass-role", Severity: rules.Error, Stage: rules.Register, Doc: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
		Quote:  "To pass a role (and its permissions) to an AWS service, a user must have permissions to pass the role to the service.",
		Remedy: "allow the caller iam:PassRole on the role, with iam:PassedToService ecs-tasks.amazonaws.com"}
	imageRule = rules.Rule{ID: "image-exists", Severity: rules.Error, Stage: rules.Start, Doc: guide + "task_cannot_pull_image.html",
		Quote:  "CannotPullContainerError: API error (404): repository 111122223333.dkr.ecr.us-east-1.amazonaws.com/<repo>/<image> not found",
		Remedy: "correct the image, or push it"}
	accessRule = rules.Rule{ID: "image-access", Severity: rules.Error, Stage: rules.Start, Doc: guide + "task_cannot_pull_image.html",
		Quote:  "CannotPullContainer task errors",
		Remedy: "let the credentials of the task read the repository; have them checked with --read-credentials"}
	platformRule = rules.Rule{ID: "image-platform", Severity: rules.Error, Stage: rules.Start, Doc: "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html",
		Quote:  "You can run your Linux tasks on an ARM-based platform by setting the value to ARM64 .",
		Remedy: "build the image for the platform, or set runtimePlatform.cpuArchitecture"}
	credentialsRule = rules.Rule{ID: "image-credentials", Severity: rules.Error, Stage: rules.Start, Doc: secretDoc,
		Quote:  "Sensitive data is injected into your container when the container is initially started.",
		Remedy: `store a token, user:password, {"username","password"} or a docker config.json with an entry for the registry`}
)

// table is all of them.
var table = []rules.Rule{
	callerRule, parameterRule, secretRule, versionRule, readRule, decryptRule, logRule, pullRule, taskPullRule,
	roleRule, trustRule, passRule, imageRule, accessRule, platformRule, credentialsRule,
}

// RuleNames are the names of all rules that Verify knows.
func RuleNames() []string {
	var names []string
	for _, r := range slices.Concat(rules.Table(), rules.RenderTable(), table) {
		names = append(names, r.ID)
	}
	return names
}
