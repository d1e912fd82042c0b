package watch

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
)

// Part is a container of a task, as far as its definition says how to watch it.
type Part struct {
	Name      string
	Essential bool
	// Moved says that the runner is in it, so that its exit code may be the
	// runner's.
	Moved bool
	// Group, Region and Prefix say where its logs are; Group is "" if they are
	// not in CloudWatch Logs. Without a Prefix the stream has the name of the
	// container's runtime id.
	Group, Region, Prefix string
}

// Parts are the containers of a definition, in its order.
func Parts(def *types.TaskDefinition) []Part {
	if def == nil {
		return nil
	}
	var parts []Part
	for _, c := range def.ContainerDefinitions {
		p := Part{Name: aws.ToString(c.Name), Essential: c.Essential == nil || *c.Essential}
		runner := c.DockerLabels[ecs.LabelRunner]
		p.Moved = runner != "" && runner == aws.ToString(c.Image)
		if l := c.LogConfiguration; l != nil && l.LogDriver == types.LogDriverAwslogs {
			p.Group, p.Region, p.Prefix = l.Options["awslogs-group"], l.Options["awslogs-region"], l.Options["awslogs-stream-prefix"]
		}
		parts = append(parts, p)
	}
	return parts
}

// stream is the name of the container's log stream, "" while it has none
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html:
// "prefix-name/container-name/ecs-task-id").
func (p Part) stream(task types.Task) string {
	if p.Prefix != "" {
		return p.Prefix + "/" + p.Name + "/" + ID(aws.ToString(task.TaskArn))
	}
	return aws.ToString(container(task, p.Name).RuntimeId)
}

// container is a container of a task, an empty one if there is none of that
// name yet.
func container(task types.Task, name string) types.Container {
	for _, c := range task.Containers {
		if aws.ToString(c.Name) == name {
			return c
		}
	}
	return types.Container{}
}
