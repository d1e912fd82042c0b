package runners

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// runner stands for GitHub's in a container: it hands what it was started with
// to the test, which does the job, and waits for its end.
const runner = `exec /bin/busybox wget -q -O - --post-data "$ACTIONS_RUNNER_INPUT_JITCONFIG" http://ADDRESS/`

// TestContainer: the configuration comes into a real container, through a
// parameter that the execution role may read, and the job is done there.
func TestContainer(t *testing.T) {
	t.Parallel()
	cloud := ecslab.Start(t, ecslab.Open(t, "../.."))
	w := start(t, rules.ScaleSet, "")
	agents := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		config, err := io.ReadAll(r.Body)
		if err == nil {
			err = w.RunAgent(context.WithoutCancel(r.Context()), string(config), w.work)
		}
		if err != nil {
			http.Error(out, err.Error(), http.StatusConflict)
		}
	}))
	t.Cleanup(agents.Close)

	roles, name := iam.NewFromConfig(cloud.Config()), "execution"
	trust := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	policy := `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/clipper/runners/*"},
		{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`
	if _, err := roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &name, PolicyDocument: &policy}); err != nil {
		t.Fatal(err)
	}

	f := w.fleet("max: 1", "cpu: 256")
	s := &f.Sets[0]
	s.Image, s.ExecutionRole = cloud.Image, *role.Role.Arn
	s.Command = []string{"sh", "-c", strings.Replace(runner, "ADDRESS", agents.Listener.Addr().String(), 1)}
	w.serve(w.service(f, func(c *Config) {
		c.Tasks = &task.Tasks{Region: cloud.Config().Region, RunnerImage: stack.RunnerImage, Pace: ecslab.Pace, Logs: cloud.Logs, ECS: func(string) task.Client { return cloud.ECS }}
		c.Parameters = func(string) task.Parameters { return ssm.NewFromConfig(cloud.Config()) }
	}))
	w.queue(w.repo, 2)
	w.finished(2)
	if n := cloud.Calls("ecs:RegisterTaskDefinition"); n != 1 {
		t.Errorf("%d definitions for one slot", n)
	}
}
