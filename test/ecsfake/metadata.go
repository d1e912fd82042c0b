package ecsfake

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// containerMetadata and taskMetadata are what a container is told of itself and
// of its task
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html).
type containerMetadata struct {
	DockerID      string `json:"DockerId"`
	Name          string
	DockerName    string
	Image         string
	ImageID       string `json:",omitempty"`
	Labels        map[string]string
	DesiredStatus string
	KnownStatus   string
	ExitCode      *int32 `json:",omitempty"`
	Limits        limits
	CreatedAt     *time.Time `json:",omitempty"`
	StartedAt     *time.Time `json:",omitempty"`
	Type          string
	LogDriver     string            `json:",omitempty"`
	LogOptions    map[string]string `json:",omitempty"`
	ContainerARN  string
}

type limits struct {
	CPU    float64 `json:",omitempty"`
	Memory int32   `json:",omitempty"`
}

type taskMetadata struct {
	Cluster          string
	ServiceName      string `json:",omitempty"`
	TaskARN          string
	Family           string
	Revision         string
	DesiredStatus    string
	KnownStatus      string
	PullStartedAt    *time.Time `json:",omitempty"`
	PullStoppedAt    *time.Time `json:",omitempty"`
	AvailabilityZone string
	LaunchType       string
	Containers       []containerMetadata
}

// serveMetadata answers GET $ECS_CONTAINER_METADATA_URI_V4 and …/task; not ok for
// every other path. The caller holds the lock.
func (f *Fake) serveMetadata(w http.ResponseWriter, path string) bool {
	id, rest, _ := strings.Cut(strings.TrimPrefix(path, "/v4/"), "/")
	c := f.endpoints[id]
	if c == nil || !strings.HasPrefix(path, "/v4/") {
		return false
	}
	var told any
	switch rest {
	case "":
		told = f.containerMetadata(c)
	case "task", "taskWithTags":
		told = f.taskMetadata(c.task)
	default:
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(told)
	return true
}

func (f *Fake) containerMetadata(c *container) containerMetadata {
	m := containerMetadata{
		DockerID: c.id, Name: c.name(), DockerName: c.dockerName(), Image: *c.definition.Image, ImageID: aws.ToString(c.shown().ImageDigest), Labels: f.labels(c),
		DesiredStatus: *c.task.DesiredStatus, KnownStatus: aws.ToString(c.shown().LastStatus), ExitCode: c.shown().ExitCode,
		Limits: limits{CPU: float64(c.definition.Cpu), Memory: aws.ToInt32(c.definition.Memory)}, CreatedAt: c.task.CreatedAt, Type: "NORMAL", ContainerARN: *c.shown().ContainerArn,
	}
	if c.ran {
		m.StartedAt = &c.startedAt
	}
	if l := c.definition.LogConfiguration; l != nil {
		m.LogDriver, m.LogOptions = string(l.LogDriver), l.Options
	}
	return m
}

func (f *Fake) taskMetadata(t *task) taskMetadata {
	family, revision, _ := strings.Cut((*t.TaskDefinitionArn)[strings.LastIndexByte(*t.TaskDefinitionArn, '/')+1:], ":")
	m := taskMetadata{
		Cluster: *t.ClusterArn, TaskARN: *t.TaskArn, Family: family, Revision: revision, DesiredStatus: *t.DesiredStatus, KnownStatus: *t.LastStatus,
		PullStartedAt: t.PullStartedAt, PullStoppedAt: t.PullStoppedAt, AvailabilityZone: *t.AvailabilityZone, LaunchType: string(t.LaunchType),
	}
	if service, ok := strings.CutPrefix(aws.ToString(t.Group), "service:"); ok {
		m.ServiceName = service
	}
	for _, c := range t.containers {
		m.Containers = append(m.Containers, f.containerMetadata(c))
	}
	return m
}
