package ecsfake

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/clipperregistry/runner/test/ecsfake/policy"
	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

func (f *Fake) registerSTS() {
	handle(f, "sts:GetCallerIdentity", nil, f.getCallerIdentity)
	handle(f, "sts:AssumeRole", func(_ *caller, in *sts.AssumeRoleInput) []string { return []string{aws.ToString(in.RoleArn)} }, f.assumeRole)
}

func (f *Fake) getCallerIdentity(c *caller, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: &f.config.Account, Arn: &c.arn, UserId: &c.userID}, nil
}

// assumeRole wants the role's trust, too
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
func (f *Fake) assumeRole(c *caller, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	refusal := &wire.Error{Code: denied, Message: "User: " + c.arn + " is not authorized to perform: sts:AssumeRole on resource: " + aws.ToString(in.RoleArn)}
	r, err := f.roleOf(aws.ToString(in.RoleArn))
	if err != nil {
		return nil, refusal
	}
	who := c.arn
	if c.role != nil {
		who = c.role.arn
	}
	if trust, err := policy.Parse(r.trust); err != nil || !policy.Trusts(trust, "AWS", who, policy.Request{Action: "sts:AssumeRole"}) {
		return nil, refusal
	}
	p := f.session(f, r, aws.ToString(in.RoleSessionName))
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: &p.arn, AssumedRoleId: &p.userID},
		Credentials:     &types.Credentials{AccessKeyId: &p.accessKey, SecretAccessKey: &p.secretKey, SessionToken: &p.token, Expiration: &p.expires},
	}, nil
}
