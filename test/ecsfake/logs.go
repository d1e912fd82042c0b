package ecsfake

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// logEvent is a line.
type logEvent = types.OutputLogEvent

// logGroup is one of CloudWatch Logs; streams' events are in the order of
// their times.
type logGroup struct {
	name, arn string
	created   int64
	streams   map[string][]logEvent
}

func (f *Fake) registerLogs() {
	group := func(name *string) []string { return []string{f.logGroupARN(aws.ToString(name))} }
	handle(f, "logs:CreateLogGroup", func(_ *caller, in *cloudwatchlogs.CreateLogGroupInput) []string { return group(in.LogGroupName) }, f.createLogGroup)
	handle(f, "logs:DeleteLogGroup", func(_ *caller, in *cloudwatchlogs.DeleteLogGroupInput) []string { return group(in.LogGroupName) }, f.deleteLogGroup)
	handle(f, "logs:DescribeLogGroups", nil, f.describeLogGroups)
	handle(f, "logs:CreateLogStream", func(_ *caller, in *cloudwatchlogs.CreateLogStreamInput) []string { return group(in.LogGroupName) }, f.createLogStream)
	handle(f, "logs:DescribeLogStreams", func(_ *caller, in *cloudwatchlogs.DescribeLogStreamsInput) []string { return group(in.LogGroupName) }, f.describeLogStreams)
	handle(f, "logs:PutLogEvents", func(_ *caller, in *cloudwatchlogs.PutLogEventsInput) []string { return group(in.LogGroupName) }, f.putLogEvents)
	handle(f, "logs:GetLogEvents", func(_ *caller, in *cloudwatchlogs.GetLogEventsInput) []string { return group(in.LogGroupName) }, f.getLogEvents)
	handle(f, "logs:FilterLogEvents", func(_ *caller, in *cloudwatchlogs.FilterLogEventsInput) []string { return group(in.LogGroupName) }, f.filterLogEvents)
}

func (f *Fake) logGroupARN(name string) string { return f.arn("logs", "log-group:"+name+":*") }

func (f *Fake) logGroup(name *string) (*logGroup, error) {
	if g := f.logs[aws.ToString(name)]; g != nil {
		return g, nil
	}
	return nil, wire.Errorf("ResourceNotFoundException", "The specified log group does not exist.")
}

func (f *Fake) createLogGroup(_ *caller, in *cloudwatchlogs.CreateLogGroupInput) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if f.logs[name] != nil {
		return nil, wire.Errorf("ResourceAlreadyExistsException", "The specified log group already exists")
	}
	f.logs[name] = &logGroup{name: name, arn: f.logGroupARN(name), created: time.Now().UnixMilli(), streams: map[string][]logEvent{}}
	return &cloudwatchlogs.CreateLogGroupOutput{}, nil
}

func (f *Fake) deleteLogGroup(_ *caller, in *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	if _, err := f.logGroup(in.LogGroupName); err != nil {
		return nil, err
	}
	delete(f.logs, *in.LogGroupName)
	return &cloudwatchlogs.DeleteLogGroupOutput{}, nil
}

func (f *Fake) describeLogGroups(_ *caller, in *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	var found []types.LogGroup
	for _, name := range slices.Sorted(maps.Keys(f.logs)) {
		if g := f.logs[name]; strings.HasPrefix(name, aws.ToString(in.LogGroupNamePrefix)) {
			found = append(found, types.LogGroup{LogGroupName: &g.name, Arn: &g.arn, CreationTime: &g.created})
		}
	}
	page, next, err := paged(found, in.NextToken, in.Limit, 50)
	return &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: page, NextToken: next}, err
}

func (f *Fake) createLogStream(_ *caller, in *cloudwatchlogs.CreateLogStreamInput) (*cloudwatchlogs.CreateLogStreamOutput, error) {
	g, err := f.logGroup(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	if _, ok := g.streams[aws.ToString(in.LogStreamName)]; ok {
		return nil, wire.Errorf("ResourceAlreadyExistsException", "The specified log stream already exists")
	}
	g.streams[aws.ToString(in.LogStreamName)] = nil
	return &cloudwatchlogs.CreateLogStreamOutput{}, nil
}

func (f *Fake) describeLogStreams(_ *caller, in *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	g, err := f.logGroup(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	var found []types.LogStream
	for _, name := range slices.Sorted(maps.Keys(g.streams)) {
		if !strings.HasPrefix(name, aws.ToString(in.LogStreamNamePrefix)) {
			continue
		}
		stream := types.LogStream{LogStreamName: aws.String(name), Arn: aws.String(strings.TrimSuffix(g.arn, "*") + "log-stream:" + name)}
		if events := g.streams[name]; len(events) > 0 {
			stream.FirstEventTimestamp, stream.LastEventTimestamp = events[0].Timestamp, events[len(events)-1].Timestamp
		}
		found = append(found, stream)
	}
	page, next, err := paged(found, in.NextToken, in.Limit, 50)
	return &cloudwatchlogs.DescribeLogStreamsOutput{LogStreams: page, NextToken: next}, err
}

func (f *Fake) putLogEvents(_ *caller, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
	g, err := f.logGroup(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	name := aws.ToString(in.LogStreamName)
	if _, ok := g.streams[name]; !ok {
		return nil, wire.Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	for _, e := range in.LogEvents {
		g.write(name, time.UnixMilli(aws.ToInt64(e.Timestamp)), aws.ToString(e.Message))
	}
	return &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: aws.String(f.uuid())}, nil
}

// write adds an event. None is older than the one before it, so that a token
// stays where it is.
func (g *logGroup) write(stream string, at time.Time, message string) {
	events := g.streams[stream]
	stamp := at.UnixMilli()
	if len(events) > 0 {
		stamp = max(stamp, *events[len(events)-1].Timestamp)
	}
	g.streams[stream] = append(events, types.OutputLogEvent{Timestamp: &stamp, IngestionTime: aws.Int64(time.Now().UnixMilli()), Message: &message})
}

// getLogEvents pages through a stream. Tokens are f/N and b/N, positions
// between events
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html:
// "If you have reached the end of the stream, it returns the same token you passed in").
func (f *Fake) getLogEvents(_ *caller, in *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	g, err := f.logGroup(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	events, ok := g.streams[aws.ToString(in.LogStreamName)]
	if !ok {
		return nil, wire.Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	limit := 10000
	if n := int(aws.ToInt32(in.Limit)); n > 0 {
		limit = min(n, limit)
	}
	first := 0
	for first < len(events) && *events[first].Timestamp < aws.ToInt64(in.StartTime) {
		first++
	}
	from, to := first, min(first+limit, len(events))
	direction, position, _ := strings.Cut(aws.ToString(in.NextToken), "/")
	at, err := strconv.Atoi(position)
	switch {
	case in.NextToken == nil && !aws.ToBool(in.StartFromHead):
		from, to = max(first, len(events)-limit), len(events)
	case in.NextToken == nil:
	case err != nil || at < 0 || at > len(events) || direction != "f" && direction != "b":
		return nil, wire.Errorf("InvalidParameterException", "The specified nextToken is invalid.")
	case direction == "f":
		from, to = at, min(at+limit, len(events))
	default:
		from, to = max(first, at-limit), at
	}
	return &cloudwatchlogs.GetLogEventsOutput{
		Events: append([]logEvent{}, events[from:to]...), NextForwardToken: aws.String(fmt.Sprintf("f/%d", to)), NextBackwardToken: aws.String(fmt.Sprintf("b/%d", from)),
	}, nil
}

// filterLogEvents finds events of several streams that hold a text.
func (f *Fake) filterLogEvents(_ *caller, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	g, err := f.logGroup(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	var found []types.FilteredLogEvent
	for _, name := range slices.Sorted(maps.Keys(g.streams)) {
		if len(in.LogStreamNames) > 0 && !slices.Contains(in.LogStreamNames, name) || !strings.HasPrefix(name, aws.ToString(in.LogStreamNamePrefix)) {
			continue
		}
		for i, e := range g.streams[name] {
			if *e.Timestamp < aws.ToInt64(in.StartTime) || !strings.Contains(*e.Message, strings.Trim(aws.ToString(in.FilterPattern), `"`)) {
				continue
			}
			found = append(found, types.FilteredLogEvent{EventId: aws.String(fmt.Sprintf("%s/%d", name, i)), LogStreamName: aws.String(name), Message: e.Message, Timestamp: e.Timestamp, IngestionTime: e.IngestionTime})
		}
	}
	slices.SortStableFunc(found, func(a, b types.FilteredLogEvent) int { return int(*a.Timestamp - *b.Timestamp) })
	page, next, err := paged(found, in.NextToken, in.Limit, 10000)
	return &cloudwatchlogs.FilterLogEventsOutput{Events: page, NextToken: next}, err
}
