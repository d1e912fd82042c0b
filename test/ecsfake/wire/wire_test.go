package wire_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrschemas "github.com/aws/aws-sdk-go-v2/service/ecr/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	ecsschemas "github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretschemas "github.com/aws/aws-sdk-go-v2/service/secretsmanager/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmschemas "github.com/aws/aws-sdk-go-v2/service/ssm/schemas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/test/awssdk"
	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// operations are the names of a client's calls with the types of their
// inputs and outputs.
func operations(client any) map[string][2]reflect.Type {
	found := map[string][2]reflect.Type{}
	c := reflect.TypeOf(client)
	for i := range c.NumMethod() {
		m := c.Method(i)
		if m.Type.NumIn() == 4 && m.Type.NumOut() == 2 {
			found[m.Name] = [2]reflect.Type{m.Type.In(2).Elem(), m.Type.Out(0).Elem()}
		}
	}
	return found
}

// TestSamplesJSON reads AWS's sample of every request of every service with
// every member set, and writes it again: nothing may be lost on the way.
// Then the same for the samples of answers.
func TestSamplesJSON(t *testing.T) {
	for _, s := range []struct {
		name     string
		client   any
		protocol *wire.JSON
	}{
		{"ecs", &ecs.Client{}, wire.NewJSON(ecsschemas.AmazonEC2ContainerServiceV20141113, func(v any) any { return document.NewLazyDocument(v) })},
		{"ssm", &ssm.Client{}, wire.NewJSON(ssmschemas.AmazonSSM, nil)},
		{"secretsmanager", &secretsmanager.Client{}, wire.NewJSON(secretschemas.Secretsmanager, nil)},
		{"ecr", &ecr.Client{}, wire.NewJSON(ecrschemas.AmazonEC2ContainerRegistry_V20150921, nil)},
		{"cloudwatchlogs", &cloudwatchlogs.Client{}, wire.NewJSON(logschemas.Logs_20140328, nil)},
	} {
		t.Run(s.name, func(t *testing.T) {
			sdk := awssdk.Service(t, s.name)
			for name, types := range operations(s.client) {
				if name == "GetLogObject" || name == "StartLiveTail" {
					continue // streams of events, which have no samples
				}
				roundTrip(t, s.protocol, name, sdk.Request(t, name), types[0])
				roundTrip(t, s.protocol, name, sdk.Response(t, name), types[1])
			}
		})
	}
}

// unread are the inputs that are made of a union directly, for which the SDK
// has no code. The fake serves none of them.
var unread = map[string]bool{
	"CreateGatewayInput": true, "UpdateGatewayInput": true, "CreateCloudConnectorInput": true, "UpdateCloudConnectorInput": true, "StartExecutionPreviewInput": true, "PutIntegrationInput": true,
}

func roundTrip(t *testing.T, p *wire.JSON, name string, sent []byte, as reflect.Type) {
	t.Helper()
	v := reflect.New(as).Interface().(smithy.Serializable)
	if err := p.Decode(sent, v); err != nil {
		if unread[as.Name()] {
			return
		}
		t.Errorf("%s: %v", as, err)
		return
	}
	got, err := p.Encode(name, v)
	if err != nil {
		t.Errorf("%s: %v", as, err)
		return
	}
	if !sameJSON(t, got, sent) {
		t.Errorf("%s:\n%s\nbecame\n%s", as, sent, got)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	for _, pair := range []struct {
		text []byte
		to   *any
	}{{a, &x}, {b, &y}} {
		if err := json.Unmarshal(pair.text, pair.to); err != nil {
			t.Fatal(err)
		}
	}
	return reflect.DeepEqual(x, y)
}

func TestSamplesQuery(t *testing.T) {
	for name, client := range map[string]any{"sts": &sts.Client{}, "iam": &iam.Client{}, "elasticloadbalancingv2": &elb.Client{}} {
		t.Run(name, func(t *testing.T) {
			sdk := awssdk.Service(t, name)
			for operation, types := range operations(client) {
				form, err := url.ParseQuery(string(sdk.Request(t, operation)))
				if err != nil {
					t.Fatal(err)
				}
				in := reflect.New(types[0])
				err = wire.DecodeQuery(form, in.Interface())
				// Maps of structures and a union are in nothing that the fake looks at.
				if err != nil && operation != "AcquireRole" && !strings.Contains(err.Error(), "PolicyExclusionList") {
					t.Errorf("%s: %v", operation, err)
				}
				if in.Elem().IsZero() && len(form) > 2 && err == nil {
					t.Errorf("%s: nothing was read of %v", operation, form)
				}
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	p := wire.NewJSON(ecsschemas.AmazonEC2ContainerServiceV20141113, nil)
	for _, tt := range []struct{ body, want string }{
		{`{"family":"f","imgae":"x"}`, "imgae: no such member"},
		{`{"containerDefinitions":[{"name":"a"},{"imgae":"x"}]}`, "containerDefinitions.2.member.imgae: no such member"},
		{`{"family":1}`, "family: a string is wanted where a number was sent"},
		{`{"containerDefinitions":[{"memory":"512"}]}`, "containerDefinitions.1.member.memory: an integer is wanted where a string was sent"},
		{`{"containerDefinitions":[{"memory":1.5}]}`, "an integer is wanted"},
		{`{"containerDefinitions":[{"memory":4294967296}]}`, "an integer is wanted"},
		{`{"containerDefinitions":{}}`, "a list is wanted"},
		{`{"networkMode":"AWSVPC"}`, "value 'AWSVPC' at 'networkMode' failed to satisfy constraint: Member must satisfy enum value set"},
		{`{} {}`, "data behind"},
		{``, "EOF"},
	} {
		err := p.Decode([]byte(tt.body), &ecs.RegisterTaskDefinitionInput{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.body, err, tt.want)
		}
	}
}

func TestDecodeQueryRefuses(t *testing.T) {
	for _, text := range []string{"RoleNam=x", "Tags.member.0.Key=x", "Tags.member.x.Key=x", "Tags.member.9999.Key=x", "MaxSessionDuration=long", "RoleName.member.1=x", "Tags.entry.1.Key=x"} {
		form, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.DecodeQuery(form, &iam.CreateRoleInput{}); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"family":"f","containerDefinitions":[{"name":"a","memory":1}]}`))
	f.Add([]byte(`{"tags":null,"runtimePlatform":{}}`))
	p := wire.NewJSON(ecsschemas.AmazonEC2ContainerServiceV20141113, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		in := &ecs.RegisterTaskDefinitionInput{}
		if p.Decode(body, in) != nil {
			return
		}
		again, err := p.Encode("RegisterTaskDefinition", in)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Decode(again, &ecs.RegisterTaskDefinitionInput{}); err != nil {
			t.Fatalf("%s\nbecame\n%s\n%v", body, again, err)
		}
	})
}
