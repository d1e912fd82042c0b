package ecsfake_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/clipperregistry/runner/test/ecsfake"
)

func TestFaults(t *testing.T) {
	w := start(t)
	once := ecs.NewFromConfig(w.Config(), func(o *ecs.Options) { o.Retryer = aws.NopRetryer{} })
	list := func() error {
		_, err := once.ListClusters(t.Context(), &ecs.ListClustersInput{})
		return err
	}
	w.Inject(ecsfake.Throttle("ecs:List*", 2))
	for range 2 {
		if err := list(); code(err) != "ThrottlingException" {
			t.Errorf("throttled: %v", err)
		}
	}
	if err := list(); err != nil {
		t.Errorf("after the throttle: %v", err)
	}
	w.ResetCounts()
	w.Inject(ecsfake.Throttle("ecs:ListClusters", 1))
	if _, err := w.ecs.ListClusters(t.Context(), &ecs.ListClustersInput{}); err != nil || w.Calls("ecs:ListClusters") != 2 {
		t.Errorf("the SDK tried %d times: %v", w.Calls("ecs:ListClusters"), err)
	}
	w.Inject(ecsfake.Fault{Operation: "ecs:ListClusters", Code: "ServerException", Status: http.StatusInternalServerError})
	if err := list(); code(err) != "ServerException" {
		t.Errorf("a server's error: %v", err)
	}
}

// TestLostResponse loses the answer to RunTask: the SDK tries again with its
// own client token, and one task runs.
func TestLostResponse(t *testing.T) {
	w := start(t)
	d := w.define(t, "job", nil, w.script("app", "sleep 600"))
	w.Inject(ecsfake.Fault{Operation: "ecs:RunTask", Lose: true})
	client := ecs.NewFromConfig(w.Config(), func(o *ecs.Options) { o.Retryer = retry.NewStandard() })
	if _, err := client.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &d}); err != nil {
		t.Fatal(err)
	}
	out, err := w.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{})
	if err != nil || len(out.TaskArns) != 1 || w.Calls("ecs:RunTask") != 2 {
		t.Errorf("%d calls made %d tasks: %v", w.Calls("ecs:RunTask"), len(out.TaskArns), err)
	}
}

func TestLag(t *testing.T) {
	w := start(t)
	d := w.define(t, "job", nil, w.script("app", "true"))
	w.Lag(2)
	task := w.run(t, d)
	missing := 0
	for {
		out, err := w.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{*task.TaskArn}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Tasks) == 1 {
			break
		}
		if *out.Failures[0].Reason != "MISSING" {
			t.Fatalf("failure %+v", out.Failures[0])
		}
		missing++
	}
	if missing != 2 {
		t.Errorf("it was missing %d times", missing)
	}
}

func TestPlacement(t *testing.T) {
	w := start(t)
	d := w.define(t, "job", nil, w.script("app", "true"))
	w.FailPlacement("RESOURCE:MEMORY")
	out, err := w.ecs.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &d, Count: aws.Int32(2)})
	if err != nil || len(out.Tasks) != 1 || len(out.Failures) != 1 || *out.Failures[0].Reason != "RESOURCE:MEMORY" {
		t.Errorf("%d tasks, failures %+v, %v", len(out.Tasks), out.Failures, err)
	}
}

func TestRefusals(t *testing.T) {
	w := start(t)
	d := w.define(t, "job", nil, w.script("app", "true"))
	for name, in := range map[string]*ecs.RunTaskInput{
		"a definition that is not there":     {TaskDefinition: aws.String("none")},
		"too many tasks":                     {TaskDefinition: &d, Count: aws.Int32(11)},
		"a token with a space":               {TaskDefinition: &d, ClientToken: aws.String("a b")},
		"a network without awsvpc":           {TaskDefinition: &d, NetworkConfiguration: vpc},
		"Fargate with bridge":                {TaskDefinition: &d, LaunchType: "FARGATE"},
		"an enumeration's value":             {TaskDefinition: &d, LaunchType: "MOON"},
		"startedBy of more than 128 letters": {TaskDefinition: &d, StartedBy: aws.String(strings.Repeat("x", 129))},
	} {
		if _, err := w.ecs.RunTask(t.Context(), in); code(err) != "InvalidParameterException" && code(err) != "ClientException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.ecs.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &d, Cluster: aws.String("none")}); code(err) != "ClusterNotFoundException" {
		t.Errorf("no cluster: %v", err)
	}
}

// TestLogPages reads a stream page by page to its end.
func TestLogPages(t *testing.T) {
	w := start(t)
	group, stream := aws.String("/g"), aws.String("s")
	for _, err := range []error{
		errOf(w.logs.CreateLogGroup(t.Context(), &logs.CreateLogGroupInput{LogGroupName: group})),
		errOf(w.logs.CreateLogStream(t.Context(), &logs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	in := &logs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream}
	for i := range 5 {
		in.LogEvents = append(in.LogEvents, logtypes.InputLogEvent{Message: aws.String(fmt.Sprint(i)), Timestamp: aws.Int64(int64(1000 + i))})
	}
	if _, err := w.logs.PutLogEvents(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	var got, sizes string
	for token := (*string)(nil); ; {
		out, err := w.logs.GetLogEvents(t.Context(), &logs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, StartFromHead: aws.Bool(true), Limit: aws.Int32(2), NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			got += *e.Message
		}
		sizes += fmt.Sprint(len(out.Events))
		if aws.ToString(token) == *out.NextForwardToken {
			break
		}
		token = out.NextForwardToken
	}
	if got != "01234" || sizes != "2210" {
		t.Errorf("events %s in pages of %s", got, sizes)
	}
}

func errOf[T any](_ T, err error) error { return err }
