package e2e

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// registryPassword is the password of the registry that only ECS and the
// person who deploys know.
const registryPassword = "s3cret-of-the-team"

// awsAccount is an AWS account: an ECS whose tasks are containers of the tests'
// engine, the login of a private registry in SSM, and a role that may read it.
type awsAccount struct {
	*ecslab.World
	// private is the private registry, and credentials the ARN of its login.
	private, credentials string
	// role is the execution role.
	role string
	// repository is this test's own, in the registry.
	repository string
	// dir is where the command runs, and has what write wrote.
	dir string
	env []string
	// aws are the variables that name the account.
	aws []string
}

func newAWSAccount(t *testing.T, change ...func(*ecsfake.Config)) *awsAccount {
	t.Helper()
	registry := httptest.NewServer(private("robot", registryPassword))
	t.Cleanup(registry.Close)
	// A tenth of ECS's own times: health checks that a start on a busy machine
	// still passes.
	change = append([]func(*ecsfake.Config){func(c *ecsfake.Config) { c.Speed = 10 }}, change...)
	a := &awsAccount{World: ecslab.Start(t, lab, change...), dir: lab.Scratch(t), repository: "ecs/" + slug(t.Name())}
	a.private = strings.TrimPrefix(registry.URL, "http://")
	a.credentials = a.parameter(t, "/shop/registry", "robot:"+registryPassword)
	a.role = a.trusted(t, "execution", `{"Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/shop/*"},
		{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`)
	keys, err := a.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.aws = []string{"AWS_ENDPOINT_URL=" + a.URL, "AWS_REGION=" + a.Config().Region, "AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey}
	a.env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + a.dir, "CLIPPER_CREDENTIALS=robot:" + registryPassword}, a.aws...)
	return a
}

// parameter stores a secure string and returns its ARN.
func (a *awsAccount) parameter(t *testing.T, name, value string) string {
	t.Helper()
	parameters := ssm.NewFromConfig(a.Config())
	_, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	out, err := parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Parameter.ARN
}

// trusted makes a role that tasks may have, with a policy.
func (a *awsAccount) trusted(t *testing.T, name, policy string) string {
	t.Helper()
	roles := iam.NewFromConfig(a.Config())
	trust := `{"Statement": {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}}`
	out, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err == nil {
		_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("inline"), PolicyDocument: &policy})
	}
	if err != nil {
		t.Fatal(err)
	}
	return *out.Role.Arn
}

// write puts JSON into a file beside the command.
func (a *awsAccount) write(t *testing.T, name string, value any) {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(a.dir, name), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// command is clipper-runner ecs ….
func (a *awsAccount) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(lab.Program(t, "cmd/clipper-runner"), append([]string{"ecs"}, args...)...)
	cmd.Dir, cmd.Env = a.dir, a.env
	return cmd
}

// ecs runs clipper-runner ecs …, which must end with this exit code and never
// shows the password.
func (a *awsAccount) ecs(t *testing.T, exit int, args ...string) stack.Result {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := a.command(t, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // its exit code counts
	if got := cmd.ProcessState.ExitCode(); got != exit {
		t.Fatalf("ecs %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, exit, stdout.String(), stderr.String())
	}
	if strings.Contains(stdout.String()+stderr.String(), registryPassword) {
		t.Errorf("ecs %s shows the password", strings.Join(args, " "))
	}
	return stack.Result{Stdout: stdout.String(), Stderr: stderr.String(), Exit: exit}
}

// push pushes a version of an image that serves once it is up, as the user app.
// Of a broken one the program never gets there.
func (a *awsAccount) push(t *testing.T, version string, broken bool) {
	t.Helper()
	image := busybox(t)
	script := "#!/bin/sh\necho \"shop " + version + " as $(id -un) in $(pwd)\"\n[ $# = 0 ] || exec \"$@\"\n"
	if !broken {
		script += "touch /tmp/serving\n"
	}
	script += "trap 'exit 0' TERM\nsleep 3600 &\nwait $!\n"
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(
		tarball.Dir("bin"), tarball.File("bin/shop", script, tarball.Mode(0o755)),
		tarball.File("bin/migrate", "#!/bin/sh\necho \"migrated $*, $MODE\"\n", tarball.Mode(0o755)),
	)))
	image.Config.User, image.Config.WorkingDir, image.Config.Entrypoint, image.Config.Cmd = "app", "/home/app", []string{"shop"}, nil
	pushTagged(t, a.repository, version, image)
}

// image is a version's reference.
func (a *awsAccount) image(version string) string {
	return a.private + "/" + a.repository + ":" + version
}

// shopDefinition is an ordinary task definition, of somebody who knows nothing
// of the runner.
func (a *awsAccount) shopDefinition(version string) map[string]any {
	return map[string]any{
		"family": "shop", "executionRoleArn": a.role,
		"containerDefinitions": []any{map[string]any{
			"name": "app", "image": a.image(version), "memory": 128, "stopTimeout": 5,
			"healthCheck":      map[string]any{"command": []string{"CMD-SHELL", "test -e /tmp/serving"}, "interval": 5, "startPeriod": 100},
			"logConfiguration": logConfiguration,
		}},
	}
}

// logConfiguration sends a container's lines to CloudWatch Logs.
var logConfiguration = map[string]any{"logDriver": "awslogs", "options": map[string]string{
	"awslogs-group": "/shop", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true",
}}

// TestECSService deploys a private image as a service, updates it, and has a
// version that never becomes healthy rolled back.
func TestECSService(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.push(t, "1", false)
	a.push(t, "2", false)
	a.push(t, "3", true)
	a.write(t, "service.json", map[string]any{"desiredCount": 1, "deploymentConfiguration": map[string]any{"deploymentCircuitBreaker": map[string]any{
		"enable": true, "rollback": true, "thresholdConfiguration": map[string]any{"type": "COUNT", "value": 1},
	}}})
	deploy := func(exit int, version string, more ...string) stack.Result {
		a.write(t, "task.json", a.shopDefinition(version))
		return a.ecs(t, exit, append([]string{"deploy", "task.json", "--credentials", a.credentials, "--service", "shop", "--poll", "200ms"}, more...)...)
	}

	a.write(t, "task.json", a.shopDefinition("1"))
	a.ecs(t, 0, "verify", "task.json", "--credentials", a.credentials, "--read-credentials")
	first := deploy(0, "1", "--service-file", "service.json")
	checkText(t, first.Stdout, "shop:1: SUCCESSFUL", "first healthy")
	checkText(t, a.logs(t), "shop 1 as app in /home/app")

	checkText(t, deploy(0, "2").Stdout, "shop:2: SUCCESSFUL")
	checkText(t, a.logs(t), "shop 2 as app in /home/app")

	// One that nobody can pull is refused before anything is registered.
	checkText(t, deploy(82, "4").Stderr, "MANIFEST_UNKNOWN")
	// One that does not become healthy is ECS's to roll back.
	failed := deploy(1, "3")
	checkText(t, failed.Stderr, "was rolled back: ROLLBACK_SUCCESSFUL", "circuit breaker")
	status := a.ecs(t, 0, "status", "shop")
	checkText(t, status.Stdout, "shop: ACTIVE, shop:2, running 1 of 1")
	checkText(t, a.logs(t), "shop 2 as app in /home/app")
	if n := a.Calls("ecs:RegisterTaskDefinition"); n != 3 {
		t.Errorf("%d revisions were registered for three versions that can be pulled", n)
	}
}

// logs are those of the service's newest task.
func (a *awsAccount) logs(t *testing.T) string {
	t.Helper()
	out, err := a.ECS.ListTasks(t.Context(), &awsecs.ListTasksInput{ServiceName: aws.String("shop")})
	if err != nil || len(out.TaskArns) != 1 {
		t.Fatalf("the service's tasks: %v, %v", out, err)
	}
	return a.ecs(t, 0, "logs", out.TaskArns[0]).Stdout
}

// checkText fails the test if a text lacks something.
func checkText(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// base registers the shop's definition, on the runner, for one-off tasks.
func (a *awsAccount) base(t *testing.T, flags ...string) {
	t.Helper()
	a.push(t, "1", false)
	a.write(t, "task.json", a.shopDefinition("1"))
	a.write(t, "idle.json", map[string]any{"desiredCount": 0})
	a.ecs(t, 0, append([]string{"deploy", "task.json", "--credentials", a.credentials, "--service", "idle", "--service-file", "idle.json", "--poll", "200ms"}, flags...)...)
}

// TestECSRun runs images of one registered definition: what each prints and
// its exit code come back.
func TestECSRun(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.base(t)
	other := busybox(t)
	other.Config.Env = append(other.Config.Env, "OF_IMAGE=another")
	pushTagged(t, a.repository, "other", other)

	own := a.ecs(t, 42, "run", "shop", "--poll", "200ms", "--", "sh", "-c", "echo migrated; exit 42")
	checkText(t, own.Stdout, "app | shop 1 as app in /home/app\n", "app | migrated\n")
	checkText(t, own.Stderr, "container app: exit code 42", "app: pulled ")
	another := a.ecs(t, 3, "run", "shop", "--poll", "200ms", "--image", a.image("other"), "--save", "task.json", "--", "sh", "-c", "echo of $OF_IMAGE; exit 3")
	checkText(t, another.Stdout, "app | of another\n")
	// The runner's own exit codes are in words.
	missing := a.ecs(t, 82, "run", "shop", "--poll", "200ms", "--image", a.image("none"), "--no-resolve")
	checkText(t, missing.Stderr, "exit code 82: the registry has no such image")
	if n := a.Calls("ecs:RegisterTaskDefinition"); n != 1 {
		t.Errorf("%d revisions were registered for three runs", n)
	}
	if saved, err := os.ReadFile(filepath.Join(a.dir, "task.json")); err != nil || !strings.Contains(string(saved), `"exitCode":3`) {
		t.Errorf("the task's JSON: %s, %v", saved, err)
	}
}

// TestECSInterrupted: a Ctrl-C stops the task.
func TestECSInterrupted(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.base(t)
	cmd := a.command(t, "run", "shop", "--poll", "200ms", "--", "sh", "-c", "echo up; exec sleep 3600")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, said, "app | up")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code counts
	if code := cmd.ProcessState.ExitCode(); code != 89 {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	task := a.only(t)
	if reason := aws.ToString(task.StoppedReason); task.StopCode != types.TaskStopCodeUserInitiated || !strings.HasPrefix(reason, "clipper-runner: ") {
		t.Errorf("the task was stopped by %s: %s", task.StopCode, reason)
	}
}

// awaitLine reads until a line comes.
func awaitLine(t *testing.T, r io.Reader, want string) {
	t.Helper()
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), want+"\n") {
		n, err := r.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%q never came: %v\n%s", want, err, seen.String())
		}
	}
}

// only is the one task of the account, which has ended or is about to.
func (a *awsAccount) only(t *testing.T) types.Task {
	t.Helper()
	tasks := a.tasks(t)
	if len(tasks) != 1 {
		t.Fatalf("%d tasks", len(tasks))
	}
	return tasks[0]
}

// tasks are all tasks of the account that are to end or have ended.
func (a *awsAccount) tasks(t *testing.T) []types.Task {
	t.Helper()
	list, err := a.ECS.ListTasks(t.Context(), &awsecs.ListTasksInput{DesiredStatus: types.DesiredStatusStopped})
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.ECS.DescribeTasks(t.Context(), &awsecs.DescribeTasksInput{Tasks: list.TaskArns})
	if err != nil {
		t.Fatal(err)
	}
	return out.Tasks
}

// TestECSStore: with a store on a file system that tasks share, the second one
// pulls no byte of a layer.
func TestECSStore(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.base(t, "--store", "efs:fs-0123456789abcdef0")
	layers := described(t, lab.Registry+"/"+a.repository+":1").layers
	for _, want := range []struct {
		task           string
		pulled, reused int64
	}{{"first", layers, 0}, {"second", 0, layers}} {
		out := a.ecs(t, 0, "run", "shop", "--poll", "200ms", "--json", "--", "true")
		var told struct{ Timing watch.Timing }
		if err := json.Unmarshal([]byte(out.Stdout), &told); err != nil || len(told.Timing.Containers) != 1 {
			t.Fatalf("%v: %s", err, out.Stdout)
		}
		// The registry is asked for the manifest every time.
		start := told.Timing.Containers[0]
		if start.BytesPulled < want.pulled || start.BytesPulled > want.pulled+10_000 || start.BytesReused != want.reused {
			t.Errorf("the %s task pulled %d bytes and reused %d; the layers have %d", want.task, start.BytesPulled, start.BytesReused, layers)
		}
	}
}

// TestECSStopWhilePulling stops a task whose image does not come: the runner
// ends at once, and says what it was doing.
func TestECSStopWhilePulling(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.base(t)
	handler, asked, letGo := stuck(t)
	t.Cleanup(letGo)
	registry := httptest.NewServer(handler)
	t.Cleanup(registry.Close)
	cmd := a.command(t, "run", "shop", "--poll", "200ms", "--no-resolve", "--image", strings.TrimPrefix(registry.URL, "http://")+"/"+a.repository+":1")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	list, err := a.ECS.ListTasks(t.Context(), &awsecs.ListTasksInput{})
	if err != nil || len(list.TaskArns) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := a.ECS.StopTask(t.Context(), &awsecs.StopTaskInput{Task: &list.TaskArns[0], Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code counts
	if code := cmd.ProcessState.ExitCode(); code != 89 {
		t.Errorf("exit code %d: %s", code, said.String())
	}
	checkText(t, said.String(), "exit code 89: the task was stopped before the program started")
	if code := aws.ToInt32(a.only(t).Containers[0].ExitCode); code != 89 {
		t.Errorf("the container's exit code is %d", code)
	}
}
