package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// How many things ECS describes in one call
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html,
// API_DescribeServices.html, API_DescribeServiceDeployments.html).
const (
	mostTasks       = 100
	mostServices    = 10
	mostDeployments = 20
)

// DescribeTasks describes any number of a cluster's tasks. Those that are
// missing are left out.
func DescribeTasks(ctx context.Context, client TaskDescriber, cluster string, tasks []string) ([]types.Task, error) {
	var found []types.Task
	for batch := range slices.Chunk(tasks, mostTasks) {
		out, err := client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: named(cluster), Tasks: batch, Include: []types.TaskField{types.TaskFieldTags}})
		if err != nil {
			return nil, fmt.Errorf("tasks of cluster %q: %w", cluster, err)
		}
		if err := failed(out.Failures); err != nil {
			return nil, err
		}
		found = append(found, out.Tasks...)
	}
	return found, nil
}

// DescribeServices describes any number of a cluster's services. Those that
// are missing are left out.
func DescribeServices(ctx context.Context, client ServiceDescriber, cluster string, services []string) ([]types.Service, error) {
	var found []types.Service
	for batch := range slices.Chunk(services, mostServices) {
		out, err := client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: named(cluster), Services: batch})
		if err != nil {
			return nil, fmt.Errorf("services of cluster %q: %w", cluster, err)
		}
		if err := failed(out.Failures); err != nil {
			return nil, err
		}
		found = append(found, out.Services...)
	}
	return found, nil
}

// DescribeDeployments describes any number of service deployments. Those that
// are missing are left out.
func DescribeDeployments(ctx context.Context, client DeploymentDescriber, arns []string) ([]types.ServiceDeployment, error) {
	var found []types.ServiceDeployment
	for batch := range slices.Chunk(arns, mostDeployments) {
		out, err := client.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: batch})
		if err != nil {
			return nil, fmt.Errorf("service deployments: %w", err)
		}
		if err := failed(out.Failures); err != nil {
			return nil, err
		}
		found = append(found, out.ServiceDeployments...)
	}
	return found, nil
}

// ListTasks lists the ARNs of tasks, page after page.
func ListTasks(ctx context.Context, client TaskLister, in ecs.ListTasksInput) ([]string, error) {
	pages := ecs.NewListTasksPaginator(client, &in)
	var found []string
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list tasks of cluster %q: %w", aws.ToString(in.Cluster), err)
		}
		found = append(found, out.TaskArns...)
	}
	return found, nil
}

// failed is an error of the first failure that is more than a thing missing.
func failed(failures []types.Failure) error {
	for _, f := range failures {
		if reason := aws.ToString(f.Reason); reason != "MISSING" {
			return fmt.Errorf("%s: %s %s", aws.ToString(f.Arn), reason, aws.ToString(f.Detail))
		}
	}
	return nil
}

// named is a name as the SDK takes it; the default cluster has none.
func named(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}

// ID is the last part of an ARN, or of what is none.
func ID(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
