package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/actions"
	"github.com/clipperregistry/runner/test/ecsfake"
)

// TestECSActionExamples runs every workflow of the ECS page, word by word, each
// with an AWS account of its own in which the service shop is.
//
// What differs from GitHub is around the workflow: the action is that of this
// clone, and what stands for checkout and for AWS's own action brings a task
// definition and a session of the role deployer. The runner image is at a
// mirror of Docker Hub.
func TestECSActionExamples(t *testing.T) {
	tagPushed(t, lab.PushRunner(t), "latest")
	for _, block := range workflowExamples(t, ecsPage) {
		title, _, _ := strings.Cut(strings.TrimPrefix(block.script, "# "), ":")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			a := newReadersAccount(t)
			r := a.runner(t)
			result := runJob(t, r, actions.Request{Workflow: block.script, Secrets: map[string]string{"REGISTRY": "robot:" + registryPassword}})
			checkJob(t, result, "success", block.output...)
			checkSecrets(t, result, r)
			summary := ""
			for _, step := range result.Steps {
				summary += step.Summary
			}
			checkText(t, summary, "### ", "shop")
		})
	}
}

// newReadersAccount is the account of the page's readers: the service shop runs
// an older version of what the repository has.
func newReadersAccount(t *testing.T) *awsAccount {
	t.Helper()
	a := newAWSAccount(t, func(c *ecsfake.Config) { c.Account = "111122223333" })
	a.trusted(t, "deployer", `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`)
	a.push(t, "0", false)
	a.push(t, "1", false)
	a.write(t, "task.json", a.shopDefinition("0"))
	a.write(t, "service.json", map[string]any{"desiredCount": 1})
	a.ecs(t, 0, "deploy", "task.json", "--credentials", a.credentials, "--service", "shop", "--service-file", "service.json", "--poll", "200ms", "--no-verify")
	a.write(t, "task.json", a.shopDefinition("1"))
	return a
}

// runner is GitHub's runner, for which the account and its repository are.
func (a *awsAccount) runner(t *testing.T) *actions.Runner {
	t.Helper()
	cfg, err := a.ConfigAs(strings.Replace(a.role, "/execution", "/deployer", 1))
	if err != nil {
		t.Fatal(err)
	}
	session, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t)
	r.Actions = map[string]string{
		"clipperregistry/runner@v1": releasedECSAction(t), "actions/checkout@v7": "testdata/checkout",
		"aws-actions/configure-aws-credentials@v6": "testdata/aws-credentials",
	}
	r.Env = map[string]string{
		"REPOSITORY": a.dir, "AWS_ENDPOINT_URL": a.URL, "CLIPPER_MIRRORS": "docker.io=" + lab.Registry,
		"ROLE_OF_THE_JOB": "arn:aws:iam::111122223333:role/deployer", "KEY_OF_THE_JOB": session.AccessKeyID,
		"SECRET_OF_THE_JOB": session.SecretAccessKey, "TOKEN_OF_THE_JOB": session.SessionToken,
	}
	return r
}

// releasedECSAction is the repository as a release has it, as far as ECS goes.
func releasedECSAction(t *testing.T) string {
	t.Helper()
	dir := releasedAction(t)
	if err := os.Mkdir(filepath.Join(dir, "ecs"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "../../ecs/action.yml", filepath.Join(dir, "ecs/action.yml"))
	return dir
}

// checkSecrets fails the test if the log shows what nobody should see.
func checkSecrets(t *testing.T, result *actions.Result, r *actions.Runner) {
	t.Helper()
	for _, secret := range []string{registryPassword, r.Env["SECRET_OF_THE_JOB"]} {
		if strings.Contains(result.Log, secret) {
			t.Errorf("the log shows %.4s…", secret)
		}
	}
}

// inAccount begins a job whose steps have an AWS session.
const inAccount = `
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
    - uses: actions/checkout@v7
    - {uses: aws-actions/configure-aws-credentials@v6, with: {role-to-assume: "arn:aws:iam::111122223333:role/deployer", aws-region: eu-central-1}}
`

// TestECSCancelledJob cancels a job in which a task runs: the task is stopped.
func TestECSCancelledJob(t *testing.T) {
	t.Parallel()
	a := newReadersAccount(t)
	cancel := make(chan struct{})
	req := actions.Request{Cancel: cancel, Workflow: inAccount + `
    - id: task
      uses: clipperregistry/runner/ecs@v1
      with: {command: run, family: shop, poll: 200ms, args: '["sh", "-c", "echo up; exec sleep 3600"]'}
`, Output: func(line string) {
		if line == "app | up" {
			close(cancel)
		}
	}}
	result := runJob(t, a.runner(t), req)
	checkJob(t, result, "cancelled")
	if task := a.only(t); task.StopCode != types.TaskStopCodeUserInitiated || !strings.HasPrefix(aws.ToString(task.StoppedReason), "clipper-runner: ") {
		t.Errorf("the task was stopped by %s: %s", task.StopCode, aws.ToString(task.StoppedReason))
	}
}

// TestECSActionFails: the reason stands beside the job, lines of a task's log
// are no commands, and outputs are there in any case.
func TestECSActionFails(t *testing.T) {
	t.Parallel()
	a := newReadersAccount(t)
	a.write(t, "windows.json", map[string]any{
		"family": "shop", "runtimePlatform": map[string]any{"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
		"containerDefinitions": []any{map[string]any{"name": "app", "image": a.image("1"), "memory": 64}},
	})
	result := runJob(t, a.runner(t), actions.Request{Workflow: inAccount + `
    - id: task
      continue-on-error: true
      uses: clipperregistry/runner/ecs@v1
      with:
        command: run
        family: shop
        poll: 200ms
        args: '["sh", "-c", "echo \"::set-output name=x::y\"; echo \"##[error]of the task\"; exit 42"]'
    - run: echo "exit code ${{ steps.task.outputs.exit-code }}, ${{ steps.task.outputs.status }}"
    - id: refused
      continue-on-error: true
      uses: clipperregistry/runner/ecs@v1
      with: {command: deploy, service: shop, task-definition: windows.json, resolve: false}
    - uses: clipperregistry/runner/ecs@v1
      with: {command: deploy, service: shop}
`})
	checkJob(t, result, "failure", "app | ::set-output name=x::y", "exit code 42, STOPPED")
	checkAnnotation(t, result, "The task ended with exit code 42: ")
	checkAnnotation(t, result, "runtimePlatform.operatingSystemFamily: the runner image is for Linux")
	checkAnnotation(t, result, "input task-definition: deploy needs it")
	for _, annotation := range result.Annotations {
		if strings.Contains(annotation.Message, "of the task") {
			t.Errorf("the task has annotated the job: %s", annotation.Message)
		}
	}
	if n := a.Calls("ecs:UpdateService"); n != 0 {
		t.Errorf("what was refused was deployed %d times", n)
	}
}
