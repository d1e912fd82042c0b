package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestECSSidecars runs a task of three: a log router that stays as it is, a
// container whose health check is behind the runner's, and one that waits for
// that to be healthy and has its lines routed.
func TestECSSidecars(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.push(t, "1", false)
	program, err := os.ReadFile(lab.Program(t, "test/ecsfake/router"))
	if err != nil {
		t.Fatal(err)
	}
	router := lab.Push(t, a.repository+"-router", stack.Image{
		Layers: []stack.Layer{stack.Tar(tarball.Build(
			tarball.Dir("var"), tarball.Dir("var/run"), tarball.Dir("fluent-bit"), tarball.Dir("fluent-bit/etc"),
			tarball.File("router", string(program), tarball.Mode(0o755)),
		))},
		Config: v1.Config{Entrypoint: []string{"/router"}},
	})
	shared := []any{map[string]any{"sourceVolume": "shared", "containerPath": "/shared"}}
	a.write(t, "task.json", map[string]any{
		"family": "shop", "executionRoleArn": a.role, "volumes": []any{map[string]any{"name": "shared"}},
		"containerDefinitions": []any{
			map[string]any{
				"name": "log_router", "image": router, "memory": 64, "essential": true,
				"firelensConfiguration": map[string]any{"type": "fluentbit"}, "logConfiguration": logConfiguration,
			},
			map[string]any{
				"name": "warm", "image": a.image("1"), "memory": 128, "essential": false, "user": "root", "stopTimeout": 5, "mountPoints": shared,
				"entryPoint": []string{"sh", "-c"}, "command": []string{"sleep 1; touch /shared/warm; sleep 3600"},
				"healthCheck":      map[string]any{"command": []string{"CMD-SHELL", "test -e /shared/warm"}, "interval": 5, "startPeriod": 100},
				"logConfiguration": logConfiguration,
			},
			map[string]any{
				"name": "app", "image": a.image("1"), "memory": 128, "essential": true, "mountPoints": shared,
				"dependsOn":        []any{map[string]any{"containerName": "warm", "condition": "HEALTHY"}},
				"logConfiguration": map[string]any{"logDriver": "awsfirelens", "options": map[string]string{"Name": "stdout"}},
			},
		},
	})
	a.write(t, "service.json", map[string]any{"desiredCount": 0})
	a.ecs(t, 0, "deploy", "task.json", "--credentials", a.credentials, "--service", "idle", "--service-file", "service.json", "--poll", "200ms")

	registered, err := a.ECS.DescribeTaskDefinition(t.Context(), &awsecs.DescribeTaskDefinitionInput{TaskDefinition: new("shop")})
	if err != nil {
		t.Fatal(err)
	}
	for n, image := range []string{router, stack.RunnerImage, stack.RunnerImage} {
		if c := registered.TaskDefinition.ContainerDefinitions[n]; *c.Image != image {
			t.Errorf("the image of %s is %s", *c.Name, *c.Image)
		}
	}
	if check := registered.TaskDefinition.ContainerDefinitions[1].HealthCheck.Command; !slices.Equal(check, []string{"CMD", ecs.HealthcheckPath, "--", "CMD-SHELL", "test -e /shared/warm"}) {
		t.Errorf("the health check is %q", check)
	}

	out := a.ecs(t, 7, "run", "shop", "--poll", "200ms", "--", "sh", "-c", "test -e /shared/warm && echo it was warm; exit 7")
	if !slices.ContainsFunc(strings.Split(out.Stdout, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "log_router | record: ") && strings.Contains(line, "it was warm")
	}) {
		t.Errorf("the router has no line of the app:\n%s%s", out.Stdout, out.Stderr)
	}
}
