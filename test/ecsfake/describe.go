package ecsfake

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// describe is a service as it is shown: with its counts and its deployments,
// newest first. PRIMARY is "the most recent deployment of a service", ACTIVE one
// "that still has running tasks, but are in the process of being replaced"
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html).
func (f *Fake) describe(s *service) *types.Service {
	shown := s.Service
	shown.Tags = nil
	shown.Deployments = []types.Deployment{}
	shown.Events = slices.Clone(s.Events)
	if len(s.CapacityProviderStrategy) > 0 {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html: "When using the
		// DescribeServices API, this field is omitted if the service was created using a capacity
		// provider strategy."
		shown.LaunchType = ""
	}
	d := s.latest()
	shown.CurrentServiceRevisions = nil
	for _, r := range slices.Backward(s.revisions) {
		run, wait := f.counts(r)
		shown.RunningCount += run
		shown.PendingCount += wait
		primary := r == d.target
		if !primary && run+wait == 0 && r != d.wanted {
			continue
		}
		one := types.Deployment{
			Id: aws.String(r.id), Status: aws.String("ACTIVE"), TaskDefinition: r.TaskDefinition, CreatedAt: r.CreatedAt, UpdatedAt: d.UpdatedAt, FailedTasks: r.failed,
			RunningCount: run, PendingCount: wait, LaunchType: r.LaunchType, NetworkConfiguration: r.NetworkConfiguration, PlatformVersion: r.PlatformVersion,
			RolloutStateReason: aws.String(r.reason), RolloutState: r.rollout,
		}
		summary := types.ServiceCurrentRevisionSummary{Arn: r.ServiceRevisionArn, RunningTaskCount: run, PendingTaskCount: wait}
		if primary {
			one.Status, one.DesiredCount = aws.String("PRIMARY"), s.DesiredCount
			summary.RequestedTaskCount = s.DesiredCount
			shown.Deployments = slices.Insert(shown.Deployments, 0, one)
		} else {
			shown.Deployments = append(shown.Deployments, one)
		}
		shown.CurrentServiceRevisions = append(shown.CurrentServiceRevisions, summary)
	}
	return &shown
}
