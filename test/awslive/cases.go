package awslive

import (
	"slices"
	"testing"
	"time"
)

// serving is a program that is up once its file is there.
const serving = `echo "serving $VERSION as $(id -u)"; touch /tmp/serving; trap "exit 0" TERM; sleep 3600 & wait $!`

// definition is an ordinary one for Fargate, of somebody who knows nothing of
// the runner.
func (w *world) definition(version, program string) map[string]any {
	return map[string]any{
		"family": w.Name, "requiresCompatibilities": []string{"FARGATE"}, "networkMode": "awsvpc", "cpu": "256", "memory": "512", "executionRoleArn": w.role,
		"containerDefinitions": []any{map[string]any{
			"name": "app", "image": w.Image, "command": []string{"sh", "-c", program}, "stopTimeout": 5,
			"environment": []any{map[string]string{"name": "VERSION", "value": version}},
			"healthCheck": map[string]any{"command": []string{"CMD-SHELL", "test -e /tmp/serving"}, "interval": 5, "retries": 2, "startPeriod": 30},
			"logConfiguration": map[string]any{"logDriver": "awslogs", "options": map[string]string{
				"awslogs-group": w.group(), "awslogs-region": w.Config.Region, "awslogs-stream-prefix": "app"}},
		}},
	}
}

func (w *world) render(t *testing.T) {
	w.write(t, "task.json", w.definition("1", serving))
	out := w.ecs(t, 0, append([]string{"render", "task.json"}, w.rendering()...)...)
	has(t, out.stdout, `"CLIPPER_MAGIC_IMAGE"`, "@sha256:")
	has(t, out.stderr, "app].image:")
}

func (w *world) verify(t *testing.T) {
	args := append([]string{"verify", "task.json"}, w.rendering()...)
	if w.Credentials != "" {
		args = append(args, "--read-credentials")
		w.ecs(t, 88, "verify", "task.json", "--credentials", w.parameter()+"/missing")
	}
	has(t, w.ecs(t, 0, args...).stdout, w.Name+": errors: 0")
}

// deployment deploys the definition in the file.
func (w *world) deployment(t *testing.T, exit int, more ...string) said {
	t.Helper()
	return w.ecs(t, exit, slices.Concat([]string{"deploy", "task.json", "--service", w.Name, "--timeout", "15m"}, w.rendering(), w.watching(), more)...)
}

func (w *world) deploy(t *testing.T) {
	w.write(t, "service.json", map[string]any{
		"desiredCount": 1, "launchType": "FARGATE",
		"networkConfiguration": map[string]any{"awsvpcConfiguration": map[string]any{"subnets": w.Subnets, "assignPublicIp": "ENABLED"}},
		"deploymentConfiguration": map[string]any{"deploymentCircuitBreaker": map[string]any{
			"enable": true, "rollback": true, "thresholdConfiguration": map[string]any{"type": "COUNT", "value": 1}}},
	})
	has(t, w.deployment(t, 0, "--service-file", "service.json").stdout, w.revision(1)+": SUCCESSFUL", "first healthy")
	has(t, w.deployment(t, 0).stdout, w.revision(1)+": unchanged")
}

func (w *world) update(t *testing.T) {
	w.write(t, "task.json", w.definition("2", serving))
	has(t, w.deployment(t, 0).stdout, w.revision(2)+": SUCCESSFUL")
}

// rollBack deploys what never becomes healthy, which ECS takes back.
func (w *world) rollBack(t *testing.T) {
	w.write(t, "task.json", w.definition("3", "exec sleep 3600"))
	has(t, w.deployment(t, 1).stderr, "was rolled back: ROLLBACK_SUCCESSFUL")
	status := w.ecs(t, 0, "status", w.Name, "--cluster", w.Name)
	has(t, status.stdout, w.revision(2)+", running 1 of 1")
}

// runTask runs a task like the service's, with another command.
func (w *world) runTask(t *testing.T) {
	args := slices.Concat([]string{"run", w.revision(2), "--like", w.Name, "--timeout", "10m", "--save", "ended.json"}, w.watching(),
		[]string{"--", "sh", "-c", `echo "migrated $VERSION"; exit 42`})
	start := time.Now()
	out := w.ecs(t, 42, args...)
	t.Logf("a task on Fargate took %s", time.Since(start).Round(time.Second))
	has(t, out.stdout, "app | migrated 2\n")
	has(t, out.stderr, "container app: exit code 42", "app: pulled ")
}
