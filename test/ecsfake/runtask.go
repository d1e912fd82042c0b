package ecsfake

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// launch is what a client token stands for.
type launch struct {
	parameters string
	tasks      []*task
}

func (f *Fake) registerTasks() {
	handle(f, "ecs:RunTask", func(_ *caller, in *ecs.RunTaskInput) []string {
		if d, err := f.definitionFor(in.TaskDefinition); err == nil {
			return []string{*d.TaskDefinitionArn}
		}
		return []string{aws.ToString(in.TaskDefinition)}
	}, f.runTask)
	handle(f, "ecs:StopTask", func(_ *caller, in *ecs.StopTaskInput) []string {
		return []string{f.taskARN(in.Cluster, aws.ToString(in.Task))}
	}, f.stopTask)
	handle(f, "ecs:DescribeTasks", nil, f.describeTasks)
	handle(f, "ecs:ListTasks", nil, f.listTasks)
	handle(f, "ecs:ExecuteCommand", func(_ *caller, in *ecs.ExecuteCommandInput) []string {
		return []string{f.taskARN(in.Cluster, aws.ToString(in.Task))}
	}, f.executeCommand)
}

func invalid(format string, args ...any) error {
	return wire.Errorf("InvalidParameterException", format, args...)
}

// runTask starts tasks. What cannot be placed is in failures of a good answer
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html).
func (f *Fake) runTask(c *caller, in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	spec, err := f.runSpec(c, in)
	if err != nil {
		return nil, err
	}
	out := &ecs.RunTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	again, err := f.launched(spec.cluster, in)
	if err != nil {
		return nil, err
	}
	if again == nil {
		again = &launch{parameters: parametersOf(in)}
		for range max(1, aws.ToInt32(in.Count)) {
			if len(f.traffic.failures) > 0 {
				out.Failures = append(out.Failures, types.Failure{Arn: spec.cluster.ClusterArn, Reason: aws.String(f.traffic.failures[0])})
				f.traffic.failures = f.traffic.failures[1:]
				continue
			}
			again.tasks = append(again.tasks, f.newTask(spec))
		}
		if in.ClientToken != nil && len(again.tasks) > 0 {
			f.launches[*spec.cluster.ClusterArn+" "+*in.ClientToken] = again
		}
	}
	for _, t := range again.tasks {
		out.Tasks = append(out.Tasks, t.Task)
	}
	return out, nil
}

// launched is what a client token has started before in a cluster
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html: "If you retry a request
// that completed successfully using the same client token and the same parameters, the retry
// succeeds without performing any further actions.", "Requests with the same token in the same
// cluster are idempotent."; with other parameters, ConflictException).
func (f *Fake) launched(cluster *types.Cluster, in *ecs.RunTaskInput) (*launch, error) {
	if in.ClientToken == nil {
		return nil, nil
	}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "It must be unique
	// and is case sensitive. Up to 64 characters are allowed. The valid characters are characters
	// in the range of 33-126, inclusive."
	if n := len(*in.ClientToken); n == 0 || n > 64 || strings.ContainsFunc(*in.ClientToken, func(r rune) bool { return r < 33 || r > 126 }) {
		return nil, invalid("Invalid idempotency token.")
	}
	before := f.launches[*cluster.ClusterArn+" "+*in.ClientToken]
	if before == nil || before.parameters == parametersOf(in) {
		return before, nil
	}
	conflict := &types.ConflictException{}
	for _, t := range before.tasks {
		conflict.ResourceIds = append(conflict.ResourceIds, *t.TaskArn)
	}
	return nil, &wire.Error{Code: "ConflictException", Message: "The request was rejected because the client token was used before with other parameters.", Detail: conflict}
}

func parametersOf(in *ecs.RunTaskInput) string {
	text, _ := json.Marshal(in) // the SDK's inputs are plain data
	return string(text)
}

// runSpec checks what RunTask is told and makes a launch of it.
func (f *Fake) runSpec(c *caller, in *ecs.RunTaskInput) (launchSpec, error) {
	spec := launchSpec{launchType: in.LaunchType, overrides: in.Overrides, exec: in.EnableExecuteCommand, tags: in.Tags, network: in.NetworkConfiguration, startedBy: aws.ToString(in.StartedBy)}
	var err error
	if spec.cluster, err = f.clusterFor(in.Cluster); err != nil {
		return spec, err
	}
	if spec.definition, err = f.activeDefinition(in.TaskDefinition); err != nil {
		return spec, err
	}
	if spec.group = aws.ToString(in.Group); spec.group == "" {
		spec.group = "family:" + *spec.definition.Family
	}
	if in.PropagateTags == types.PropagateTagsTaskDefinition {
		spec.tags = append(slices.Clone(f.tags[*spec.definition.TaskDefinitionArn]), in.Tags...)
	}
	if n := aws.ToInt32(in.Count); n > 10 || n < 0 {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "You can
		// specify up to 10 tasks for each call."
		return spec, invalid("count must be between 1 and 10.")
	}
	if len(spec.startedBy) > 128 {
		// ibid.: "An optional tag specified when a task is started", "Up to 128 letters".
		return spec, invalid("startedBy must be up to 128 characters.")
	}
	if len(in.CapacityProviderStrategy) > 0 {
		spec.launchType = types.LaunchTypeFargate
	}
	if spec.launchType == "" {
		spec.launchType = types.LaunchTypeEc2
	}
	if err := checkLaunch(&spec); err != nil {
		return spec, err
	}
	return spec, f.checkOverrides(c, spec)
}

// checkLaunch refuses definitions that do not fit the launch type or lack a network.
func checkLaunch(spec *launchSpec) error {
	d := spec.definition
	if wants := d.RequiresCompatibilities; len(wants) > 0 && !slices.Contains(wants, types.Compatibility(spec.launchType)) {
		return invalid("Task definition does not support launch_type %s.", spec.launchType)
	}
	if spec.launchType == types.LaunchTypeFargate && !slices.Contains(d.Compatibilities, types.CompatibilityFargate) {
		return invalid("Task definition does not support launch_type %s.", spec.launchType)
	}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "This parameter is
	// required for task definitions that use the awsvpc network mode".
	vpc := spec.network != nil && spec.network.AwsvpcConfiguration != nil && len(spec.network.AwsvpcConfiguration.Subnets) > 0
	if d.NetworkMode == types.NetworkModeAwsvpc && !vpc {
		return invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	if d.NetworkMode != types.NetworkModeAwsvpc && spec.network != nil {
		return invalid("Network Configuration is not valid for the given networkMode of this task definition.")
	}
	return nil
}

// checkOverrides refuses overrides that are too long, name nobody or hand out
// roles that the caller may not
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "A total of 8192
// characters are allowed for overrides. This limit includes the JSON formatting characters of the
// override structure").
func (f *Fake) checkOverrides(c *caller, spec launchSpec) error {
	roles := []*string{spec.definition.TaskRoleArn, spec.definition.ExecutionRoleArn}
	if o := spec.overrides; o != nil {
		if o.TaskRoleArn != nil {
			roles[0] = o.TaskRoleArn
		}
		if o.ExecutionRoleArn != nil {
			roles[1] = o.ExecutionRoleArn
		}
		text, err := protocol["ecs"].Encode("", o)
		if err != nil {
			return err
		}
		if len(text) > 8192 {
			return invalid("Container Overrides length must be at most 8192")
		}
		for _, container := range o.ContainerOverrides {
			known := slices.ContainsFunc(spec.definition.ContainerDefinitions, func(d types.ContainerDefinition) bool {
				return *d.Name == aws.ToString(container.Name)
			})
			if !known {
				return invalid("Override for container named %s is not a container in the TaskDefinition.", aws.ToString(container.Name))
			}
		}
	}
	for _, role := range roles {
		if err := f.pass(c, role); err != nil {
			return err
		}
	}
	return nil
}
