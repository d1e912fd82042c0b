package ecsfake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// The states of tasks and containers, in their order
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html).
const (
	provisioning   = "PROVISIONING"
	pending        = "PENDING"
	activating     = "ACTIVATING"
	running        = "RUNNING"
	deactivating   = "DEACTIVATING"
	stopping       = "STOPPING"
	deprovisioning = "DEPROVISIONING"
	stopped        = "STOPPED"
)

// task is a task from its launch to long after its end.
type task struct {
	types.Task
	definition *types.TaskDefinition
	containers []*container
	// revision, if a service runs the task, is what of.
	revision *revision
	// hidden is how many describes do not see the task yet.
	hidden int
	// changed is closed and made anew whenever something happens to the task.
	changed chan struct{}
	// credentials is the id of the task role's session.
	credentials string
	// failed keeps that the service scheduler has counted the task's failure.
	failed bool
	// targets are where load balancers reach the task.
	targets []*target
	// healthyAt is when the task began to count as healthy for its service.
	healthyAt time.Time
}

// container is one of a task.
type container struct {
	task       *task
	index      int // in the definition and the description
	definition types.ContainerDefinition
	override   types.ContainerOverride
	secrets    map[string]string
	files      map[string]string // variables of environment files
	endpoint   string            // the id of its metadata
	id         string            // the engine's
	startedAt  time.Time
	// ran is set when the container was started, whatever became of it.
	ran bool
}

func (c *container) name() string { return *c.definition.Name }

// dockerName is the engine's name of the container.
func (c *container) dockerName() string { return "ecs-" + c.task.id() + "-" + c.name() }

func (c *container) essential() bool { return aws.ToBool(c.definition.Essential) }

// shown is the container as it is described.
func (c *container) shown() *types.Container { return &c.task.Containers[c.index] }

func (c *container) is(status string) bool { return aws.ToString(c.shown().LastStatus) == status }

// launchSpec is what a task is started with.
type launchSpec struct {
	cluster    *types.Cluster
	definition *types.TaskDefinition
	launchType types.LaunchType
	overrides  *types.TaskOverride
	group      string
	startedBy  string
	exec       bool
	tags       []types.Tag
	network    *types.NetworkConfiguration
	revision   *revision
}

// newTask makes a task and begins its life.
func (f *Fake) newTask(spec launchSpec) *task {
	now := time.Now()
	d := spec.definition
	arn := f.arn("ecs", "task/"+*spec.cluster.ClusterName+"/"+f.hex(32))
	overrides := spec.overrides
	if overrides == nil {
		overrides = &types.TaskOverride{}
	}
	t := &task{
		Task: types.Task{
			TaskArn: &arn, TaskDefinitionArn: d.TaskDefinitionArn, ClusterArn: spec.cluster.ClusterArn, Group: &spec.group, LaunchType: spec.launchType,
			LastStatus: aws.String(provisioning), DesiredStatus: aws.String(running), HealthStatus: types.HealthStatusUnknown, CreatedAt: &now,
			Cpu: d.Cpu, Memory: d.Memory, EnableExecuteCommand: spec.exec, Overrides: overrides, Version: 1, Tags: spec.tags,
			EphemeralStorage: d.EphemeralStorage, AvailabilityZone: aws.String(f.config.Region + "a"), Attachments: []types.Attachment{}, Attributes: []types.Attribute{},
		},
		definition: d, revision: spec.revision, hidden: f.traffic.missing, changed: make(chan struct{}),
	}
	if spec.startedBy != "" {
		t.StartedBy = &spec.startedBy
	}
	if overrides.Cpu != nil {
		t.Cpu = overrides.Cpu
	}
	if overrides.Memory != nil {
		t.Memory = overrides.Memory
	}
	if overrides.EphemeralStorage != nil {
		t.EphemeralStorage = overrides.EphemeralStorage
	}
	if spec.launchType == types.LaunchTypeFargate {
		t.PlatformVersion, t.PlatformFamily = aws.String("1.4.0"), aws.String("Linux")
		if t.EphemeralStorage == nil {
			t.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: 20}
		}
	}
	if d.NetworkMode == types.NetworkModeAwsvpc {
		t.Attachments = append(t.Attachments, types.Attachment{Id: aws.String(f.uuid()), Type: aws.String("ElasticNetworkInterface"), Status: aws.String("ATTACHED"), Details: []types.KeyValuePair{
			{Name: aws.String("privateIPv4Address"), Value: aws.String("127.0.0.1")},
		}})
	}
	t.addContainers(f)
	f.tasks[arn] = t
	f.setTags(arn, spec.tags)
	f.running.Go(func() { f.live(t) })
	return t
}

func (t *task) addContainers(f *Fake) {
	for i, d := range t.definition.ContainerDefinitions {
		c := &container{task: t, index: i, definition: d}
		for _, o := range t.Overrides.ContainerOverrides {
			if aws.ToString(o.Name) == *d.Name {
				c.override = o
			}
		}
		t.containers = append(t.containers, c)
		shown := types.Container{
			ContainerArn: aws.String(strings.Replace(*t.TaskArn, ":task/", ":container/", 1) + "/" + f.uuid()), TaskArn: t.TaskArn, Name: d.Name, Image: d.Image,
			LastStatus: aws.String(pending), HealthStatus: types.HealthStatusUnknown, NetworkInterfaces: []types.NetworkInterface{}, NetworkBindings: []types.NetworkBinding{},
			Cpu: aws.String(fmt.Sprint(d.Cpu)),
		}
		if d.Memory != nil {
			shown.Memory = aws.String(fmt.Sprint(*d.Memory))
		}
		if t.EnableExecuteCommand {
			shown.ManagedAgents = []types.ManagedAgent{{Name: types.ManagedAgentNameExecuteCommandAgent, LastStatus: aws.String(pending)}}
		}
		t.Containers = append(t.Containers, shown)
	}
}

// id is the last part of the task's ARN.
func (t *task) id() string { return (*t.TaskArn)[strings.LastIndexByte(*t.TaskArn, '/')+1:] }

// container finds one of the task's.
func (t *task) container(name *string) *container {
	i := slices.IndexFunc(t.containers, func(c *container) bool { return c.name() == aws.ToString(name) })
	if i < 0 {
		return nil
	}
	return t.containers[i]
}

// touch tells those who wait for the task. The caller holds the lock.
func (t *task) touch() {
	t.Version++
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *task) set(status string) {
	t.LastStatus = &status
	t.touch()
}

func (t *task) ended() bool { return *t.LastStatus == stopped }

func (t *task) ending() bool { return *t.DesiredStatus == stopped }

// stop wishes the end of a task; of several reasons the first counts.
func (t *task) stop(code types.TaskStopCode, reason string) {
	if t.ending() {
		return
	}
	t.DesiredStatus = aws.String(stopped)
	t.StopCode, t.StoppedReason = code, &reason
	t.StoppingAt = aws.Time(time.Now())
	t.touch()
}

// await waits until a condition of the task holds; false: the fake is closed.
func (f *Fake) await(ctx context.Context, t *task, condition func() bool) bool {
	for {
		f.mu.Lock()
		holds, changed := condition(), t.changed
		f.mu.Unlock()
		if holds {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// appraise computes the task's health
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html: "One or more essential
// containers have failed their health check", "All essential containers within the task have
// passed their health checks"). Essential containers without a check do not count, which the
// page leaves open; else no task with a sidecar could be healthy.
func (t *task) appraise() {
	checked, healthy := 0, 0
	for _, c := range t.containers {
		if !c.essential() || c.definition.HealthCheck == nil {
			continue
		}
		checked++
		switch c.shown().HealthStatus {
		case types.HealthStatusUnhealthy:
			t.HealthStatus = types.HealthStatusUnhealthy
			return
		case types.HealthStatusHealthy:
			healthy++
		}
	}
	t.HealthStatus = types.HealthStatusUnknown
	if checked > 0 && checked == healthy {
		t.HealthStatus = types.HealthStatusHealthy
	}
}
