package ecsfake

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// The states of services.
const (
	active   = "ACTIVE"
	draining = "DRAINING"
	inactive = "INACTIVE"
)

// service is a service with all it ever deployed.
type service struct {
	types.Service
	cluster     *types.Cluster
	deployments []*deployment // oldest first
	// steady is the revision that was deployed to the end last.
	steady *revision
	// revisions are those that may have tasks, oldest first.
	revisions []*revision
	hidden    int
	// token is the client token it was created with.
	token    string
	throttle throttle
	// settled keeps that the steady state was told.
	settled bool
}

// revision is what a deployment wants to run
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-revision.html).
type revision struct {
	types.ServiceRevision
	definition *types.TaskDefinition
	balancers  []types.LoadBalancer
	// id is that of the deployment in the service's description, "ecs-svc/…".
	id     string
	failed int32
	// rollout is its state there.
	rollout types.DeploymentRolloutState
	reason  string
}

func (f *Fake) registerServices() {
	about := func(cluster, name *string) []string { return []string{f.serviceARN(cluster, aws.ToString(name))} }
	handle(f, "ecs:CreateService", func(_ *caller, in *ecs.CreateServiceInput) []string { return about(in.Cluster, in.ServiceName) }, f.createService)
	handle(f, "ecs:UpdateService", func(_ *caller, in *ecs.UpdateServiceInput) []string { return about(in.Cluster, in.Service) }, f.updateService)
	handle(f, "ecs:DeleteService", func(_ *caller, in *ecs.DeleteServiceInput) []string { return about(in.Cluster, in.Service) }, f.deleteService)
	handle(f, "ecs:DescribeServices", nil, f.describeServices)
	handle(f, "ecs:ListServices", nil, f.listServices)
}

func (f *Fake) serviceARN(cluster *string, name string) string {
	return f.within("service", cluster, name)
}

// serviceFor finds a service that is not gone.
func (f *Fake) serviceFor(cluster, id *string) (*service, error) {
	if _, err := f.clusterFor(cluster); err != nil {
		return nil, err
	}
	s := f.services[f.serviceARN(cluster, aws.ToString(id))]
	if s == nil {
		return nil, wire.Errorf("ServiceNotFoundException", "Service not found.")
	}
	if *s.Status == inactive {
		return nil, wire.Errorf("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	return s, nil
}

func (f *Fake) createService(c *caller, in *ecs.CreateServiceInput) (*ecs.CreateServiceOutput, error) {
	cluster, err := f.clusterFor(in.Cluster)
	if err != nil {
		return nil, err
	}
	d, err := f.activeDefinition(in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	arn := f.serviceARN(cluster.ClusterArn, aws.ToString(in.ServiceName))
	if old := f.services[arn]; old != nil && *old.Status != inactive {
		if in.ClientToken != nil && *in.ClientToken == old.token {
			return &ecs.CreateServiceOutput{Service: f.describe(old)}, nil
		}
		return nil, invalid("Creation of service was not idempotent.")
	}
	if in.DeploymentController != nil && in.DeploymentController.Type != types.DeploymentControllerTypeEcs {
		return nil, invalid("ecsfake deploys by the ECS controller only, not by %s.", in.DeploymentController.Type)
	}
	s := &service{cluster: cluster, hidden: f.traffic.missing, token: aws.ToString(in.ClientToken), Service: types.Service{
		ServiceArn: &arn, ServiceName: in.ServiceName, ClusterArn: cluster.ClusterArn, Status: aws.String(active), CreatedAt: aws.Time(time.Now()), CreatedBy: &c.arn,
		DesiredCount: aws.ToInt32(in.DesiredCount), LaunchType: in.LaunchType, LoadBalancers: in.LoadBalancers, NetworkConfiguration: in.NetworkConfiguration,
		HealthCheckGracePeriodSeconds: in.HealthCheckGracePeriodSeconds, EnableExecuteCommand: in.EnableExecuteCommand, EnableECSManagedTags: in.EnableECSManagedTags,
		PropagateTags: in.PropagateTags, SchedulingStrategy: types.SchedulingStrategyReplica, PlatformVersion: in.PlatformVersion, ServiceRegistries: in.ServiceRegistries,
		DeploymentController: &types.DeploymentController{Type: types.DeploymentControllerTypeEcs}, DeploymentConfiguration: strategy(in.DeploymentConfiguration, nil),
		CapacityProviderStrategy: in.CapacityProviderStrategy, TaskDefinition: d.TaskDefinitionArn, Tags: in.Tags,
	}}
	if s.LaunchType == "" {
		s.LaunchType = types.LaunchTypeEc2
		if len(in.CapacityProviderStrategy) > 0 {
			s.LaunchType = types.LaunchTypeFargate
		}
	}
	if err := f.checkService(c, s, d); err != nil {
		return nil, err
	}
	f.services[arn] = s
	f.setTags(arn, in.Tags)
	f.deploy(s, d)
	return &ecs.CreateServiceOutput{Service: f.describe(s)}, nil
}

// checkService refuses what cannot be run as a service.
func (f *Fake) checkService(c *caller, s *service, d *types.TaskDefinition) error {
	if err := checkLaunch(&launchSpec{definition: d, launchType: s.LaunchType, network: s.NetworkConfiguration}); err != nil {
		return err
	}
	for _, b := range s.LoadBalancers {
		if b.TargetGroupArn != nil && f.groups[*b.TargetGroupArn] == nil {
			return invalid("The target group with targetGroupArn %s does not exist.", *b.TargetGroupArn)
		}
		port := slices.ContainsFunc(d.ContainerDefinitions, func(cd types.ContainerDefinition) bool {
			return *cd.Name == aws.ToString(b.ContainerName) && slices.ContainsFunc(cd.PortMappings, func(m types.PortMapping) bool { return aws.ToInt32(m.ContainerPort) == aws.ToInt32(b.ContainerPort) })
		})
		if !port {
			return invalid("The container %s did not have a container port %d defined.", aws.ToString(b.ContainerName), aws.ToInt32(b.ContainerPort))
		}
	}
	for _, hook := range s.DeploymentConfiguration.LifecycleHooks {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentLifecycleHook.html: "PAUSE hooks
		// cannot be configured at TEST_TRAFFIC_SHIFT or PRODUCTION_TRAFFIC_SHIFT stages."
		shifts := slices.Contains(hook.LifecycleStages, types.DeploymentLifecycleHookStageTestTrafficShift) || slices.Contains(hook.LifecycleStages, types.DeploymentLifecycleHookStageProductionTrafficShift)
		if hook.TargetType == types.DeploymentLifecycleHookTargetTypePause && shifts {
			return invalid("PAUSE hooks are not supported at the stages TEST_TRAFFIC_SHIFT and PRODUCTION_TRAFFIC_SHIFT.")
		}
	}
	for _, role := range []*string{d.TaskRoleArn, d.ExecutionRoleArn} {
		if err := f.pass(c, role); err != nil {
			return err
		}
	}
	return nil
}

// updateService changes a service, and deploys if what its tasks are made of
// changes or a new deployment is forced
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html).
func (f *Fake) updateService(c *caller, in *ecs.UpdateServiceInput) (*ecs.UpdateServiceOutput, error) {
	s, err := f.serviceFor(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	id := s.TaskDefinition
	if in.TaskDefinition != nil {
		id = in.TaskDefinition
	}
	d, err := f.activeDefinition(id)
	if err != nil {
		return nil, err
	}
	next := *s
	fresh := in.ForceNewDeployment || *d.TaskDefinitionArn != *s.TaskDefinition || in.NetworkConfiguration != nil || in.LoadBalancers != nil ||
		in.PlatformVersion != nil || in.EnableExecuteCommand != nil && *in.EnableExecuteCommand != s.EnableExecuteCommand
	either(&next.NetworkConfiguration, in.NetworkConfiguration)
	either(&next.HealthCheckGracePeriodSeconds, in.HealthCheckGracePeriodSeconds)
	either(&next.PlatformVersion, in.PlatformVersion)
	if in.LoadBalancers != nil {
		next.LoadBalancers = in.LoadBalancers
	}
	if in.EnableExecuteCommand != nil {
		next.EnableExecuteCommand = *in.EnableExecuteCommand
	}
	if in.DesiredCount != nil {
		next.DesiredCount = *in.DesiredCount
	}
	next.DeploymentConfiguration = strategy(in.DeploymentConfiguration, s.DeploymentConfiguration)
	if err := f.checkService(c, &next, d); err != nil {
		return nil, err
	}
	*s = next
	s.TaskDefinition, s.settled = d.TaskDefinitionArn, false
	if fresh {
		f.deploy(s, d)
	}
	return &ecs.UpdateServiceOutput{Service: f.describe(s)}, nil
}

// deleteService drains a service. It must want no tasks, or be forced
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html).
func (f *Fake) deleteService(_ *caller, in *ecs.DeleteServiceInput) (*ecs.DeleteServiceOutput, error) {
	s, err := f.serviceFor(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.DesiredCount > 0 && !aws.ToBool(in.Force) {
		return nil, invalid("The service cannot be stopped while it is scaled above 0.")
	}
	s.DesiredCount, s.Status = 0, aws.String(draining)
	return &ecs.DeleteServiceOutput{Service: f.describe(s)}, nil
}

func (f *Fake) describeServices(_ *caller, in *ecs.DescribeServicesInput) (*ecs.DescribeServicesOutput, error) {
	if _, err := f.clusterFor(in.Cluster); err != nil {
		return nil, err
	}
	if len(in.Services) == 0 || len(in.Services) > 10 {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html: "A list of
		// services to describe. You may specify up to 10 services to describe in a single operation."
		return nil, invalid("Services must have at least 1 and at most 10 entries.")
	}
	out := &ecs.DescribeServicesOutput{Services: []types.Service{}, Failures: []types.Failure{}}
	for _, id := range in.Services {
		arn := f.serviceARN(in.Cluster, id)
		s := f.services[arn]
		if s == nil || s.hidden > 0 {
			if s != nil {
				s.hidden--
			}
			out.Failures = append(out.Failures, types.Failure{Arn: &arn, Reason: aws.String("MISSING")})
			continue
		}
		shown := f.describe(s)
		if slices.Contains(in.Include, types.ServiceFieldTags) {
			shown.Tags = f.tags[arn]
		}
		out.Services = append(out.Services, *shown)
	}
	return out, nil
}

func (f *Fake) listServices(_ *caller, in *ecs.ListServicesInput) (*ecs.ListServicesOutput, error) {
	cluster, err := f.clusterFor(in.Cluster)
	if err != nil {
		return nil, err
	}
	arns := []string{}
	for arn, s := range f.services {
		if *s.ClusterArn == *cluster.ClusterArn && *s.Status != inactive && s.hidden == 0 {
			arns = append(arns, arn)
		}
	}
	slices.Sort(arns)
	page, next, err := paged(arns, in.NextToken, in.MaxResults, 100)
	return &ecs.ListServicesOutput{ServiceArns: page, NextToken: next}, err
}

// tell adds an event, newest first, of which a service keeps 100
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html: "The event stream for
// your service. A maximum of 100 of the latest events are displayed").
func (s *service) tell(f *Fake, format string, args ...any) {
	message := "(service " + *s.ServiceName + ") " + fmt.Sprintf(format, args...)
	s.Events = slices.Insert(s.Events, 0, types.ServiceEvent{Id: aws.String(f.uuid()), CreatedAt: aws.Time(time.Now()), Message: &message})
	s.Events = s.Events[:min(len(s.Events), 100)]
}
