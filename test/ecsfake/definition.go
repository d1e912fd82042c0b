package ecsfake

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	definition "github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

func (f *Fake) registerDefinitions() {
	handle(f, "ecs:RegisterTaskDefinition", func(_ *caller, in *ecs.RegisterTaskDefinitionInput) []string {
		return []string{f.arn("ecs", "task-definition/"+aws.ToString(in.Family)+":*")}
	}, f.registerTaskDefinition)
	handle(f, "ecs:DescribeTaskDefinition", nil, f.describeTaskDefinition)
	handle(f, "ecs:DeregisterTaskDefinition", nil, f.deregisterTaskDefinition)
	handle(f, "ecs:DeleteTaskDefinitions", nil, f.deleteTaskDefinitions)
	handle(f, "ecs:ListTaskDefinitions", nil, f.listTaskDefinitions)
	handle(f, "ecs:ListTaskDefinitionFamilies", nil, f.listTaskDefinitionFamilies)
}

func (f *Fake) registerTaskDefinition(c *caller, in *ecs.RegisterTaskDefinitionInput) (*ecs.RegisterTaskDefinitionOutput, error) {
	if err := f.refuse(in); err != nil {
		return nil, err
	}
	for _, role := range []*string{in.TaskRoleArn, in.ExecutionRoleArn} {
		if err := f.pass(c, role); err != nil {
			return nil, err
		}
	}
	family := *in.Family
	revision := int32(len(f.families[family]) + 1)
	arn := f.arn("ecs", fmt.Sprintf("task-definition/%s:%d", family, revision))
	d := &types.TaskDefinition{
		TaskDefinitionArn: &arn, Family: &family, Revision: revision, Status: types.TaskDefinitionStatusActive,
		RegisteredAt: aws.Time(time.Now()), RegisteredBy: &c.arn,
		ContainerDefinitions: in.ContainerDefinitions, Cpu: in.Cpu, Memory: in.Memory, EnableFaultInjection: in.EnableFaultInjection,
		EphemeralStorage: in.EphemeralStorage, ExecutionRoleArn: in.ExecutionRoleArn, TaskRoleArn: in.TaskRoleArn,
		IpcMode: in.IpcMode, PidMode: in.PidMode, NetworkMode: in.NetworkMode,
		PlacementConstraints: in.PlacementConstraints, ProxyConfiguration: in.ProxyConfiguration,
		RequiresCompatibilities: in.RequiresCompatibilities, RuntimePlatform: in.RuntimePlatform, Volumes: in.Volumes,
	}
	fill(d)
	f.families[family] = append(f.families[family], d)
	f.setTags(arn, in.Tags)
	return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: d, Tags: in.Tags}, nil
}

// fill gives a definition the values that ECS shows where none was set, as
// the API reference's example answers have them
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html).
func fill(d *types.TaskDefinition) {
	d.Compatibilities = []types.Compatibility{types.CompatibilityEc2}
	if d.NetworkMode == types.NetworkModeAwsvpc {
		d.Compatibilities = append(d.Compatibilities, types.CompatibilityFargate)
	}
	list(&d.Volumes)
	list(&d.PlacementConstraints)
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		if c.Essential == nil {
			c.Essential = aws.Bool(true)
		}
		list(&c.PortMappings)
		list(&c.Environment)
		list(&c.MountPoints)
		list(&c.VolumesFrom)
		list(&c.SystemControls)
		for j := range c.PortMappings {
			m := &c.PortMappings[j]
			if m.Protocol == "" {
				m.Protocol = types.TransportProtocolTcp
			}
			if m.HostPort == nil {
				m.HostPort = aws.Int32(0)
				if d.NetworkMode == types.NetworkModeAwsvpc || d.NetworkMode == types.NetworkModeHost {
					m.HostPort = m.ContainerPort
				}
			}
		}
		if h := c.HealthCheck; h != nil {
			// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
			def(&h.Interval, 30)
			def(&h.Timeout, 5)
			def(&h.Retries, 3)
		}
	}
}

func list[T any](l *[]T) {
	if *l == nil {
		*l = []T{}
	}
}

func def(v **int32, value int32) {
	if *v == nil {
		*v = &value
	}
}

// definitionFor finds a task definition by family, family:revision or ARN
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "The family and
// revision ( family:revision ) or full ARN of the task definition to run. If a revision isn't
// specified, the latest ACTIVE revision is used").
func (f *Fake) definitionFor(id *string) (*types.TaskDefinition, error) {
	name := aws.ToString(id)
	if strings.HasPrefix(name, "arn:") {
		var ok bool
		if name, ok = strings.CutPrefix(name, f.arn("ecs", "task-definition/")); !ok {
			return nil, noDefinition()
		}
	}
	family, revision, exact := strings.Cut(name, ":")
	revisions := f.families[family]
	if exact {
		n, err := strconv.Atoi(revision)
		if err != nil || n < 1 || n > len(revisions) {
			return nil, noDefinition()
		}
		return revisions[n-1], nil
	}
	for _, d := range slices.Backward(revisions) {
		if d.Status == types.TaskDefinitionStatusActive {
			return d, nil
		}
	}
	return nil, noDefinition()
}

func noDefinition() error {
	return wire.Errorf("ClientException", "Unable to describe task definition.")
}

// activeDefinition is a definition that may be run.
func (f *Fake) activeDefinition(id *string) (*types.TaskDefinition, error) {
	d, err := f.definitionFor(id)
	if err != nil {
		return nil, wire.Errorf("ClientException", "TaskDefinition not found.")
	}
	if d.Status != types.TaskDefinitionStatusActive {
		return nil, wire.Errorf("ClientException", "TaskDefinition is inactive")
	}
	return d, nil
}

func (f *Fake) describeTaskDefinition(_ *caller, in *ecs.DescribeTaskDefinitionInput) (*ecs.DescribeTaskDefinitionOutput, error) {
	d, err := f.definitionFor(in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: d}
	if slices.Contains(in.Include, types.TaskDefinitionFieldTags) {
		out.Tags = f.tags[*d.TaskDefinitionArn]
	}
	return out, nil
}

func (f *Fake) deregisterTaskDefinition(_ *caller, in *ecs.DeregisterTaskDefinitionInput) (*ecs.DeregisterTaskDefinitionOutput, error) {
	if !strings.Contains(strings.TrimPrefix(aws.ToString(in.TaskDefinition), f.arn("ecs", "")), ":") {
		return nil, wire.Errorf("InvalidParameterException", "A revision is required to deregister a task definition.")
	}
	d, err := f.definitionFor(in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	d.Status, d.DeregisteredAt = types.TaskDefinitionStatusInactive, aws.Time(time.Now())
	return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: d}, nil
}

// deleteTaskDefinitions deletes revisions
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteTaskDefinitions.html: "You must
// deregister a task definition revision before you delete it").
func (f *Fake) deleteTaskDefinitions(_ *caller, in *ecs.DeleteTaskDefinitionsInput) (*ecs.DeleteTaskDefinitionsOutput, error) {
	out := &ecs.DeleteTaskDefinitionsOutput{TaskDefinitions: []types.TaskDefinition{}, Failures: []types.Failure{}}
	for _, name := range in.TaskDefinitions {
		d, err := f.definitionFor(&name)
		if err != nil || d.Status != types.TaskDefinitionStatusInactive {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(name), Reason: aws.String("The specified task definition is not in INACTIVE status.")})
			continue
		}
		d.Status, d.DeleteRequestedAt = types.TaskDefinitionStatusDeleteInProgress, aws.Time(time.Now())
		out.TaskDefinitions = append(out.TaskDefinitions, *d)
	}
	return out, nil
}

func (f *Fake) listTaskDefinitions(_ *caller, in *ecs.ListTaskDefinitionsInput) (*ecs.ListTaskDefinitionsOutput, error) {
	status := in.Status
	if status == "" {
		status = types.TaskDefinitionStatusActive
	}
	var arns []string
	for _, family := range slices.Sorted(maps.Keys(f.families)) {
		if in.FamilyPrefix != nil && *in.FamilyPrefix != family {
			continue
		}
		for _, d := range f.families[family] {
			if d.Status == status {
				arns = append(arns, *d.TaskDefinitionArn)
			}
		}
	}
	if in.Sort == types.SortOrderDesc {
		slices.Reverse(arns)
	}
	page, next, err := paged(arns, in.NextToken, in.MaxResults, 100)
	return &ecs.ListTaskDefinitionsOutput{TaskDefinitionArns: page, NextToken: next}, err
}

func (f *Fake) listTaskDefinitionFamilies(_ *caller, in *ecs.ListTaskDefinitionFamiliesInput) (*ecs.ListTaskDefinitionFamiliesOutput, error) {
	var names []string
	for _, family := range slices.Sorted(maps.Keys(f.families)) {
		if strings.HasPrefix(family, aws.ToString(in.FamilyPrefix)) {
			names = append(names, family)
		}
	}
	page, next, err := paged(names, in.NextToken, in.MaxResults, 100)
	return &ecs.ListTaskDefinitionFamiliesOutput{Families: page, NextToken: next}, err
}

// refuse answers as ECS does to what breaks one of the rules that the project
// knows (package rules): those that cite the documentation of a registration.
func (f *Fake) refuse(in *ecs.RegisterTaskDefinitionInput) error {
	text, err := protocol["ecs"].Encode("", in)
	if err != nil {
		return err
	}
	d, err := definition.Parse(text)
	if err != nil {
		return wire.Errorf("ClientException", "%v", err)
	}
	if broken := rules.Refusals(d); len(broken) > 0 {
		return wire.Errorf("ClientException", "%s", broken[0].Message())
	}
	return nil
}
