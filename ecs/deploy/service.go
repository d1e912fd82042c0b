package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Settings are a service's, in the form that CreateService takes. Its strategy
// (deploymentConfiguration.strategy: rolling, blue/green, linear, canary) and
// its circuit breaker are among them; ECS itself does them.
type Settings awsecs.CreateServiceInput

// ParseSettings reads the JSON of a service, as `aws ecs create-service
// --cli-input-json` takes it. What names the service, its cluster and its task
// definition is left out: a Request does. The error is an ErrService.
func ParseSettings(text []byte) (*Settings, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var f form
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: its settings: %w", ErrService, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: its settings: something follows the object", ErrService)
	}
	s := f.settings()
	s.ServiceName, s.Cluster, s.TaskDefinition, s.ClientToken = nil, nil, nil, nil
	return s, nil
}

// form is CreateServiceInput as encoding/json can read it: what the SDK has
// interfaces for is spelt out.
type form struct {
	awsecs.CreateServiceInput
	DeploymentConfiguration *struct {
		types.DeploymentConfiguration
		LifecycleHooks []struct {
			types.DeploymentLifecycleHook
			HookDetails any
		}
	}
	ServiceConnectConfiguration *struct {
		types.ServiceConnectConfiguration
		ContainerConfigurations []struct {
			LogLevel types.ServiceConnectContainerLogLevel
		}
	}
}

func (f *form) settings() *Settings {
	if d := f.DeploymentConfiguration; d != nil {
		for _, h := range d.LifecycleHooks {
			hook := h.DeploymentLifecycleHook
			if h.HookDetails != nil {
				hook.HookDetails = document.NewLazyDocument(h.HookDetails)
			}
			d.DeploymentConfiguration.LifecycleHooks = append(d.DeploymentConfiguration.LifecycleHooks, hook)
		}
		f.CreateServiceInput.DeploymentConfiguration = &d.DeploymentConfiguration
	}
	if c := f.ServiceConnectConfiguration; c != nil {
		for _, container := range c.ContainerConfigurations {
			c.ServiceConnectConfiguration.ContainerConfigurations = append(c.ServiceConnectConfiguration.ContainerConfigurations,
				&types.ServiceConnectContainerConfigurationMemberLogLevel{Value: container.LogLevel})
		}
		f.CreateServiceInput.ServiceConnectConfiguration = &c.ServiceConnectConfiguration
	}
	s := Settings(f.CreateServiceInput)
	return &s
}

// create creates the service. The SDK gives the call a client token.
func (d *deployment) create(ctx context.Context) error {
	in := awsecs.CreateServiceInput(*d.Settings)
	in.ServiceName, in.Cluster, in.TaskDefinition = &d.Service, named(d.Cluster), &d.Revision.ARN
	if d.Count != nil {
		in.DesiredCount = d.Count
	}
	out, err := answered(ctx, d.client.CreateService, &in)
	if err != nil {
		return fmt.Errorf("create service %s: %w", d.Service, err)
	}
	d.result.Created = true
	return d.find(ctx, "", aws.ToString(out.Service.CurrentServiceDeployment))
}

// answered makes a call that begins a deployment, and waits for its answer even
// if ctx ends meanwhile: without it nobody could roll back what it began.
func answered[In, Out any](ctx context.Context, call func(context.Context, *In, ...func(*awsecs.Options)) (*Out, error), in *In) (*Out, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	return call(ctx, in)
}

// update is the call that updates the service. How many tasks are wanted is
// left to the service, or to whoever scales it, unless Count says otherwise.
func (d *deployment) update() *awsecs.UpdateServiceInput {
	in := &awsecs.UpdateServiceInput{}
	if s := d.Settings; s != nil {
		in.AvailabilityZoneRebalancing, in.CapacityProviderStrategy = s.AvailabilityZoneRebalancing, s.CapacityProviderStrategy
		in.DeploymentConfiguration, in.HealthCheckGracePeriodSeconds = s.DeploymentConfiguration, s.HealthCheckGracePeriodSeconds
		in.EnableECSManagedTags, in.EnableExecuteCommand = &s.EnableECSManagedTags, &s.EnableExecuteCommand
		in.GatewayConnectors, in.LoadBalancers, in.Monitoring = s.GatewayConnectors, s.LoadBalancers, s.Monitoring
		in.NetworkConfiguration, in.PlatformVersion, in.PropagateTags = s.NetworkConfiguration, s.PlatformVersion, s.PropagateTags
		in.PlacementConstraints, in.PlacementStrategy = s.PlacementConstraints, s.PlacementStrategy
		in.ServiceConnectConfiguration, in.ServiceRegistries = s.ServiceConnectConfiguration, s.ServiceRegistries
		in.VolumeConfigurations, in.VpcLatticeConfigurations = s.VolumeConfigurations, s.VpcLatticeConfigurations
	}
	in.Service, in.Cluster, in.TaskDefinition = &d.Service, named(d.Cluster), &d.Revision.ARN
	in.DesiredCount, in.ForceNewDeployment = d.Count, d.Force
	return in
}

func named(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}
