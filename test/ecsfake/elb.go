package ecsfake

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// balancing is what Elastic Load Balancing keeps. It routes nothing; it
// watches targets.
type balancing struct {
	groups    map[string]*targetGroup
	balancers map[string]*types.LoadBalancer
	listeners map[string]*types.Listener
}

// targetGroup is a target group with its targets, those that are leaving too.
type targetGroup struct {
	types.TargetGroup
	arn     string
	targets []*target
}

func newBalancing() balancing {
	return balancing{groups: map[string]*targetGroup{}, balancers: map[string]*types.LoadBalancer{}, listeners: map[string]*types.Listener{}}
}

func (f *Fake) registerBalancing() {
	handle(f, "elasticloadbalancing:CreateTargetGroup", nil, f.createTargetGroup)
	handle(f, "elasticloadbalancing:DescribeTargetGroups", nil, f.describeTargetGroups)
	handle(f, "elasticloadbalancing:DescribeTargetHealth", nil, f.describeTargetHealth)
	handle(f, "elasticloadbalancing:CreateLoadBalancer", nil, f.createLoadBalancer)
	handle(f, "elasticloadbalancing:DescribeLoadBalancers", nil, f.describeLoadBalancers)
	handle(f, "elasticloadbalancing:CreateListener", nil, f.createListener)
	handle(f, "elasticloadbalancing:DescribeListeners", nil, f.describeListeners)
}

// createTargetGroup fills in the defaults of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html.
func (f *Fake) createTargetGroup(_ *caller, in *elb.CreateTargetGroupInput) (*elb.CreateTargetGroupOutput, error) {
	name := aws.ToString(in.Name)
	if name == "" || len(name) > 32 {
		// ibid.: "This name must be unique per region per account, can have a maximum of 32 characters".
		return nil, wire.Errorf("ValidationError", "Target group name '%s' cannot be longer than '32' characters", name)
	}
	for _, g := range f.groups {
		if *g.TargetGroupName == name {
			return nil, wire.Errorf("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", name)
		}
	}
	g := &targetGroup{arn: f.arn("elasticloadbalancing", "targetgroup/"+name+"/"+f.hex(16))}
	g.TargetGroup = types.TargetGroup{
		TargetGroupArn: &g.arn, TargetGroupName: &name, Port: in.Port, Protocol: in.Protocol, VpcId: in.VpcId, TargetType: in.TargetType, Matcher: in.Matcher,
		HealthCheckEnabled: aws.Bool(true), HealthCheckPath: in.HealthCheckPath, HealthCheckPort: in.HealthCheckPort, HealthCheckProtocol: in.HealthCheckProtocol,
		HealthCheckIntervalSeconds: in.HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds: in.HealthCheckTimeoutSeconds,
		HealthyThresholdCount: in.HealthyThresholdCount, UnhealthyThresholdCount: in.UnhealthyThresholdCount, LoadBalancerArns: []string{},
	}
	def(&g.HealthCheckIntervalSeconds, 30)
	def(&g.HealthCheckTimeoutSeconds, 5)
	def(&g.HealthyThresholdCount, 5)
	def(&g.UnhealthyThresholdCount, 2)
	if g.HealthCheckPath == nil {
		g.HealthCheckPath = aws.String("/")
	}
	if g.Matcher == nil {
		g.Matcher = &types.Matcher{HttpCode: aws.String("200")}
	}
	if g.TargetType == "" {
		g.TargetType = types.TargetTypeEnumInstance
	}
	if g.HealthCheckProtocol == "" {
		g.HealthCheckProtocol = types.ProtocolEnumHttp
		if in.Protocol == types.ProtocolEnumTcp {
			g.HealthCheckProtocol = types.ProtocolEnumTcp
		}
	}
	f.groups[g.arn] = g
	return &elb.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{g.TargetGroup}}, nil
}

func (f *Fake) describeTargetGroups(_ *caller, in *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error) {
	out := &elb.DescribeTargetGroupsOutput{TargetGroups: []types.TargetGroup{}}
	for _, arn := range in.TargetGroupArns {
		if f.groups[arn] == nil {
			return nil, wire.Errorf("TargetGroupNotFound", "One or more target groups not found")
		}
	}
	for arn, g := range f.groups {
		if len(in.TargetGroupArns) > 0 && !slices.Contains(in.TargetGroupArns, arn) || len(in.Names) > 0 && !slices.Contains(in.Names, *g.TargetGroupName) ||
			in.LoadBalancerArn != nil && !slices.Contains(g.LoadBalancerArns, *in.LoadBalancerArn) {
			continue
		}
		out.TargetGroups = append(out.TargetGroups, g.TargetGroup)
	}
	if len(in.Names) > len(out.TargetGroups) {
		return nil, wire.Errorf("TargetGroupNotFound", "One or more target groups not found")
	}
	return out, nil
}

func (f *Fake) describeTargetHealth(_ *caller, in *elb.DescribeTargetHealthInput) (*elb.DescribeTargetHealthOutput, error) {
	g := f.groups[aws.ToString(in.TargetGroupArn)]
	if g == nil {
		return nil, wire.Errorf("TargetGroupNotFound", "Target group '%s' not found", aws.ToString(in.TargetGroupArn))
	}
	out := &elb.DescribeTargetHealthOutput{TargetHealthDescriptions: []types.TargetHealthDescription{}}
	for _, t := range g.targets {
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, t.describe())
	}
	return out, nil
}

func (f *Fake) createLoadBalancer(_ *caller, in *elb.CreateLoadBalancerInput) (*elb.CreateLoadBalancerOutput, error) {
	name := aws.ToString(in.Name)
	arn := f.arn("elasticloadbalancing", "loadbalancer/app/"+name+"/"+f.hex(16))
	now := time.Now()
	f.balancers[arn] = &types.LoadBalancer{
		LoadBalancerArn: &arn, LoadBalancerName: &name, DNSName: aws.String(name + ".elb." + f.config.Region + ".amazonaws.com"), CreatedTime: &now, Scheme: in.Scheme,
		Type: types.LoadBalancerTypeEnumApplication, State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}, SecurityGroups: in.SecurityGroups,
	}
	return &elb.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{*f.balancers[arn]}}, nil
}

func (f *Fake) describeLoadBalancers(_ *caller, in *elb.DescribeLoadBalancersInput) (*elb.DescribeLoadBalancersOutput, error) {
	out := &elb.DescribeLoadBalancersOutput{LoadBalancers: []types.LoadBalancer{}}
	for arn, b := range f.balancers {
		if len(in.LoadBalancerArns) > 0 && !slices.Contains(in.LoadBalancerArns, arn) || len(in.Names) > 0 && !slices.Contains(in.Names, *b.LoadBalancerName) {
			continue
		}
		out.LoadBalancers = append(out.LoadBalancers, *b)
	}
	if len(out.LoadBalancers) < max(len(in.LoadBalancerArns), len(in.Names)) {
		return nil, wire.Errorf("LoadBalancerNotFound", "One or more load balancers not found")
	}
	return out, nil
}

func (f *Fake) createListener(_ *caller, in *elb.CreateListenerInput) (*elb.CreateListenerOutput, error) {
	balancer := f.balancers[aws.ToString(in.LoadBalancerArn)]
	if balancer == nil {
		return nil, wire.Errorf("LoadBalancerNotFound", "Load balancer '%s' not found", aws.ToString(in.LoadBalancerArn))
	}
	for _, action := range in.DefaultActions {
		arn := aws.ToString(action.TargetGroupArn)
		if arn == "" {
			continue
		}
		if f.groups[arn] == nil {
			return nil, wire.Errorf("TargetGroupNotFound", "Target groups '%s' not found", arn)
		}
		f.groups[arn].LoadBalancerArns = append(f.groups[arn].LoadBalancerArns, *balancer.LoadBalancerArn)
	}
	arn := strings.Replace(*balancer.LoadBalancerArn, ":loadbalancer/", ":listener/", 1) + "/" + f.hex(16)
	f.listeners[arn] = &types.Listener{ListenerArn: &arn, LoadBalancerArn: balancer.LoadBalancerArn, Port: in.Port, Protocol: in.Protocol, DefaultActions: in.DefaultActions}
	return &elb.CreateListenerOutput{Listeners: []types.Listener{*f.listeners[arn]}}, nil
}

func (f *Fake) describeListeners(_ *caller, in *elb.DescribeListenersInput) (*elb.DescribeListenersOutput, error) {
	out := &elb.DescribeListenersOutput{Listeners: []types.Listener{}}
	for arn, l := range f.listeners {
		if in.LoadBalancerArn != nil && *l.LoadBalancerArn != *in.LoadBalancerArn || len(in.ListenerArns) > 0 && !slices.Contains(in.ListenerArns, arn) {
			continue
		}
		out.Listeners = append(out.Listeners, *l)
	}
	return out, nil
}
