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

// mostLines is how far into a log the runner's lines are looked for: they come
// before the program's first one.
const mostLines = 500

// Listen reads in the logs what the runners in a task's containers said, with one
// call for each.
func Listen(ctx context.Context, logs func(region string) LogReader, task types.Task, parts []Part) (Seen, error) {
	var seen Seen
	for _, p := range parts {
		stream := p.stream(task)
		if !p.Moved || p.Group == "" || stream == "" {
			continue
		}
		out, err := logs(p.Region).GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &p.Group, LogStreamName: &stream, StartFromHead: aws.Bool(true), Limit: aws.Int32(mostLines),
		})
		var missing *logtypes.ResourceNotFoundException
		if errors.As(err, &missing) {
			continue // it has said nothing yet
		}
		if err != nil {
			return seen, fmt.Errorf("logs of container %s: %w", p.Name, err)
		}
		for _, e := range out.Events {
			seen.Hear(Line{Container: p.Name, Text: aws.ToString(e.Message)})
		}
	}
	return seen, nil
}

// CloudWatch Logs answers few of these calls in a second
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html: GetLogEvents, 10
// to 30 requests per second), and the tasks of a deployment say much the same.
const (
	mostHeardAtOnce = 20 // tasks in a round
	mostHeard       = 10 // tasks of a deployment
)

// listen reads what the runners said in tasks that have come to work, or to
// their end, and tells the ends. What cannot be read is told once.
func (w *Watch) listen(ctx context.Context, busy []*rolling) error {
	for _, r := range busy {
		for _, arn := range r.order {
			t := r.tasks[arn]
			if !t.ours || !r.over && t.Healthy.IsZero() && !stopped(t.last) {
				continue
			}
			if err := w.listenTo(ctx, r, t); err != nil {
				return err
			}
			if stopped(t.last) && !t.ended {
				t.ended = true
				w.tell(Event{At: aws.ToTime(t.last.StoppedAt), Name: t.id(), Kind: Task, Text: Ending(t.last, r.Parts, t.Seen)})
			}
		}
	}
	return nil
}

func (w *Watch) listenTo(ctx context.Context, r *rolling, t *seenTask) error {
	if r.Logs == nil || t.heard || w.heard == mostHeardAtOnce || r.heard == mostHeard {
		return nil
	}
	// A task that stops after it became healthy has said all about its start.
	t.heard = true
	r.heard++
	w.heard++
	said, err := Listen(ctx, r.Logs, t.last, r.Parts)
	t.Starts, t.Failures = said.Starts, said.Failures
	if err == nil || ctx.Err() != nil {
		return err
	}
	r.heard = mostHeard
	w.tell(Event{At: time.Now(), Name: r.Service, Kind: Service, Text: "where the time went is not known: " + err.Error()})
	return nil
}
