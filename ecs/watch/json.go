package watch

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// TaskJSON is a task as DescribeTasks answers it.
func TaskJSON(task types.Task) ([]byte, error) { return JSON(schemas.Task, &task) }

// OverridesJSON is what overrides are as JSON, whose length ECS limits.
func OverridesJSON(overrides types.TaskOverride) ([]byte, error) {
	return JSON(schemas.TaskOverride, &overrides)
}

// JSON writes a value with the SDK's own codec, which knows the members' names
// and its unions. The SDK writes requests alone, so it is one.
func JSON(schema *smithy.Schema, value smithy.Serializable) ([]byte, error) {
	request := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	operation := smithy.NewOperationSchema(schemas.RunTask, schema, schema)
	if err := awsjson.New11(schemas.AmazonEC2ContainerServiceV20141113).SerializeRequest(context.Background(), operation, value, request); err != nil {
		return nil, err
	}
	return io.ReadAll(request.GetStream())
}
