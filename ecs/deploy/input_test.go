package deploy_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
)

// empty are the names of a structure's fields that have no value.
func empty(v any) []string {
	var names []string
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		if f := s.Type().Field(i); f.IsExported() && s.Field(i).IsZero() {
			names = append(names, f.Name)
		}
	}
	return names
}

// TestInput registers a definition that has every member; it fails when ECS
// has one more.
func TestInput(t *testing.T) {
	def, err := ecs.Parse([]byte(`{"family": "web", "cpu": "256", "memory": "512", "enableFaultInjection": true, "ephemeralStorage": {"sizeInGiB": 30},
		"executionRoleArn": "arn:aws:iam::1:role/e", "taskRoleArn": "arn:aws:iam::1:role/t", "ipcMode": "task", "pidMode": "task", "networkMode": "awsvpc",
		"inferenceAccelerators": [{"deviceName": "d", "deviceType": "eia2.medium"}], "placementConstraints": [{"type": "memberOf", "expression": "x"}],
		"proxyConfiguration": {"containerName": "envoy"}, "requiresCompatibilities": ["EC2"], "runtimePlatform": {"cpuArchitecture": "ARM64"},
		"tags": [{"key": "team", "value": "a"}], "volumes": [{"name": "v"}],
		"containerDefinitions": [{"name": "app", "image": "a", "memory": 64, "dockerLabels": {"<b>": "ä"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	in, err := deploy.Input(def)
	if err != nil {
		t.Fatal(err)
	}
	if names := empty(in); len(names) > 0 {
		t.Errorf("lost: %q", names)
	}
	if c := in.ContainerDefinitions[0]; *c.Name != "app" || *c.Memory != 64 || c.DockerLabels["<b>"] != "ä" || *in.Tags[0].Value != "a" {
		t.Errorf("%+v, %+v", c, in.Tags)
	}
}

// TestUpdate updates a service with all that CreateService and UpdateService
// share; it fails when they share one more.
func TestUpdate(t *testing.T) {
	s := &deploy.Settings{}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		default:
			t.Fatalf("%s is a %s", v.Type().Field(i).Name, f.Kind())
		}
	}
	// The controller of a service stays: Deploy knows that of ECS alone.
	if names := empty(deploy.Update(s)); len(names) != 1 || names[0] != "DeploymentController" {
		t.Errorf("lost: %q", names)
	}
}

func TestParseSettings(t *testing.T) {
	for _, text := range []string{``, `[]`, `{"desiredCount": "two"}`, `{"desierdCount": 1}`, `{} {}`} {
		if s, err := deploy.ParseSettings([]byte(text)); !errors.Is(err, deploy.ErrService) {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
}

// TestSettingsForm reads what encoding/json cannot read into the SDK's own type;
// it fails when that has another interface.
func TestSettingsForm(t *testing.T) {
	const text = `{"deploymentConfiguration":{"lifecycleHooks":[{"hookDetails":{"depth":[1,"two"]},"hookTargetArn":"arn:aws:lambda:f"}],"strategy":"CANARY"},` +
		`"serviceConnectConfiguration":{"containerConfigurations":[{"logLevel":"debug"}],"enabled":true,"namespace":"shop"}}`
	s, err := deploy.ParseSettings([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	in := awsecs.CreateServiceInput(*s)
	if sent, err := watch.JSON(schemas.CreateServiceRequest, &in); err != nil || string(sent) != text {
		t.Errorf("sent %s, %v", sent, err)
	}
	var found []string
	interfaces(reflect.TypeFor[awsecs.CreateServiceInput](), &found)
	if want := []string{"document", "types.ServiceConnectContainerConfiguration"}; len(found) != 2 || !strings.Contains(found[0], want[0]) || found[1] != want[1] {
		t.Errorf("interfaces %q, want %q", found, want)
	}
}

// interfaces are the names of the interfaces that a type is made of.
func interfaces(of reflect.Type, found *[]string) {
	switch of.Kind() {
	case reflect.Interface:
		*found = append(*found, of.String())
	case reflect.Pointer, reflect.Slice, reflect.Map:
		interfaces(of.Elem(), found)
	case reflect.Struct:
		for i := range of.NumField() {
			if f := of.Field(i); f.IsExported() {
				interfaces(f.Type, found)
			}
		}
	}
}
