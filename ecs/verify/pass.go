package verify

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// simulatePass asks whether the caller may hand the roles to ECS.
func (v *verification) simulatePass(ctx context.Context, roles map[string]role) {
	if len(roles) == 0 || strings.HasSuffix(v.caller.arn, ":root") {
		return
	}
	principal, why := v.principal(ctx)
	service := []types.ContextEntry{{ContextKeyName: aws.String("iam:PassedToService"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{tasksService}}}
	var arns []string
	for _, r := range roles {
		arns = append(arns, r.arn)
	}
	var decide func(string) types.PolicyEvaluationDecisionType
	if why == "" {
		var err error
		if decide, err = v.decisions(ctx, principal, "iam:PassRole", arns, service); err != nil {
			why = cause(err)
		}
	}
	for _, member := range []string{"executionRoleArn", "taskRoleArn"} {
		r, ok := roles[member]
		switch {
		case !ok:
		case why != "":
			v.unchecked(passRule, member, "IAM did not say whether the caller may pass the role: %s", why)
		case decide(r.arn) == "":
			v.unchecked(passRule, member, "IAM did not say whether the caller may pass the role")
		case decide(r.arn) != types.PolicyEvaluationDecisionTypeAllowed:
			v.tell(passRule, member, "%s may not pass %s to %s (%s)", principal, r.arn, tasksService, decide(r.arn))
		}
	}
}

// principal is whose policies count for the caller: a user's own, or those of
// the role of a session. A session's ARN leaves the role's path out
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
func (v *verification) principal(ctx context.Context) (arn, why string) {
	_, session, assumed := strings.Cut(v.caller.arn, ":assumed-role/")
	switch {
	case assumed:
		name, _, _ := strings.Cut(session, "/")
		out, err := v.AWS.Roles.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
		if err != nil || out.Role == nil {
			return v.roleARN(name), "" // right for a role without a path
		}
		return aws.ToString(out.Role.Arn), ""
	case strings.Contains(v.caller.arn, ":user/"):
		return v.caller.arn, ""
	}
	return "", "the caller " + v.caller.arn + " is neither a user nor a role's session"
}
