package ecsfake_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestEnvironmentFiles: the first of several files counts, and environment and
// secrets over them; what the execution role may not read is why a task fails.
func TestEnvironmentFiles(t *testing.T) {
	w := start(t)
	w.PutObject("arn:aws:s3:::settings/one.env", "# a comment\nA=one\nB=from one \nB=again\n\nno variable\nC=\"c\"\n")
	w.PutObject("arn:aws:s3:::settings/two.env", "A=two\nD=two\n")
	const logs = `{"Effect":"Allow","Action":["logs:*"],"Resource":"*"}`
	reader := w.trusting(t, "reader", `{"Statement":[`+logs+`,{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::settings/*"}]}`)
	nobody := w.trusting(t, "nobody", `{"Statement":[`+logs+`]}`)
	for _, tt := range []struct {
		name, role, second string
		override           []types.EnvironmentFile
		want, reason       string
	}{
		{"two files", reader, "two.env", nil, `one,from one ,"c",two,set`, ""},
		{"a run's own", reader, "two.env", []types.EnvironmentFile{file("two.env")}, `two,,,two,set`, ""},
		{"one that is not there", reader, "three.env", nil, "", "failed to download env files: file download command: non empty error stream: service call has been retried 1 time(s): NoSuchKey"},
		{"one that the role may not read", nobody, "two.env", nil, "", "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::settings/one.env"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := w.define(t, "files", func(in *ecs.RegisterTaskDefinitionInput) { in.ExecutionRoleArn = &tt.role },
				w.script("app", `echo "$A,$B,$C,$D,$E"`, logged, func(d *types.ContainerDefinition) {
					d.EnvironmentFiles = []types.EnvironmentFile{file("one.env"), file(tt.second)}
					d.Environment = []types.KeyValuePair{{Name: aws.String("E"), Value: aws.String("set")}}
				}))
			task := w.stopped(t, w.run(t, d, func(in *ecs.RunTaskInput) {
				if tt.override != nil {
					in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("app"), EnvironmentFiles: tt.override}}}
				}
			}).TaskArn)
			if !strings.Contains(*task.StoppedReason, tt.reason) {
				t.Errorf("%s", *task.StoppedReason)
			}
			if tt.reason == "" && strings.Join(w.lines(t, task, "app"), "|") != tt.want {
				t.Errorf("the container has %q", w.lines(t, task, "app"))
			}
		})
	}
}

func file(name string) types.EnvironmentFile {
	return types.EnvironmentFile{Type: types.EnvironmentFileTypeS3, Value: aws.String("arn:aws:s3:::settings/" + name)}
}

// TestMetadata has a container ask what it is, and what its task is.
func TestMetadata(t *testing.T) {
	w := start(t)
	d := w.define(t, "asking", nil, w.script("app", `for path in "" /task; do wget -q -O - "$ECS_CONTAINER_METADATA_URI_V4$path"; done`, logged))
	task := w.stopped(t, w.run(t, d).TaskArn)
	lines := w.lines(t, task, "app")
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	var self struct{ Name, Image, LogDriver, ContainerARN, DockerId string }
	var all struct {
		TaskARN, Family, Revision, DesiredStatus, LaunchType string
		Containers                                           []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(lines[0]), &self); err != nil || self.Name != "app" || self.Image != w.image ||
		self.LogDriver != "awslogs" || self.ContainerARN != *task.Containers[0].ContainerArn || self.DockerId != *task.Containers[0].RuntimeId {
		t.Errorf("%+v, %v", self, err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &all); err != nil || all.TaskARN != *task.TaskArn || all.Family != "asking" || all.Revision != "1" ||
		all.DesiredStatus != "RUNNING" || all.LaunchType != "EC2" || len(all.Containers) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// router pushes the image of a log router.
func router(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(lab.Program(t, "test/ecsfake/router"))
	if err != nil {
		t.Fatal(err)
	}
	tar := tarball.Build(tarball.Dir("var"), tarball.Dir("var/run"), tarball.Dir("fluent-bit"), tarball.Dir("fluent-bit/etc"), tarball.File("router", string(program), tarball.Mode(0o755)))
	return lab.Push(t, "ecsfake/router", stack.Image{Layers: []stack.Layer{stack.Tar(tar)}, Config: v1.Config{Entrypoint: []string{"/router"}}})
}

// TestFireLens: lines of a container go to the task's log router, which stops
// last.
func TestFireLens(t *testing.T) {
	w := start(t)
	app := w.script("app", "echo hello router; sleep 1", func(d *types.ContainerDefinition) {
		d.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwsfirelens, Options: map[string]string{"Name": "stdout", "Format": "json"}}
	})
	logRouter := types.ContainerDefinition{Name: aws.String("router"), Image: aws.String(router(t)), Memory: aws.Int32(64), Essential: aws.Bool(false),
		FirelensConfiguration: &types.FirelensConfiguration{Type: types.FirelensConfigurationTypeFluentbit}}
	logged(&logRouter)
	task := w.stopped(t, w.run(t, w.define(t, "routed", nil, app, logRouter)).TaskArn)
	text := strings.Join(w.lines(t, task, "router"), "\n")
	for _, want := range []string{
		"[OUTPUT]\n    Match app-firelens*\n    Format json\n    Name stdout", "Record ecs_task_arn " + *task.TaskArn, "app-firelens-" + (*task.TaskArn)[len(*task.TaskArn)-32:], "hello router",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if code := container(t, task, "router").ExitCode; aws.ToInt32(code) != 0 {
		t.Errorf("the router ended with %d", *code)
	}
}
