package verify

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/runnerimage/credentials"
)

// AWS is what is asked of AWS, in the region of the tasks.
type AWS struct {
	Region string
	// Parameters and Secrets are the stores of a region.
	Parameters func(region string) Parameters
	Secrets    func(region string) Secrets
	Roles      Roles
	Identity   Identity
}

// Parameters is the part of *ssm.Client that is used; GetParameters only with
// consent.
type Parameters interface {
	DescribeParameters(context.Context, *ssm.DescribeParametersInput, ...func(*ssm.Options)) (*ssm.DescribeParametersOutput, error)
	GetParameters(context.Context, *ssm.GetParametersInput, ...func(*ssm.Options)) (*ssm.GetParametersOutput, error)
}

// Secrets is the part of *secretsmanager.Client that is used; GetSecretValue
// only with consent.
type Secrets interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Roles is the part of *iam.Client that is used.
type Roles interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

// Identity is the part of *sts.Client that is used.
type Identity interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// FromConfig asks with the SDK's clients.
func FromConfig(cfg aws.Config) *AWS {
	return &AWS{
		Region: cfg.Region,
		Parameters: func(region string) Parameters {
			return ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Region = region })
		},
		Secrets: func(region string) Secrets {
			return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region = region })
		},
		Roles:    iam.NewFromConfig(cfg),
		Identity: sts.NewFromConfig(cfg),
	}
}

// askAWS takes the steps that need AWS. Without knowing who calls there is
// nothing to compare with.
func (v *verification) askAWS(ctx context.Context) {
	if !v.identify(ctx) {
		return
	}
	values := v.references()
	v.describe(ctx, values)
	roles := v.roles(ctx)
	v.simulate(ctx, v.grants(values, roles))
	v.simulatePass(ctx, roles)
	if v.ReadCredentials {
		v.fetchCredentials(ctx, values)
	}
}

// caller is who asks.
type caller struct {
	arn, partition, account string
}

func (v *verification) identify(ctx context.Context) bool {
	out, err := v.AWS.Identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		v.unchecked(callerRule, "", "AWS did not say who calls: %s", cause(err))
		return false
	}
	v.caller = caller{arn: aws.ToString(out.Arn), account: aws.ToString(out.Account), partition: "aws"}
	if parts := strings.Split(v.caller.arn, ":"); len(parts) > 1 {
		v.caller.partition = parts[1]
	}
	return true
}

// cause is why a call failed, in one line.
func cause(err error) string {
	if err == nil {
		return "it answered without saying anything"
	}
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		return credentials.Printable(refusal.ErrorCode()+": "+refusal.ErrorMessage(), 300)
	}
	return credentials.Printable(err.Error(), 300)
}

// isCode says whether AWS answered with one of these errors.
func isCode(err error, codes ...string) bool {
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		return false
	}
	for _, code := range codes {
		if refusal.ErrorCode() == code {
			return true
		}
	}
	return false
}
