package verify

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// simulate asks for all grants, those of one role and action at once, and tells
// which are missing.
func (v *verification) simulate(ctx context.Context, list []grant) {
	for len(list) > 0 {
		first := list[0]
		var together, others []grant
		for _, g := range list {
			if g.role == first.role && g.action == first.action {
				together = append(together, g)
			} else {
				others = append(others, g)
			}
		}
		v.simulateAction(ctx, together)
		list = others
	}
}

// simulateAction asks for one action of one role on several resources.
func (v *verification) simulateAction(ctx context.Context, list []grant) {
	var resources []string
	for _, g := range list {
		if !slices.Contains(resources, g.resource) {
			resources = append(resources, g.resource)
		}
	}
	decide, err := v.decisions(ctx, list[0].role.arn, list[0].action, resources, nil)
	for _, g := range list {
		if err != nil {
			v.unchecked(g.rule, g.path, "IAM did not say whether %s may %s: %s", g.role.arn, g.action, cause(err))
			continue
		}
		switch decision := decide(g.resource); decision {
		case types.PolicyEvaluationDecisionTypeAllowed:
		case "":
			v.unchecked(g.rule, g.path, "IAM did not say whether %s may %s on %s", g.role.arn, g.action, g.resource)
		default:
			v.tell(g.rule, g.path, "%s may not %s on %s (%s)", g.role.arn, g.action, g.resource, decision)
		}
	}
}

// decisions asks what the policies of a principal say to an action, and returns
// what they say for each resource.
func (v *verification) decisions(ctx context.Context, principal, action string, resources []string, context []types.ContextEntry) (func(resource string) types.PolicyEvaluationDecisionType, error) {
	in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &principal, ActionNames: []string{action}, ResourceArns: resources, ContextEntries: context}
	said := map[string]types.PolicyEvaluationDecisionType{}
	var most types.PolicyEvaluationDecisionType
	for {
		out, err := v.AWS.Roles.SimulatePrincipalPolicy(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, result := range out.EvaluationResults {
			most = result.EvalDecision
			// The name there is that of a kind of resources, or of the resource.
			said[aws.ToString(result.EvalResourceName)] = result.EvalDecision
			for _, specific := range result.ResourceSpecificResults {
				said[aws.ToString(specific.EvalResourceName)] = specific.EvalResourceDecision
			}
		}
		if in.Marker = out.Marker; !out.IsTruncated || aws.ToString(in.Marker) == "" {
			break
		}
	}
	return func(resource string) types.PolicyEvaluationDecisionType {
		// The decision on all is the most restrictive of them
		// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html).
		if decision, ok := said[resource]; ok {
			return decision
		}
		if len(resources) == 1 || len(said) == 1 && most == types.PolicyEvaluationDecisionTypeAllowed {
			return most
		}
		return ""
	}, nil
}
