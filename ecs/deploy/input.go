package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/clipperregistry/runner/ecs"
)

// input is a definition as the SDK registers it.
func input(def *ecs.Definition) (*awsecs.RegisterTaskDefinitionInput, error) {
	var misfits []string
	for _, m := range def.Misfits() {
		misfits = append(misfits, m.Path+": "+m.Text)
	}
	if len(misfits) > 0 {
		return nil, fmt.Errorf("%w that ECS can take: %s", ecs.ErrDefinition, strings.Join(misfits, "; "))
	}
	out, err := decode(def)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ecs.ErrDefinition, err)
	}
	d := out.TaskDefinition
	return &awsecs.RegisterTaskDefinitionInput{
		ContainerDefinitions: d.ContainerDefinitions, Family: d.Family, Cpu: d.Cpu, EnableFaultInjection: d.EnableFaultInjection,
		EphemeralStorage: d.EphemeralStorage, ExecutionRoleArn: d.ExecutionRoleArn,
		//lint:ignore SA1019 what is in a definition is not lost on the way; to refuse it is ECS's business
		InferenceAccelerators: d.InferenceAccelerators,
		IpcMode:               d.IpcMode, Memory: d.Memory, NetworkMode: d.NetworkMode, PidMode: d.PidMode, PlacementConstraints: d.PlacementConstraints,
		ProxyConfiguration: d.ProxyConfiguration, RequiresCompatibilities: d.RequiresCompatibilities, RuntimePlatform: d.RuntimePlatform,
		Tags: out.Tags, TaskRoleArn: d.TaskRoleArn, Volumes: d.Volumes,
	}, nil
}

// decode reads a definition as if ECS had sent it: what the SDK sends it
// cannot read, and encoding/json does not know its unions.
func decode(def *ecs.Definition) (*awsecs.RegisterTaskDefinitionOutput, error) {
	answer, err := json.Marshal(map[string]any{"taskDefinition": def, "tags": def.Root().List("tags")})
	if err != nil {
		return nil, err
	}
	out := &awsecs.RegisterTaskDefinitionOutput{}
	operation := smithy.NewOperationSchema(schemas.RegisterTaskDefinition, schemas.RegisterTaskDefinitionRequest, schemas.RegisterTaskDefinitionResponse)
	response := &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer))}}
	err = awsjson.New11(schemas.AmazonEC2ContainerServiceV20141113).DeserializeResponse(context.Background(), operation, nil, response, out)
	return out, err
}
