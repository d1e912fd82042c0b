package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/webhook/serve"
)

// amazon looks at what the policy has tasks run in. Without clusters, the
// service asks AWS for nothing.
func (c Checkup) amazon(ctx context.Context) []Finding {
	if c.policy == nil || len(c.policy.Clusters) == 0 || c.AWS == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if c.AWS.Region == "" {
		return one(Bad, "aws", "there is no region", "set AWS_REGION")
	}
	who, err := sts.NewFromConfig(c.AWS.Config).GetCallerIdentity(ctx, nil)
	if err != nil {
		return one(Bad, "aws", short(err), "give the service an identity: a task role, an instance profile, or AWS_PROFILE")
	}
	found := one(OK, "aws", aws.ToString(who.Arn), "")
	for _, name := range slices.Sorted(maps.Keys(c.policy.Clusters)) {
		place := c.policy.Clusters[name]
		found = append(found, c.cluster(ctx, name, cmp.Or(place.Region, c.AWS.Region), place.Cluster))
	}
	for _, name := range slices.Sorted(maps.Keys(c.policy.Secrets)) {
		found = append(found, c.secret(ctx, name, c.policy.Secrets[name].ARN))
	}
	return found
}

// secret looks whether one can be hidden in logs.
func (c Checkup) secret(ctx context.Context, name, arn string) Finding {
	switch why, err := serve.Unread(ctx, c.AWS, arn); {
	case err != nil:
		return Finding{Warn, "secrets", fmt.Sprintf("secret %s of the policy: %s", name, short(err)), ""}
	case why != "":
		return Finding{Warn, "secrets", fmt.Sprintf("secret %s of the policy: %s", name, why), "or no log of a program that has it is shown; webhook/task/README.md has the permissions"}
	}
	return Finding{OK, "secrets", fmt.Sprintf("secret %s of the policy can be hidden in logs", name), ""}
}

// cluster looks whether tasks can be started in one.
func (c Checkup) cluster(ctx context.Context, name, region, cluster string) Finding {
	what := fmt.Sprintf("cluster %s (%s in %s)", name, cluster, region)
	client := ecs.NewFromConfig(c.AWS.Config, func(o *ecs.Options) { o.Region = region })
	out, err := client.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{cluster}})
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode() == "AccessDeniedException":
		return Finding{Warn, "ecs", what + ": the service may not look at it (ecs:DescribeClusters)", "which it need not to start tasks; webhook/task/README.md has the permissions"}
	case err != nil:
		return Finding{Bad, "ecs", what + ": " + short(err), ""}
	case len(out.Clusters) == 0:
		return Finding{Bad, "ecs", what + " is not there", "make it, or name another in the policy"}
	case aws.ToString(out.Clusters[0].Status) != "ACTIVE":
		return Finding{Bad, "ecs", what + " is " + aws.ToString(out.Clusters[0].Status), ""}
	}
	return Finding{OK, "ecs", what, ""}
}

// short is what AWS says, without the SDK's words around it.
func short(err error) string {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode() + ": " + refused.ErrorMessage()
	}
	return err.Error()
}
