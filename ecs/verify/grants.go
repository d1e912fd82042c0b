package verify

import (
	"fmt"
	"strings"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// grant is something that a role must be allowed.
type grant struct {
	rule             rules.Rule
	role             role
	action, resource string
	path             string
}

// grants lists what the roles must be allowed.
func (v *verification) grants(values []*reference, roles map[string]role) []grant {
	var list []grant
	if execution, ok := roles["executionRoleArn"]; ok {
		list = append(v.readGrants(values, execution), v.executionGrants(execution)...)
	}
	return append(list, v.taskGrants(roles)...)
}

func (v *verification) readGrants(values []*reference, execution role) []grant {
	var list []grant
	for _, r := range values {
		if r.missing {
			continue
		}
		action := "ssm:GetParameters"
		if r.Service == rules.SecretsManager {
			action = "secretsmanager:GetSecretValue"
		}
		list = append(list, grant{readRule, execution, action, r.arn, r.path})
		switch {
		case r.key == "":
		case strings.HasPrefix(r.key, "arn:"):
			list = append(list, grant{decryptRule, execution, "kms:Decrypt", r.key, r.path})
		case strings.HasPrefix(r.key, "alias/"):
			v.unchecked(decryptRule, r.path, "the value is encrypted with %s, and no ARN says which key that is", r.key)
		default:
			key := fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", v.caller.partition, r.region, v.caller.account, r.key)
			list = append(list, grant{decryptRule, execution, "kms:Decrypt", key, r.path})
		}
	}
	return list
}

// executionGrants are what the agent of Fargate does with the execution role;
// on EC2 it does that with the instance's role.
func (v *verification) executionGrants(execution role) []grant {
	var list []grant
	if !v.def.Requires("FARGATE") {
		return nil
	}
	for _, c := range v.def.Containers() {
		if ref, err := oci.ParseReference(c.Text("image")); err == nil {
			list = append(list, v.pullGrants(pullRule, execution, ref, c.Path+".image")...)
		}
		logs := c.Object.Object("logConfiguration")
		if logs.Text("logDriver") != "awslogs" {
			continue
		}
		options, path := logs.Object("options"), c.Path+".logConfiguration"
		group := fmt.Sprintf("arn:%s:logs:%s:%s:log-group:%s:log-stream:", v.caller.partition, options.Text("awslogs-region"), v.caller.account, options.Text("awslogs-group"))
		stream := group + options.Text("awslogs-stream-prefix") + "/" + c.Name() + "/task"
		list = append(list, grant{logRule, execution, "logs:CreateLogStream", stream, path}, grant{logRule, execution, "logs:PutLogEvents", stream, path})
		if options.Text("awslogs-create-group") == "true" {
			list = append(list, grant{logRule, execution, "logs:CreateLogGroup", group, path})
		}
	}
	return list
}

// taskGrants are what the runner needs of the task's role to pull from ECR
// without credentials.
func (v *verification) taskGrants(roles map[string]role) []grant {
	var list []grant
	for _, c := range v.def.Containers() {
		image, _ := c.Env(ecs.EnvImage)
		ref, err := oci.ParseReference(image)
		if _, has := c.Secret(ecs.EnvCredentials); has || err != nil || !c.Moved() {
			continue
		}
		if _, ours := credentials.ECRRegion(ref.Host()); !ours {
			continue
		}
		path := c.Path + ".environment"
		if v.def.Root().Text("taskRoleArn") == "" {
			v.tell(taskPullRule, path, "%s is in Amazon ECR, and the task has neither credentials for it nor a task role", image)
		} else if task, ok := roles["taskRoleArn"]; ok {
			list = append(list, v.pullGrants(taskPullRule, task, ref, path)...)
		}
	}
	return list
}

// pullGrants are what it takes to pull from a private registry of ECR.
func (v *verification) pullGrants(rule rules.Rule, who role, ref oci.Reference, path string) []grant {
	region, ok := credentials.ECRRegion(ref.Host())
	if !ok {
		return nil
	}
	account, _, _ := strings.Cut(ref.Host(), ".")
	repository := fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", v.caller.partition, region, account, ref.Repository())
	return []grant{
		{rule, who, "ecr:GetAuthorizationToken", "*", path},
		{rule, who, "ecr:BatchGetImage", repository, path},
		{rule, who, "ecr:GetDownloadUrlForLayer", repository, path},
	}
}
