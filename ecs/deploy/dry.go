package deploy

import (
	"context"
	"encoding/json"
	"errors"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs/watch"
)

// ErrDry says that a Dry client did not make a call.
var ErrDry = errors.New("this is a dry run")

// Dry is a Client that changes nothing. It keeps the calls that would, and what
// they would be given; the first whose effect what follows would wait for ends
// with an ErrDry. So a dry run is told by what a real one does.
type Dry struct {
	Client
	Calls []Call
}

// Call is a call that was not made.
type Call struct {
	Operation string          `json:"operation"`
	Input     json.RawMessage `json:"input"`
}

func (d *Dry) keep(operation string, schema *smithy.Schema, in smithy.Serializable) error {
	text, err := watch.JSON(schema, in)
	if err == nil {
		d.Calls = append(d.Calls, Call{operation, text})
	}
	return err
}

// RegisterTaskDefinition gives the revision its family's name, which is what
// ECS takes for the newest one.
func (d *Dry) RegisterTaskDefinition(_ context.Context, in *awsecs.RegisterTaskDefinitionInput, _ ...func(*awsecs.Options)) (*awsecs.RegisterTaskDefinitionOutput, error) {
	err := d.keep("RegisterTaskDefinition", schemas.RegisterTaskDefinitionRequest, in)
	return &awsecs.RegisterTaskDefinitionOutput{TaskDefinition: &types.TaskDefinition{TaskDefinitionArn: in.Family, ContainerDefinitions: in.ContainerDefinitions}}, err
}

// CreateService is an ErrDry.
func (d *Dry) CreateService(_ context.Context, in *awsecs.CreateServiceInput, _ ...func(*awsecs.Options)) (*awsecs.CreateServiceOutput, error) {
	return nil, errors.Join(d.keep("CreateService", schemas.CreateServiceRequest, in), ErrDry)
}

// UpdateService is an ErrDry.
func (d *Dry) UpdateService(_ context.Context, in *awsecs.UpdateServiceInput, _ ...func(*awsecs.Options)) (*awsecs.UpdateServiceOutput, error) {
	return nil, errors.Join(d.keep("UpdateService", schemas.UpdateServiceRequest, in), ErrDry)
}

// StopServiceDeployment is an ErrDry, or the refusal of a deployment that is
// over, which ECS would answer.
func (d *Dry) StopServiceDeployment(ctx context.Context, in *awsecs.StopServiceDeploymentInput, _ ...func(*awsecs.Options)) (*awsecs.StopServiceDeploymentOutput, error) {
	found, err := watch.DescribeDeployments(ctx, d.Client, []string{*in.ServiceDeploymentArn})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || watch.Over(found[0].Status) {
		return nil, &types.ConflictException{}
	}
	return nil, errors.Join(d.keep("StopServiceDeployment", schemas.StopServiceDeploymentRequest, in), ErrDry)
}

// ContinueServiceDeployment is as if it went well: there may be several pauses.
func (d *Dry) ContinueServiceDeployment(_ context.Context, in *awsecs.ContinueServiceDeploymentInput, _ ...func(*awsecs.Options)) (*awsecs.ContinueServiceDeploymentOutput, error) {
	return &awsecs.ContinueServiceDeploymentOutput{}, d.keep("ContinueServiceDeployment", schemas.ContinueServiceDeploymentRequest, in)
}
