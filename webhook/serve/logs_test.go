package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/mask"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
	"github.com/clipperregistry/runner/webhook/web"
)

// said are the lines of log streams, one in each second from epoch on. All tasks
// have ended.
type said map[string][]string

var epoch = time.Unix(1_800_000_000, 0)

// GetLogEvents has tokens that count the events of what was asked for.
func (s said) GetLogEvents(_ context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error) {
	var all []logtypes.OutputLogEvent
	for i, text := range s[*in.LogStreamName] {
		at := epoch.Add(time.Duration(i) * time.Second).UnixMilli()
		if (in.StartTime == nil || at >= *in.StartTime) && (in.EndTime == nil || at < *in.EndTime) {
			all = append(all, logtypes.OutputLogEvent{Timestamp: &at, Message: &text})
		}
	}
	out := &cloudwatchlogs.GetLogEventsOutput{NextForwardToken: aws.String(strconv.Itoa(len(all)))}
	first, _ := strconv.Atoi(aws.ToString(in.NextToken)) // none is the beginning
	if in.Limit != nil && !*in.StartFromHead {
		first = max(0, len(all)-int(*in.Limit))
	}
	out.Events = all[first:]
	return out, nil
}

// ended is an ECS that knows tasks which have ended.
type ended struct{ task.Client }

func (ended) DescribeTasks(_ context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	var out ecs.DescribeTasksOutput
	for _, arn := range in.Tasks {
		out.Tasks = append(out.Tasks, types.Task{TaskArn: &arn, LastStatus: aws.String("STOPPED"), StopCode: types.TaskStopCodeSpotInterruption})
	}
	return &out, nil
}

const taskARN = "arn:aws:ecs:eu-central-1:123456789012:task/ci/"

// newLogs are those of runs in a database, with what their tasks said.
func newLogs(t *testing.T, s Settings, lines said) logs {
	t.Helper()
	db, err := database.Open(t.Context(), s.Database, database.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	of := &task.Tasks{
		Region: "eu-central-1", ECS: func(string) task.Client { return ended{} }, Logs: func(string) watch.LogReader { return lines },
		Pace: watch.Pace{First: time.Millisecond}, Log: slog.New(slog.DiscardHandler),
	}
	return logs{db, &tasks{of: map[int64]*task.Tasks{7: of}}, mask.New(webhookSecret).Hide, time.Millisecond}
}

// newRun stores a run of a task of the name.
func newRun(t *testing.T, db *database.DB, name string) webhook.Run {
	t.Helper()
	job, err := json.Marshal(rules.Job{ECS: &rules.Task{Place: rules.ResolvedPlace{LogGroup: "/clipper/runs"}}})
	if err != nil {
		t.Fatal(err)
	}
	run := webhook.Run{ID: "r", App: 7, RuleKey: "5/test", EventKey: "push:a", State: webhook.Running, Attempt: 1, Task: taskARN + name, Job: job, Created: epoch}
	if _, err := db.CreateRun(t.Context(), database.NewRun{Run: run}); err != nil {
		t.Fatal(err)
	}
	return run
}

// move takes a run on to another state.
func move(db *database.DB, to webhook.State, change func(*webhook.Run)) error {
	run, err := db.Run(context.Background(), "r")
	if err != nil {
		return err
	}
	change(&run)
	if err := run.Move(to, "", epoch); err != nil {
		return err
	}
	return db.Move(context.Background(), run)
}

// key is a private key among other lines: the service's own, a token and a
// secret in colours.
var key = []string{
	"plain", "token \x1b[1mghs_\x1b[0m" + strings.Repeat("a", 40) + "!", "is " + webhookSecret, "-----BEGIN RSA PRIVATE KEY-----", "MIIEow", "AAKCAQEA", "what is no key",
	"abcd", "-----END RSA PRIVATE KEY-----", "plain again",
}

var keyShown = []string{"plain", "token ***!", "is ***", "***", "***", "***", "what is no key", "***", "***", "plain again"}

// TestLogLines: secrets are taken out of the lines of runs, private keys of
// many lines, too, wherever somebody begins to read.
func TestLogLines(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		l := newLogs(t, s, said{"run/run/one": key, "run/run/two": key[:6]})
		run := newRun(t, l.db, "one")
		if err := move(l.db, webhook.Failed, func(*webhook.Run) {}); err != nil {
			t.Fatal(err)
		}
		for n := range len(key) {
			got, err := l.Tail(t.Context(), run, len(key)-n)
			if shown := texts(got); err != nil || !slices.Equal(shown, keyShown[n:]) {
				t.Errorf("the last %d are %q, %v", len(key)-n, shown, err)
			}
			var since time.Time
			if n > 0 {
				since = epoch.Add(time.Duration(n) * time.Second)
			}
			got = nil
			err = l.Follow(t.Context(), run, since, func(line web.Line) { got = append(got, line) })
			if shown := texts(got); err != nil || !slices.Equal(shown, keyShown[n:]) {
				t.Errorf("from line %d on they are %q, %v", n, shown, err)
			}
		}
		run.Task = taskARN + "two" // which has not printed all of it
		got, err := l.Tail(t.Context(), run, 10)
		if shown := texts(got); err != nil || !slices.Equal(shown, keyShown[:6]) {
			t.Errorf("of a part, they are %q, %v", shown, err)
		}
	})
}

// TestCleaner: a key of one container is not looked for in another's lines.
func TestCleaner(t *testing.T) {
	clean := cleaner{secret: mask.New().Hide}
	var got []string
	for _, line := range []watch.Line{
		{Container: "run", Text: key[3]}, {Container: "db", Text: "ready"}, {Container: "run", Text: key[4]}, {Container: "db", Text: key[8]}, {Container: "run", Text: key[5]},
	} {
		got = append(got, clean.line(line).Text)
	}
	if want := []string{"***", "ready", "***", "***", "***"}; !slices.Equal(got, want) {
		t.Errorf("the lines are %q", got)
	}
}

// TestOperatorsTail: an operator's command hides the secrets of tasks, too.
func TestOperatorsTail(t *testing.T) {
	fake, err := ecsfake.Start(t.Context(), ecsfake.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	logs, group, stream := cloudwatchlogs.NewFromConfig(fake.Config()), "/clipper/runs", "run/run/one"
	if _, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil {
		t.Fatal(err)
	}
	if _, err := logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream}); err != nil {
		t.Fatal(err)
	}
	said := []logtypes.InputLogEvent{{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: aws.String("it is open-sesame")}}
	if _, err := logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: said}); err != nil {
		t.Fatal(err)
	}
	name, value := "/token", "open-sesame"
	put := &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString}
	if _, err := ssm.NewFromConfig(fake.Config()).PutParameter(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	job, err := json.Marshal(rules.Job{ECS: &rules.Task{
		Secrets: map[string]string{"TOKEN": "arn:aws:ssm:eu-central-1:123456789012:parameter/token"}, Place: rules.ResolvedPlace{LogGroup: group},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Tail(t.Context(), &AWS{Config: fake.Config()}, webhook.Run{App: 7, Task: taskARN + "one", Job: job}, 10)
	if shown := texts(got); err != nil || !slices.Equal(shown, []string{"it is ***"}) {
		t.Errorf("the lines are %q, %v", shown, err)
	}
}

func texts(lines []web.Line) (all []string) {
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

// TestFollowAttempts: who follows a run hears its second attempt, too, and
// nothing goes wrong while there is none.
func TestFollowAttempts(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		l := newLogs(t, s, said{"run/run/one": {"first"}, "run/run/two": {"second"}})
		run := newRun(t, l.db, "one")
		var heard []string
		moved := make(chan error, 1)
		err := l.Follow(t.Context(), run, time.Time{}, func(line web.Line) {
			if heard = append(heard, line.Text); line.Text != "first" {
				return
			}
			if err := move(l.db, webhook.Queued, func(r *webhook.Run) { r.Task = "" }); err != nil {
				moved <- err
				return
			}
			go func() {
				moved <- errors.Join(
					watch.Sleep(t.Context(), 100*time.Millisecond), // the follower sees it without a task
					move(l.db, webhook.Starting, func(*webhook.Run) {}),
					move(l.db, webhook.Running, func(r *webhook.Run) { r.Task = taskARN + "two" }),
					move(l.db, webhook.Succeeded, func(*webhook.Run) {}),
				)
			}()
		})
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		if err != nil || !slices.Equal(heard, []string{"first", "second"}) {
			t.Errorf("it heard %q, %v", heard, err)
		}
	})
}
