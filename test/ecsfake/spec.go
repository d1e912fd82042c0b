package ecsfake

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/engine"
)

// spec is what the engine is told of a container: member by member what
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html says it
// "maps to".
func (f *Fake) spec(c *container) engine.Spec {
	d := &c.definition
	s := engine.Spec{
		Image: f.pulled(*d.Image), Entrypoint: d.EntryPoint, Cmd: d.Command, Env: f.environment(c), WorkingDir: aws.ToString(d.WorkingDirectory), User: aws.ToString(d.User),
		Hostname: aws.ToString(d.Hostname), Tty: aws.ToBool(d.PseudoTerminal), OpenStdin: aws.ToBool(d.Interactive), Labels: f.labels(c),
		Healthcheck: f.healthcheck(d.HealthCheck), HostConfig: f.host(c),
	}
	if len(c.override.Command) > 0 {
		s.Cmd = c.override.Command
	}
	return s
}

// environment has, of one name, the strongest value: an override's, a
// secret's, the definition's, its files', the fake's own
// (https://github.com/aws/amazon-ecs-agent, agent/api/container).
func (f *Fake) environment(c *container) []string {
	values := maps.Clone(f.config.Environment)
	if values == nil {
		values = map[string]string{}
	}
	values["ECS_CONTAINER_NAME"] = c.name()
	values["AWS_EXECUTION_ENV"] = "AWS_ECS_" + string(c.task.LaunchType)
	values["AWS_REGION"] = f.config.Region
	host := f.URL
	if f.config.CredentialsAddress != "" {
		host = "http://169.254.170.2"
	}
	values["ECS_CONTAINER_METADATA_URI_V4"] = host + "/v4/" + c.endpoint
	maps.Copy(values, c.routerEnvironment())
	if id := c.task.credentials; id != "" {
		if f.config.CredentialsAddress != "" {
			values["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/" + id
		} else {
			values["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f.URL + "/v2/credentials/" + id
		}
	}
	maps.Copy(values, c.files)
	for _, pair := range c.definition.Environment {
		values[aws.ToString(pair.Name)] = aws.ToString(pair.Value)
	}
	maps.Copy(values, c.secrets)
	for _, pair := range c.override.Environment {
		values[aws.ToString(pair.Name)] = aws.ToString(pair.Value)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, name+"="+values[name])
	}
	return list
}

func (f *Fake) labels(c *container) map[string]string {
	labels := maps.Clone(c.definition.DockerLabels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["com.amazonaws.ecs.cluster"] = *c.task.ClusterArn
	labels["com.amazonaws.ecs.container-name"] = c.name()
	labels["com.amazonaws.ecs.task-arn"] = *c.task.TaskArn
	labels["com.amazonaws.ecs.task-definition-family"] = *c.task.definition.Family
	labels["com.amazonaws.ecs.task-definition-version"] = strconv.Itoa(int(c.task.definition.Revision))
	labels["com.clipperregistry.ecsfake"] = f.URL
	return labels
}

// healthcheck is Docker's own
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html: "Amazon ECS does not
// monitor Docker health checks that are embedded in a container image and not specified in the
// container definition").
func (f *Fake) healthcheck(h *types.HealthCheck) *engine.Healthcheck {
	if h == nil {
		return &engine.Healthcheck{Test: []string{"NONE"}}
	}
	seconds := func(v *int32) time.Duration { return time.Duration(aws.ToInt32(v)) * time.Second }
	return &engine.Healthcheck{
		Test: h.Command, Interval: f.scaled(seconds(h.Interval)), StartPeriod: f.scaled(seconds(h.StartPeriod)), Timeout: seconds(h.Timeout), Retries: int(aws.ToInt32(h.Retries)),
	}
}

// host is what a container gets of its host.
func (f *Fake) host(c *container) engine.HostConfig {
	d := &c.definition
	h := engine.HostConfig{
		NetworkMode: f.config.Network, Binds: f.binds(c), Privileged: aws.ToBool(d.Privileged), ReadonlyRootfs: aws.ToBool(d.ReadonlyRootFilesystem),
		DNS: d.DnsServers, DNSSearch: d.DnsSearchDomains, SecurityOpt: d.DockerSecurityOptions, CpuShares: int64(d.Cpu),
	}
	if c.task.definition.NetworkMode == types.NetworkModeNone || aws.ToBool(d.DisableNetworking) {
		h.NetworkMode = "none"
	}
	if mode := c.task.definition.PidMode; mode == types.PidModeHost {
		h.PidMode = "host"
	}
	memory, reservation := d.Memory, d.MemoryReservation
	if c.override.Memory != nil {
		memory = c.override.Memory
	}
	if c.override.MemoryReservation != nil {
		reservation = c.override.MemoryReservation
	}
	h.Memory, h.MemoryReservation = int64(aws.ToInt32(memory))<<20, int64(aws.ToInt32(reservation))<<20
	for _, v := range d.VolumesFrom {
		if source := c.task.container(v.SourceContainer); source != nil {
			mode := "rw"
			if aws.ToBool(v.ReadOnly) {
				mode = "ro"
			}
			h.VolumesFrom = append(h.VolumesFrom, source.id+":"+mode)
		}
	}
	for _, u := range d.Ulimits {
		h.Ulimits = append(h.Ulimits, engine.Ulimit{Name: string(u.Name), Soft: int64(u.SoftLimit), Hard: int64(u.HardLimit)})
	}
	for _, e := range d.ExtraHosts {
		h.ExtraHosts = append(h.ExtraHosts, aws.ToString(e.Hostname)+":"+aws.ToString(e.IpAddress))
	}
	for _, control := range d.SystemControls {
		if h.Sysctls == nil {
			h.Sysctls = map[string]string{}
		}
		h.Sysctls[aws.ToString(control.Namespace)] = aws.ToString(control.Value)
	}
	linux(&h, d.LinuxParameters)
	f.route(c, &h)
	return h
}

func linux(h *engine.HostConfig, p *types.LinuxParameters) {
	if p == nil {
		return
	}
	h.Init = p.InitProcessEnabled
	h.ShmSize = int64(aws.ToInt32(p.SharedMemorySize)) << 20
	if p.Capabilities != nil {
		h.CapAdd, h.CapDrop = p.Capabilities.Add, p.Capabilities.Drop
	}
	for _, t := range p.Tmpfs {
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[aws.ToString(t.ContainerPath)] = strings.Join(append(slices.Clone(t.MountOptions), fmt.Sprintf("size=%dm", t.Size)), ",")
	}
	for _, device := range p.Devices {
		inside := aws.ToString(device.ContainerPath)
		if inside == "" {
			inside = aws.ToString(device.HostPath)
		}
		h.Devices = append(h.Devices, engine.Device{PathOnHost: aws.ToString(device.HostPath), PathInContainer: inside, CgroupPermissions: "rwm"})
	}
}
