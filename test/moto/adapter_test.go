package moto_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/test/moto"
)

// TestAdapter lets the adapter's own code speak to both.
func TestAdapter(t *testing.T) {
	for name, cfg := range map[string]aws.Config{"fake": startFake(t).Config(), "moto": moto.Start(t, "../..").Config()} {
		t.Run("logs of "+name, func(t *testing.T) { followLogs(t, cfg) })
		t.Run("login of "+name, func(t *testing.T) { logIn(t, cfg) })
	}
}

// followLogs follows a stream that is not there at first and then grows: every
// line comes once.
func followLogs(t *testing.T, cfg aws.Config) {
	logs := cloudwatchlogs.NewFromConfig(cfg)
	const id = "0123456789abcdef0123456789abcdef"
	name := "web/app/" + id
	tail := watch.NewTail(func(string) watch.LogReader { return logs }, []watch.Part{{Name: "app", Group: "/ecs/shop", Region: "eu-central-1", Prefix: "web"}})
	task := types.Task{TaskArn: aws.String("arn:aws:ecs:eu-central-1:" + moto.Account + ":task/default/" + id)}
	read := func(want string) {
		t.Helper()
		var lines []string
		news, err := tail.Read(t.Context(), task, func(l watch.Line) { lines = append(lines, l.Text) })
		if got := strings.Join(lines, " "); err != nil || got != want || news != (want != "") {
			t.Errorf("read %q, %v, %v, want %q", got, news, err, want)
		}
	}
	write := func(messages ...string) {
		t.Helper()
		in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: &name}
		for _, m := range messages {
			in.LogEvents = append(in.LogEvents, logtypes.InputLogEvent{Message: &m, Timestamp: aws.Int64(time.Now().UnixMilli())})
		}
		if _, err := logs.PutLogEvents(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	read("")
	if _, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}); err != nil {
		t.Fatal(err)
	}
	read("")
	if _, err := logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: &name}); err != nil {
		t.Fatal(err)
	}
	read("")
	write("one", "two")
	read("one two")
	read("")
	write("three")
	read("three")
}

// logIn gets the login of ECR as the runner does, which has a client of its
// own.
func logIn(t *testing.T, cfg aws.Config) {
	keys, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_ENDPOINT_URL": *cfg.BaseEndpoint}
	login, err := credentials.ECRLogin(t.Context(), credentials.Settings{Env: func(name string) string { return env[name] }}, moto.Account+".dkr.ecr.eu-central-1.amazonaws.com")
	if err != nil || login.Username != "AWS" || login.Password == "" {
		t.Errorf("%+v, %v", login, err)
	}
}
