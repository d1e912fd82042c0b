package ecsfake

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/clipperregistry/runner/test/ecsfake/policy"
	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// managed are the policies of AWS that roles of tasks use, as
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonECSTaskExecutionRolePolicy.html has them.
var managed = map[string]string{
	"arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
		"ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AdministratorAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
}

func (f *Fake) registerIAM() {
	handle(f, "iam:CreateRole", nil, f.createRole)
	handle(f, "iam:GetRole", func(_ *caller, in *iam.GetRoleInput) []string { return f.roleARN(in.RoleName) }, f.getRole)
	handle(f, "iam:DeleteRole", func(_ *caller, in *iam.DeleteRoleInput) []string { return f.roleARN(in.RoleName) }, f.deleteRole)
	handle(f, "iam:UpdateAssumeRolePolicy", nil, f.updateAssumeRolePolicy)
	handle(f, "iam:PutRolePolicy", nil, f.putRolePolicy)
	handle(f, "iam:GetRolePolicy", func(_ *caller, in *iam.GetRolePolicyInput) []string { return f.roleARN(in.RoleName) }, f.getRolePolicy)
	handle(f, "iam:ListRolePolicies", nil, f.listRolePolicies)
	handle(f, "iam:DeleteRolePolicy", nil, f.deleteRolePolicy)
	handle(f, "iam:AttachRolePolicy", nil, f.attachRolePolicy)
	handle(f, "iam:ListAttachedRolePolicies", nil, f.listAttachedRolePolicies)
	handle(f, "iam:SimulatePrincipalPolicy", nil, f.simulatePrincipalPolicy)
}

func (f *Fake) roleARN(name *string) []string {
	if r := f.roles[aws.ToString(name)]; r != nil {
		return []string{r.arn}
	}
	return []string{"arn:aws:iam::" + f.config.Account + ":role/" + aws.ToString(name)}
}

func noSuchEntity(format string, args ...any) error {
	e := wire.Errorf("NoSuchEntity", format, args...)
	e.Status = http.StatusNotFound
	return e
}

func (f *Fake) roleNamed(name *string) (*role, error) {
	if r := f.roles[aws.ToString(name)]; r != nil {
		return r, nil
	}
	return nil, noSuchEntity("The role with name %s cannot be found.", aws.ToString(name))
}

func malformed(err error) error {
	return wire.Errorf("MalformedPolicyDocument", "%v", err)
}

func (f *Fake) createRole(_ *caller, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	name := aws.ToString(in.RoleName)
	if f.roles[name] != nil {
		e := wire.Errorf("EntityAlreadyExists", "Role with name %s already exists.", name)
		e.Status = http.StatusConflict
		return nil, e
	}
	if _, err := policy.Parse(aws.ToString(in.AssumeRolePolicyDocument)); err != nil {
		return nil, malformed(err)
	}
	rolePath := aws.ToString(in.Path)
	if rolePath == "" {
		rolePath = "/"
	}
	r := &role{
		name: name, path: rolePath, id: "AROA" + strings.ToUpper(f.hex(17)), arn: "arn:aws:iam::" + f.config.Account + ":role" + rolePath + name,
		description: aws.ToString(in.Description), created: time.Now(), trust: aws.ToString(in.AssumeRolePolicyDocument), inline: map[string]string{},
	}
	f.roles[name] = r
	return &iam.CreateRoleOutput{Role: r.describe()}, nil
}

func (r *role) describe() *types.Role {
	return &types.Role{
		RoleName: &r.name, Path: &r.path, RoleId: &r.id, Arn: &r.arn, CreateDate: &r.created, Description: &r.description,
		// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html: "Policies
		// returned by this operation are URL-encoded compliant with RFC 3986".
		AssumeRolePolicyDocument: aws.String(encoded(r.trust)),
	}
}

func encoded(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func (f *Fake) getRole(_ *caller, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: r.describe()}, nil
}

// deleteRole deletes one that has no policies
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html).
func (f *Fake) deleteRole(_ *caller, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	if len(r.inline)+len(r.attached) > 0 {
		e := wire.Errorf("DeleteConflict", "Cannot delete entity, must delete policies first.")
		e.Status = http.StatusConflict
		return nil, e
	}
	delete(f.roles, r.name)
	return &iam.DeleteRoleOutput{}, nil
}

func (f *Fake) updateAssumeRolePolicy(_ *caller, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse(aws.ToString(in.PolicyDocument)); err != nil {
		return nil, malformed(err)
	}
	r.trust = *in.PolicyDocument
	return &iam.UpdateAssumeRolePolicyOutput{}, nil
}

func (f *Fake) putRolePolicy(_ *caller, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse(aws.ToString(in.PolicyDocument)); err != nil {
		return nil, malformed(err)
	}
	r.inline[aws.ToString(in.PolicyName)] = *in.PolicyDocument
	return &iam.PutRolePolicyOutput{}, nil
}

func (f *Fake) getRolePolicy(_ *caller, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	text, ok := r.inline[aws.ToString(in.PolicyName)]
	if !ok {
		return nil, noSuchEntity("The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
	}
	return &iam.GetRolePolicyOutput{RoleName: &r.name, PolicyName: in.PolicyName, PolicyDocument: aws.String(encoded(text))}, nil
}

func (f *Fake) listRolePolicies(_ *caller, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	return &iam.ListRolePoliciesOutput{PolicyNames: slices.Sorted(maps.Keys(r.inline))}, nil
}

func (f *Fake) deleteRolePolicy(_ *caller, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	name := aws.ToString(in.PolicyName)
	if _, ok := r.inline[name]; !ok {
		return nil, noSuchEntity("The role policy with name %s cannot be found.", name)
	}
	delete(r.inline, name)
	return &iam.DeleteRolePolicyOutput{}, nil
}

func (f *Fake) attachRolePolicy(_ *caller, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	arn := aws.ToString(in.PolicyArn)
	if managed[arn] == "" {
		return nil, noSuchEntity("Policy %s does not exist or is not attachable.", arn)
	}
	if !slices.Contains(r.attached, arn) {
		r.attached = append(r.attached, arn)
	}
	return &iam.AttachRolePolicyOutput{}, nil
}

func (f *Fake) listAttachedRolePolicies(_ *caller, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	r, err := f.roleNamed(in.RoleName)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedRolePoliciesOutput{}
	for _, arn := range r.attached {
		out.AttachedPolicies = append(out.AttachedPolicies, types.AttachedPolicy{PolicyArn: aws.String(arn), PolicyName: aws.String(arn[strings.LastIndexByte(arn, '/')+1:])})
	}
	return out, nil
}

// simulatePrincipalPolicy answers what the principal's policies say to every
// action on every resource
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html).
func (f *Fake) simulatePrincipalPolicy(_ *caller, in *iam.SimulatePrincipalPolicyInput) (*iam.SimulatePrincipalPolicyOutput, error) {
	source := aws.ToString(in.PolicySourceArn)
	var subject *role
	if source != f.admin.arn {
		var err error
		if subject, err = f.roleOf(source); err != nil {
			return nil, noSuchEntity("%v", err)
		}
	}
	context := map[string]string{}
	for _, entry := range in.ContextEntries {
		if len(entry.ContextKeyValues) > 0 {
			context[aws.ToString(entry.ContextKeyName)] = entry.ContextKeyValues[0]
		}
	}
	arns := in.ResourceArns
	if len(arns) == 0 {
		arns = []string{"*"} // "If you do not provide a ResourceArns parameter … defaults to *"
	}
	out := &iam.SimulatePrincipalPolicyOutput{}
	for _, action := range in.ActionNames {
		for _, arn := range arns {
			decision := policy.Allowed
			if subject != nil {
				var err error
				if decision, err = f.decide(subject, policy.Request{Action: action, Resource: arn, Context: context}); err != nil {
					return nil, malformed(err)
				}
			}
			out.EvaluationResults = append(out.EvaluationResults, types.EvaluationResult{
				EvalActionName: aws.String(action), EvalResourceName: aws.String(arn), EvalDecision: types.PolicyEvaluationDecisionType(decision),
			})
		}
	}
	return out, nil
}
