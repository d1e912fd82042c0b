package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/watch"
)

// Registrar is the part of *ecs.Client that registers.
type Registrar interface {
	RegisterTaskDefinition(context.Context, *awsecs.RegisterTaskDefinitionInput, ...func(*awsecs.Options)) (*awsecs.RegisterTaskDefinitionOutput, error)
	DescribeTaskDefinition(context.Context, *awsecs.DescribeTaskDefinitionInput, ...func(*awsecs.Options)) (*awsecs.DescribeTaskDefinitionOutput, error)
}

// Revision is a revision that is registered.
type Revision struct {
	ARN string `json:"task_definition"`
	// New says that Register registered it, for there was none like it.
	New bool `json:"new"`
	// Parts are its containers.
	Parts []watch.Part `json:"-"`
	// Definition is its content as ECS tells it, nil of a new one.
	Definition *ecs.Definition `json:"-"`
}

// Register registers a definition unless one of the candidates ("web",
// "web:7", an ARN) or the family's latest revision has its content, for which
// the definitions themselves are compared: a label stays when people change a
// revision by hand. The error is an ecs.ErrDefinition if the SDK would drop a
// part of the definition.
func Register(ctx context.Context, client Registrar, def *ecs.Definition, pace watch.Pace, candidates ...string) (Revision, error) {
	in, err := input(def)
	if err != nil {
		return Revision{}, err
	}
	found, err := Find(ctx, client, def, candidates...)
	if err != nil || found.ARN != "" {
		return found, err
	}
	for n := 0; ; n++ {
		// RegisterTaskDefinition has no client token: after an answer that was
		// lost, a look at the family tells whether it was registered.
		out, err := client.RegisterTaskDefinition(ctx, in, func(o *awsecs.Options) { o.Retryer = aws.NopRetryer{} })
		if err == nil {
			return Revision{ARN: aws.ToString(out.TaskDefinition.TaskDefinitionArn), New: true, Parts: watch.Parts(out.TaskDefinition)}, nil
		}
		if n >= 9 || !retry.NewStandard().IsErrorRetryable(err) || ctx.Err() != nil {
			return Revision{}, fmt.Errorf("register task definition %s: %w", def.Family(), err)
		}
		if err := pace.Wait(ctx, n); err != nil {
			return Revision{}, err
		}
		if found, err := Find(ctx, client, def); err != nil || found.ARN != "" {
			found.New = found.ARN != ""
			return found, err
		}
	}
}

// Find finds the content of a definition in the candidates and in the
// family's latest revision. Without it, the revision's ARN is "".
func Find(ctx context.Context, client Registrar, def *ecs.Definition, candidates ...string) (Revision, error) {
	latest, err := describeKnown(ctx, client, def.Family())
	if err != nil {
		return Revision{}, err
	}
	for _, name := range candidates {
		if name == "" || name == latest.ARN {
			continue
		}
		r, err := describeKnown(ctx, client, name)
		if err != nil || r.has(def) {
			return r, err
		}
	}
	if latest.has(def) {
		return latest, nil
	}
	return Revision{}, nil
}

// has says whether a revision has the content of a definition.
func (r Revision) has(def *ecs.Definition) bool {
	return r.Definition != nil && r.Definition.Family() == def.Family() && r.Definition.Digest() == def.Digest()
}

// describeKnown is Describe, but that a revision which ECS does not have is
// none.
func describeKnown(ctx context.Context, client Registrar, name string) (Revision, error) {
	r, err := Describe(ctx, client, name)
	if isUnknown(err) {
		return Revision{}, nil
	}
	return r, err
}

// isUnknown says whether ECS has no such revision
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html).
func isUnknown(err error) bool {
	var refusal smithy.APIError
	return errors.As(err, &refusal) && refusal.ErrorCode() == "ClientException"
}

// Describe gets an active revision ("web" for the latest, "web:7", an ARN)
// with members that the SDK does not know.
func Describe(ctx context.Context, client Registrar, name string) (Revision, error) {
	answer := &keptBody{}
	out, err := client.DescribeTaskDefinition(ctx, &awsecs.DescribeTaskDefinitionInput{
		TaskDefinition: &name, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	}, func(o *awsecs.Options) {
		answer.client = o.HTTPClient
		o.HTTPClient = answer
	})
	if err != nil {
		return Revision{}, fmt.Errorf("task definition %s: %w", name, err)
	}
	def, err := ecs.Parse(answer.body)
	if err != nil {
		return Revision{}, fmt.Errorf("task definition %s: %w", name, err)
	}
	return Revision{ARN: aws.ToString(out.TaskDefinition.TaskDefinitionArn), Parts: watch.Parts(out.TaskDefinition), Definition: def}, nil
}

// keptBody keeps the last answer's body.
type keptBody struct {
	client awsecs.HTTPClient
	body   []byte
}

// mostBody bounds an answer; a definition is never longer than ecs.MaxSize.
const mostBody = 2 << 20

func (k *keptBody) Do(request *http.Request) (*http.Response, error) {
	response, err := k.client.Do(request)
	if err != nil {
		return response, err
	}
	defer response.Body.Close()
	if k.body, err = io.ReadAll(io.LimitReader(response.Body, mostBody)); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(k.body))
	return response, nil
}
