package ecsfake

import (
	"reflect"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// required are the fields that an operation's input must have, as the SDK's
// comments say ("This member is required."). The SDK itself asks for them before
// it sends a request, others do not.
var required = map[string][]string{
	"ecr:CreateRepository":                      {"RepositoryName"},
	"ecs:ContinueServiceDeployment":             {"HookId", "ServiceDeploymentArn"},
	"ecs:CreateService":                         {"ServiceName"},
	"ecs:DeleteCluster":                         {"Cluster"},
	"ecs:DeleteTaskDefinitions":                 {"TaskDefinitions"},
	"ecs:DeleteService":                         {"Service"},
	"ecs:DeregisterTaskDefinition":              {"TaskDefinition"},
	"ecs:DescribeServiceDeployments":            {"ServiceDeploymentArns"},
	"ecs:DescribeServiceRevisions":              {"ServiceRevisionArns"},
	"ecs:DescribeServices":                      {"Services"},
	"ecs:DescribeTaskDefinition":                {"TaskDefinition"},
	"ecs:DescribeTasks":                         {"Tasks"},
	"ecs:ExecuteCommand":                        {"Command", "Interactive", "Task"},
	"ecs:ListServiceDeployments":                {"Service"},
	"ecs:ListTagsForResource":                   {"ResourceArn"},
	"ecs:RegisterTaskDefinition":                {"ContainerDefinitions", "Family"},
	"ecs:RunTask":                               {"TaskDefinition"},
	"ecs:StopServiceDeployment":                 {"ServiceDeploymentArn"},
	"ecs:StopTask":                              {"Task"},
	"ecs:TagResource":                           {"ResourceArn", "Tags"},
	"ecs:UntagResource":                         {"ResourceArn", "TagKeys"},
	"ecs:UpdateService":                         {"Service"},
	"elasticloadbalancing:CreateListener":       {"DefaultActions", "LoadBalancerArn"},
	"elasticloadbalancing:CreateLoadBalancer":   {"Name"},
	"elasticloadbalancing:CreateTargetGroup":    {"Name"},
	"elasticloadbalancing:DescribeTargetHealth": {"TargetGroupArn"},
	"iam:AttachRolePolicy":                      {"PolicyArn", "RoleName"},
	"iam:CreateRole":                            {"AssumeRolePolicyDocument", "RoleName"},
	"iam:DeleteRole":                            {"RoleName"},
	"iam:DeleteRolePolicy":                      {"PolicyName", "RoleName"},
	"iam:GetRole":                               {"RoleName"},
	"iam:GetRolePolicy":                         {"PolicyName", "RoleName"},
	"iam:ListAttachedRolePolicies":              {"RoleName"},
	"iam:ListRolePolicies":                      {"RoleName"},
	"iam:PutRolePolicy":                         {"PolicyDocument", "PolicyName", "RoleName"},
	"iam:SimulatePrincipalPolicy":               {"ActionNames", "PolicySourceArn"},
	"iam:UpdateAssumeRolePolicy":                {"PolicyDocument", "RoleName"},
	"logs:CreateLogGroup":                       {"LogGroupName"},
	"logs:CreateLogStream":                      {"LogGroupName", "LogStreamName"},
	"logs:DeleteLogGroup":                       {"LogGroupName"},
	"logs:GetLogEvents":                         {"LogStreamName"},
	"logs:PutLogEvents":                         {"LogEvents", "LogGroupName", "LogStreamName"},
	"secretsmanager:CreateSecret":               {"Name"},
	"secretsmanager:DeleteSecret":               {"SecretId"},
	"secretsmanager:DescribeSecret":             {"SecretId"},
	"secretsmanager:GetSecretValue":             {"SecretId"},
	"secretsmanager:PutSecretValue":             {"SecretId"},
	"ssm:DeleteParameter":                       {"Name"},
	"ssm:GetParameter":                          {"Name"},
	"ssm:GetParameters":                         {"Names"},
	"ssm:PutParameter":                          {"Name", "Value"},
	"sts:AssumeRole":                            {"RoleArn", "RoleSessionName"},
}

// complete refuses an input that lacks what is required.
func complete(action string, in any) error {
	for _, name := range required[action] {
		// A flag that is not sent is false to the SDK's types.
		if field := reflect.ValueOf(in).Elem().FieldByName(name); field.Kind() != reflect.Bool && field.IsZero() {
			return wire.Errorf(invalidCode(action), "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", name)
		}
	}
	return nil
}
