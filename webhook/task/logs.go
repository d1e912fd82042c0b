package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
)

// Explain reads in the logs what the runners of a task that failed said, and
// puts it into the truth's reason: whether exit code 85 is the program's own,
// or that of a runner that could not reach the registry. It takes one call for
// each container.
func (t *Tasks) Explain(ctx context.Context, truth Truth, j Job) (Truth, error) {
	if !truth.Over() {
		return truth, nil
	}
	seen, err := watch.Listen(ctx, t.Logs, truth.last, t.parts(j))
	if err != nil {
		return truth, err
	}
	truth.end(seen)
	if truth.checkoutFailed() {
		lines, err := t.tail(ctx, truth.Task, t.parts(j)[1], time.Time{}, 1)
		if err != nil {
			return truth, err
		}
		for _, line := range lines {
			truth.Reason += ": " + line.Text
		}
	}
	return truth, nil
}

// Tail reads the last lines of a task's containers, at most n of each, the
// oldest first, without the values of the job's secrets. Container is "run",
// "checkout" or the name of a service.
func (t *Tasks) Tail(ctx context.Context, arn string, j Job, n int) ([]watch.Line, error) {
	return t.Before(ctx, arn, j, time.Time{}, n)
}

// Before is Tail for the lines before a time; zero is after the last one.
func (t *Tasks) Before(ctx context.Context, arn string, j Job, end time.Time, n int) ([]watch.Line, error) {
	veil, err := t.veil(ctx, j)
	if err != nil {
		return nil, err
	}
	var lines []watch.Line
	for _, p := range t.parts(j) {
		more, err := t.tail(ctx, arn, p, end, n)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	slices.SortStableFunc(lines, func(a, b watch.Line) int { return a.At.Compare(b.At) })
	var told []watch.Line
	for _, line := range lines {
		if line, ok := veil.through(line); ok {
			told = append(told, line)
		}
	}
	return told, nil
}

// tail reads the last lines of a container before a time, if that is not zero;
// one that has said nothing has none.
func (t *Tasks) tail(ctx context.Context, arn string, p watch.Part, end time.Time, n int) ([]watch.Line, error) {
	stream := p.Prefix + "/" + p.Name + "/" + watch.ID(arn)
	in := &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: &p.Group, LogStreamName: &stream, StartFromHead: aws.Bool(false), Limit: aws.Int32(int32(min(max(n, 1), mostTail))),
	}
	if !end.IsZero() {
		in.EndTime = aws.Int64(end.UnixMilli())
	}
	out, err := t.Logs(p.Region).GetLogEvents(ctx, in)
	var missing *logtypes.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("logs of container %s: %w", p.Name, err)
	}
	var lines []watch.Line
	var seen watch.Seen
	for _, e := range out.Events {
		line := watch.Line{Task: watch.ID(arn), Container: p.Name, At: time.UnixMilli(aws.ToInt64(e.Timestamp)), Text: aws.ToString(e.Message)}
		if line, ok := seen.Hear(line); ok {
			lines = append(lines, named(line))
		}
	}
	return lines, nil
}

// mostTail is how many lines CloudWatch Logs gives at once
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html).
const mostTail = 10_000

// followEvery is how often a log is read while it is followed; CloudWatch Logs
// answers some 25 reads a second for everybody.
const followEvery = 2 * time.Second

// Follow tells the lines of a task from a time on, zero for its beginning,
// while they are written and as Tail has them, until the task has ended and all
// is told. The error is a call's, or the context's cause. tell is called by one
// goroutine; a line of the very time may be told again to who goes on from
// there.
func (t *Tasks) Follow(ctx context.Context, arn string, j Job, since time.Time, tell func(watch.Line)) error {
	veil, err := t.veil(ctx, j)
	if err != nil {
		return err
	}
	if veil.withheld != "" && !since.IsZero() {
		earlier, err := t.tail(ctx, arn, t.parts(j)[0], since, 1)
		if err != nil {
			return err
		}
		veil.told = len(earlier) > 0
	}
	tail := watch.NewTail(t.Logs, t.parts(j))
	tail.Since = since
	var seen watch.Seen
	quiet := 0
	for n, due := 0, time.Now(); ; {
		over := quiet > 0
		if !over && !time.Now().Before(due) {
			truths, err := t.Describe(ctx, []string{arn})
			if err != nil {
				return err
			}
			over = truths[0].Over() || !truths[0].Known() && n > mostUnknown
			due = time.Now().Add(t.Pace.After(n))
			n++
		}
		news, err := tail.Read(ctx, types.Task{TaskArn: &arn}, func(line watch.Line) {
			line, ok := seen.Hear(line)
			if !ok {
				return
			}
			if line, ok = veil.through(line); ok {
				tell(named(line))
			}
		})
		if err != nil {
			return err
		}
		// Lines arrive after they were written: the last are there when two reads
		// in a row find none.
		switch {
		case news && over:
			quiet = 1
		case over:
			if quiet++; quiet > 2 {
				return nil
			}
		}
		if err := watch.Sleep(ctx, min(followEvery, max(t.Pace.After(0), time.Millisecond))); err != nil {
			return err
		}
	}
}

// mostUnknown is how often a task may be unknown before it is taken for one
// that ECS has forgotten.
const mostUnknown = 10

// parts are the job's containers with where their logs are.
func (t *Tasks) parts(j Job) []watch.Part {
	names := []string{program}
	if j.Checkout {
		names = append(names, checkout)
	}
	for _, s := range j.Services {
		names = append(names, servicePrefix+s.Name)
	}
	var parts []watch.Part
	for _, name := range names {
		parts = append(parts, watch.Part{Name: name, Essential: name == program, Moved: true, Group: j.Place.LogGroup, Region: t.region(j), Prefix: streamPrefix})
	}
	return parts
}

// named is a line under the name that people know its container by.
func named(line watch.Line) watch.Line {
	line.Container = strings.TrimPrefix(line.Container, servicePrefix)
	return line
}
