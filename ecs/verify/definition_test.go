package verify_test

import (
	"context"
	"strings"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

const shop = `{"family": "shop", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
	"executionRoleArn": "arn:aws:iam::123456789012:role/execution",
	"containerDefinitions": [{"name": "web", "image": "REGISTRY/shop:1", "healthCheck": {"command": ["CMD", "true"]},
		"environment": [{"name": "DATABASE_PASSWORD", "value": "to-the-database"}],
		"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/shop", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "web"}}}]}`

// definition is a rendered one in which nothing is wrong.
func (w *world) definition() *ecs.Definition {
	w.t.Helper()
	def, err := ecs.Parse([]byte(strings.ReplaceAll(shop, "REGISTRY", w.private)))
	if err != nil {
		w.t.Fatal(err)
	}
	rendered, _, err := ecs.Render(w.t.Context(), def, ecs.Options{
		RunnerImage: w.open + "/runner:1", Credentials: map[string]string{"": "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/registry"},
		Resolve: func(ctx context.Context, ref oci.Reference, platform oci.Platform) (ecs.Image, error) {
			return w.resolve(ctx, verify.Question{Reference: ref, Platform: platform, Credentials: "robot:" + password})
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rendered
}

// pinned is an image of the private registry by its digest.
func (w *world) pinned(repository string) string {
	w.t.Helper()
	ref, err := oci.ParseReference(w.private + "/" + repository + ":1")
	if err != nil {
		w.t.Fatal(err)
	}
	image, err := w.resolve(w.t.Context(), verify.Question{Reference: ref, Platform: oci.Platform{OS: "linux", Architecture: "amd64"}, Credentials: "robot:" + password})
	if err != nil {
		w.t.Fatal(err)
	}
	return ref.String() + "@" + image.Digest.String()
}

func web(def *ecs.Definition) *ecs.Object { return def.Containers()[0].Object }

// setEnv and setSecret set a variable of the container.
func setEnv(def *ecs.Definition, name, value string) { set(def, "environment", name, "value", value) }
func setSecret(def *ecs.Definition, name, valueFrom string) {
	set(def, "secrets", name, "valueFrom", valueFrom)
}

func set(def *ecs.Definition, list, name, member, value string) {
	for _, entry := range web(def).Objects(list) {
		if entry.Text("name") == name {
			entry.Set(member, value)
			return
		}
	}
	web(def).Set(list, append(web(def).List(list), ecs.NewObject(ecs.Member{Name: "name", Value: name}, ecs.Member{Name: member, Value: value})))
}

// replaceRunner gives the container another runner image.
func replaceRunner(def *ecs.Definition, image string) {
	web(def).Set("image", image)
	web(def).Object("dockerLabels").Set(ecs.LabelRunner, image)
}
