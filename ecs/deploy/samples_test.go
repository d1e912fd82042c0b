package deploy_test

import (
	"encoding/json"
	"reflect"
	"testing"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/awssdk"
	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// same fails the test if what is written is not the sample without some
// members.
func same(t *testing.T, schema *smithy.Schema, got smithy.Serializable, want []byte, without ...string) {
	t.Helper()
	written, err := watch.JSON(schema, got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b map[string]any
	if err := json.Unmarshal(written, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	for _, name := range without {
		delete(b, name)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s\nbecame\n%s", want, written)
	}
}

// TestSamples takes AWS's own samples the ways that the adapter takes what they
// are samples of: not a member is lost or spelt in another way.
func TestSamples(t *testing.T) {
	sdk := awssdk.Service(t, "ecs")
	definition := sdk.Request(t, "RegisterTaskDefinition")
	def, err := ecs.Parse(definition)
	if err != nil {
		t.Fatal(err)
	}
	in, err := deploy.Input(def)
	if err != nil {
		t.Fatal(err)
	}
	same(t, schemas.RegisterTaskDefinitionRequest, in, definition)

	service := sdk.Request(t, "CreateService")
	settings, err := deploy.ParseSettings(service)
	if err != nil {
		t.Fatal(err)
	}
	same(t, schemas.CreateServiceRequest, (*awsecs.CreateServiceInput)(settings), service, "serviceName", "cluster", "taskDefinition", "clientToken")

	codec := wire.NewJSON(schemas.AmazonEC2ContainerServiceV20141113, func(v any) any { return document.NewLazyDocument(v) })
	var tasks struct{ Tasks []json.RawMessage }
	answer, out := sdk.Response(t, "DescribeTasks"), new(awsecs.DescribeTasksOutput)
	if err := codec.Decode(answer, out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(answer, &tasks); err != nil || len(tasks.Tasks) == 0 {
		t.Fatal(err)
	}
	same(t, schemas.Task, &out.Tasks[0], tasks.Tasks[0])
}
