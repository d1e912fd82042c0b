package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// LogReader is a part of *cloudwatchlogs.Client.
type LogReader interface {
	GetLogEvents(context.Context, *cloudwatchlogs.GetLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error)
}

// Line is a line of a container's log.
type Line struct {
	Task      string    `json:"task"`
	Container string    `json:"container"`
	At        time.Time `json:"at"`
	Text      string    `json:"text"`
}

// Tail reads the logs of a task's containers, each call of Read on from where
// the last one ended. A container's lines are in their order, those of several
// containers in the order in which they were read.
type Tail struct {
	// Logs are those of a region, "" for the task's own.
	Logs func(region string) LogReader
	// Since leaves out older lines.
	Since time.Time

	parts  []Part
	tokens map[string]*string
}

// NewTail tails the logs of these containers. Those whose logs are elsewhere
// have no lines.
func NewTail(logs func(region string) LogReader, parts []Part) *Tail {
	return &Tail{Logs: logs, parts: parts, tokens: map[string]*string{}}
}

// Read tells all lines that are new, and says whether there were any. A stream
// that is not there yet has none.
func (t *Tail) Read(ctx context.Context, task types.Task, tell func(Line)) (bool, error) {
	news := false
	for _, p := range t.parts {
		stream := p.stream(task)
		if p.Group == "" || stream == "" {
			continue
		}
		n, err := t.read(ctx, p, stream, ID(aws.ToString(task.TaskArn)), tell)
		if err != nil {
			return news, fmt.Errorf("logs of container %s: %w", p.Name, err)
		}
		news = news || n > 0
	}
	return news, nil
}

// read pages to the end of a stream: it is there when a token comes back
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html).
func (t *Tail) read(ctx context.Context, p Part, stream, task string, tell func(Line)) (int, error) {
	n := 0
	for {
		before := t.tokens[p.Name]
		in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &p.Group, LogStreamName: &stream, StartFromHead: aws.Bool(true), NextToken: before}
		if !t.Since.IsZero() {
			in.StartTime = aws.Int64(t.Since.UnixMilli())
		}
		out, err := t.Logs(p.Region).GetLogEvents(ctx, in)
		var missing *logtypes.ResourceNotFoundException
		if errors.As(err, &missing) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		for _, e := range out.Events {
			tell(Line{Task: task, Container: p.Name, At: time.UnixMilli(aws.ToInt64(e.Timestamp)), Text: aws.ToString(e.Message)})
		}
		n += len(out.Events)
		t.tokens[p.Name] = out.NextForwardToken
		// A page may be empty before the end; a token alone tells.
		if out.NextForwardToken == nil || before != nil && *before == *out.NextForwardToken {
			return n, nil
		}
		if before == nil && len(out.Events) == 0 {
			return n, nil // the first page of a stream that has just begun
		}
	}
}
