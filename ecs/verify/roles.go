package verify

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/clipperregistry/runner/ecs/rules"
)

// tasksService is who assumes the roles of tasks.
const tasksService = "ecs-tasks.amazonaws.com"

// role is one of the definition's two.
type role struct {
	member string // executionRoleArn, taskRoleArn
	arn    string
}

// roles finds the definition's roles and asks who may assume them. What is in
// another account or does not exist is told, and not in the result.
func (v *verification) roles(ctx context.Context) map[string]role {
	found := map[string]role{}
	for _, member := range []string{"executionRoleArn", "taskRoleArn"} {
		text := v.def.Root().Text(member)
		parsed, err := rules.ParseRole(text)
		if text == "" || err != nil {
			continue
		}
		if parsed.Account != "" && parsed.Account != v.caller.account {
			v.tell(passRule, member, "the role belongs to the account %s, and the caller to %s: a role is passed within its account alone", parsed.Account, v.caller.account)
			continue
		}
		r := role{member: member, arn: text}
		if parsed.Account == "" {
			r.arn = v.roleARN(parsed.Name)
		}
		if v.getRole(ctx, &r, parsed.Name) {
			found[member] = r
		}
	}
	return found
}

func (v *verification) roleARN(name string) string {
	return "arn:" + v.caller.partition + ":iam::" + v.caller.account + ":role/" + name
}

// getRole asks for a role's path and trust. It is false where there is none.
func (v *verification) getRole(ctx context.Context, r *role, name string) bool {
	out, err := v.AWS.Roles.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch {
	case isCode(err, "NoSuchEntity", "NoSuchEntityException"):
		v.tell(roleRule, r.member, "there is no role %s", name)
		return false
	case err != nil || out.Role == nil:
		v.unchecked(roleRule, r.member, "IAM did not say whether the role exists: %s", cause(err))
		return true
	case strings.HasPrefix(v.def.Root().Text(r.member), "arn:") && aws.ToString(out.Role.Arn) != r.arn:
		v.tell(roleRule, r.member, "the role is %s", aws.ToString(out.Role.Arn))
	}
	r.arn = aws.ToString(out.Role.Arn)
	trusted, err := trusts(aws.ToString(out.Role.AssumeRolePolicyDocument), tasksService)
	switch {
	case err != nil:
		v.unchecked(trustRule, r.member, "the role's trust policy cannot be read: %s", cause(err))
	case !trusted:
		v.tell(trustRule, r.member, "%s may not assume the role", tasksService)
	}
	return true
}
