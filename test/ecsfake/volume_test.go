package ecsfake_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/clipperregistry/runner/test/ecsfake"
)

// TestVolumes writes to a volume of the task and to a file system: only the
// second is there in the next task.
func TestVolumes(t *testing.T) {
	w := start(t)
	d := w.define(t, "volumes", func(in *ecs.RegisterTaskDefinitionInput) {
		in.Volumes = []types.Volume{{Name: aws.String("shared")}, {Name: aws.String("files"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}}}
	}, w.script("app", "echo x >> /shared/lines; echo x >> /files/lines; cat /shared/lines /files/lines", logged, mounted, func(d *types.ContainerDefinition) {
		d.MountPoints = append(d.MountPoints, types.MountPoint{SourceVolume: aws.String("files"), ContainerPath: aws.String("/files")})
	}))
	for _, want := range []string{"xx", "xxx"} {
		task := w.stopped(t, w.run(t, d).TaskArn)
		if got := strings.Join(w.lines(t, task, "app"), ""); got != want {
			t.Errorf("the task saw %q, want %q (%s)", got, want, aws.ToString(task.StoppedReason))
		}
	}
	if text, err := os.ReadFile(filepath.Join(w.FileSystem("fs-1"), "lines")); err != nil || string(text) != "x\nx\n" {
		t.Errorf("the file system has %q, %v", text, err)
	}
}

// TestRestartPolicy lets a container end three times: it is started again with
// what it has written, until it ends too early.
func TestRestartPolicy(t *testing.T) {
	w := start(t)
	d := w.define(t, "restarted", nil, w.script("app", "echo x >> /tmp/starts; test $(cat /tmp/starts | wc -l) -lt 3 && sleep 2; cat /tmp/starts | wc -l; exit 5", logged, func(d *types.ContainerDefinition) {
		d.RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(120)}
	}))
	task := w.stopped(t, w.run(t, d).TaskArn)
	lines := w.lines(t, task, "app")
	if len(lines) == 0 || lines[len(lines)-1] != "3" || aws.ToInt32(task.Containers[0].ExitCode) != 5 {
		t.Errorf("lines %q, exit code %d", lines, aws.ToInt32(task.Containers[0].ExitCode))
	}
}

// TestRegistryCredentials pulls with a login that the execution role reads.
func TestRegistryCredentials(t *testing.T) {
	w := start(t)
	role := w.trusting(t, "none", `{"Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`)
	d := w.define(t, "private", func(in *ecs.RegisterTaskDefinitionInput) { in.ExecutionRoleArn = &role }, w.script("app", "true", func(d *types.ContainerDefinition) {
		d.RepositoryCredentials = &types.RepositoryCredentials{CredentialsParameter: aws.String("arn:aws:secretsmanager:eu-central-1:123456789012:secret:login-AbCdEf")}
	}))
	task := w.stopped(t, w.run(t, d).TaskArn)
	if reason := aws.ToString(task.Containers[0].Reason); !strings.Contains(reason, "is not authorized to perform: secretsmanager:GetSecretValue") {
		t.Errorf("the container's reason is %q", reason)
	}
}

func TestServiceIsIdempotent(t *testing.T) {
	w := start(t)
	d := w.define(t, "web", nil, w.script("app", "sleep 600"))
	token := func(in *ecs.CreateServiceInput) { in.ClientToken = aws.String("t") }
	first := w.serve(t, "web", d, 0, token)
	if again := w.serve(t, "web", d, 0, token); *again != *first {
		t.Error("the same token made a second deployment")
	}
	if _, err := w.ecs.CreateService(t.Context(), &ecs.CreateServiceInput{ServiceName: aws.String("web"), TaskDefinition: &d}); code(err) != "InvalidParameterException" {
		t.Errorf("the same name: %v", err)
	}
	if _, err := w.ecs.DeleteService(t.Context(), &ecs.DeleteServiceInput{Service: aws.String("web")}); err != nil {
		t.Fatal(err)
	}
	for *w.service(t, "web").Status != "INACTIVE" {
		if t.Context().Err() != nil {
			t.Fatal("it never was INACTIVE")
		}
	}
}

// TestECR runs an image of the account's ECR, which the execution role must be
// allowed to pull.
func TestECR(t *testing.T) {
	w := start(t, func(c *ecsfake.Config) { c.Registry = lab.Registry })
	w.image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ecsfake/shell:e2e"
	none := w.trusting(t, "none", "")
	puller := w.trusting(t, "puller", "")
	if _, err := w.iam.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("puller"), PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")}); err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]string{none: "is not authorized to perform: ecr:GetAuthorizationToken", puller: "Essential container in task exited"} {
		d := w.define(t, "ecr", func(in *ecs.RegisterTaskDefinitionInput) {
			fargate(types.LaunchTypeFargate)(in)
			in.ExecutionRoleArn = &role
		}, w.script("app", "true"))
		task := w.stopped(t, w.run(t, d, on(types.LaunchTypeFargate)).TaskArn)
		if !strings.Contains(*task.StoppedReason, want) {
			t.Errorf("%s: %q, want %q", role, *task.StoppedReason, want)
		}
	}
}
