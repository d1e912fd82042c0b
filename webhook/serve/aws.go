package serve

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook/task"
)

// AWS are clients of Amazon's, one for each region: they keep connections and
// know how busy AWS is. It is safe for concurrent use.
type AWS struct {
	aws.Config
	ecs, logs, parameters, secrets sync.Map // by region
}

// LoadAWS finds AWS as its own CLI does: by variables, profiles and the
// machine's role. It asks nobody.
func LoadAWS(ctx context.Context) (*AWS, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, wrong("AWS: %w", err)
	}
	return &AWS{Config: c}, nil
}

// client is that of a region, made when it is first asked for.
func client[C any](clients *sync.Map, region string, make func() C) C {
	if c, there := clients.Load(region); there {
		return c.(C)
	}
	c, _ := clients.LoadOrStore(region, make())
	return c.(C)
}

// ECS is the client of a region.
func (a *AWS) ECS(region string) task.Client {
	return client(&a.ecs, region, func() *ecs.Client {
		return ecs.NewFromConfig(a.Config, func(o *ecs.Options) { o.Region = region })
	})
}

// Logs is the client of a region.
func (a *AWS) Logs(region string) watch.LogReader {
	return client(&a.logs, region, func() *cloudwatchlogs.Client {
		return cloudwatchlogs.NewFromConfig(a.Config, func(o *cloudwatchlogs.Options) { o.Region = region })
	})
}

// Parameters is the client of a region.
func (a *AWS) Parameters(region string) task.Parameters {
	return client(&a.parameters, region, func() *ssm.Client {
		return ssm.NewFromConfig(a.Config, func(o *ssm.Options) { o.Region = region })
	})
}

// Secrets is the client of a region.
func (a *AWS) Secrets(region string) task.Secrets {
	return client(&a.secrets, region, func() *secretsmanager.Client {
		return secretsmanager.NewFromConfig(a.Config, func(o *secretsmanager.Options) { o.Region = region })
	})
}
