package ecsfake

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// clusters is all that ECS itself keeps.
type clusters struct {
	byARN    map[string]*types.Cluster
	families map[string][]*types.TaskDefinition // revision N at N-1
	tasks    map[string]*task                   // by ARN
	services map[string]*service                // by ARN
	launches map[string]*launch                 // by cluster and client token
	tags     map[string][]types.Tag             // by ARN
	// shared are the engine's volumes that outlive a task.
	shared map[string]bool
}

func newClusters() clusters {
	return clusters{
		byARN: map[string]*types.Cluster{}, families: map[string][]*types.TaskDefinition{}, tasks: map[string]*task{}, services: map[string]*service{},
		launches: map[string]*launch{}, tags: map[string][]types.Tag{}, shared: map[string]bool{},
	}
}

func (f *Fake) registerClusters() {
	handle(f, "ecs:CreateCluster", nil, f.createCluster)
	handle(f, "ecs:DescribeClusters", nil, f.describeClusters)
	handle(f, "ecs:ListClusters", nil, f.listClusters)
	handle(f, "ecs:DeleteCluster", nil, f.deleteCluster)
	handle(f, "ecs:TagResource", func(_ *caller, in *ecs.TagResourceInput) []string { return []string{aws.ToString(in.ResourceArn)} }, f.tagResource)
	handle(f, "ecs:UntagResource", func(_ *caller, in *ecs.UntagResourceInput) []string { return []string{aws.ToString(in.ResourceArn)} }, f.untagResource)
	handle(f, "ecs:ListTagsForResource", func(_ *caller, in *ecs.ListTagsForResourceInput) []string {
		return []string{aws.ToString(in.ResourceArn)}
	}, f.listTagsForResource)
}

func (s *clusters) create(f *Fake, name string) *types.Cluster {
	arn := f.arn("ecs", "cluster/"+name)
	if s.byARN[arn] == nil {
		s.byARN[arn] = &types.Cluster{ClusterArn: &arn, ClusterName: &name, Status: aws.String("ACTIVE"), CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}
	}
	return s.byARN[arn]
}

// clusterFor finds a cluster by name or ARN
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "The short name or
// full Amazon Resource Name (ARN) of the cluster", "If you do not specify a cluster, the default
// cluster is assumed").
func (f *Fake) clusterFor(id *string) (*types.Cluster, error) {
	arn := aws.ToString(id)
	if arn == "" {
		arn = "default"
	}
	if !strings.HasPrefix(arn, "arn:") {
		arn = f.arn("ecs", "cluster/"+arn)
	}
	if c := f.byARN[arn]; c != nil {
		return c, nil
	}
	return nil, wire.Errorf("ClusterNotFoundException", "Cluster not found.")
}

// within is the ARN of something in a cluster, from its ARN or its own name.
func (f *Fake) within(kind string, cluster *string, id string) string {
	if strings.HasPrefix(id, "arn:") {
		return id
	}
	name := aws.ToString(cluster)
	name = name[strings.LastIndexByte(name, '/')+1:]
	if name == "" {
		name = "default"
	}
	return f.arn("ecs", kind+"/"+name+"/"+id)
}

func (f *Fake) createCluster(_ *caller, in *ecs.CreateClusterInput) (*ecs.CreateClusterOutput, error) {
	name := aws.ToString(in.ClusterName)
	if name == "" {
		name = "default"
	}
	return &ecs.CreateClusterOutput{Cluster: f.clusters.create(f, name)}, nil
}

// describeClusters counts what runs now.
func (f *Fake) describeClusters(_ *caller, in *ecs.DescribeClustersInput) (*ecs.DescribeClustersOutput, error) {
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	names := in.Clusters
	if len(names) == 0 {
		names = []string{"default"}
	}
	for _, name := range names {
		found, err := f.clusterFor(&name)
		if err != nil {
			arn := name
			if !strings.HasPrefix(arn, "arn:") {
				arn = f.arn("ecs", "cluster/"+name)
			}
			out.Failures = append(out.Failures, types.Failure{Arn: &arn, Reason: aws.String("MISSING")})
			continue
		}
		c := *found
		for _, t := range f.tasks {
			if *t.ClusterArn != *c.ClusterArn {
				continue
			}
			switch *t.LastStatus {
			case running:
				c.RunningTasksCount++
			case provisioning, pending, activating:
				c.PendingTasksCount++
			}
		}
		for _, s := range f.services {
			if *s.ClusterArn == *c.ClusterArn && *s.Status == active {
				c.ActiveServicesCount++
			}
		}
		out.Clusters = append(out.Clusters, c)
	}
	return out, nil
}

func (f *Fake) listClusters(_ *caller, in *ecs.ListClustersInput) (*ecs.ListClustersOutput, error) {
	page, next, err := paged(slices.Sorted(maps.Keys(f.byARN)), in.NextToken, in.MaxResults, 100)
	return &ecs.ListClustersOutput{ClusterArns: page, NextToken: next}, err
}

// deleteCluster deletes one in which nothing is left
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html).
func (f *Fake) deleteCluster(_ *caller, in *ecs.DeleteClusterInput) (*ecs.DeleteClusterOutput, error) {
	c, err := f.clusterFor(in.Cluster)
	if err != nil {
		return nil, err
	}
	for _, s := range f.services {
		if *s.ClusterArn == *c.ClusterArn && *s.Status != inactive {
			return nil, wire.Errorf("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
		}
	}
	for _, t := range f.tasks {
		if *t.ClusterArn == *c.ClusterArn && *t.LastStatus != stopped {
			return nil, wire.Errorf("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
		}
	}
	delete(f.byARN, *c.ClusterArn)
	gone := *c
	gone.Status = aws.String(inactive)
	return &ecs.DeleteClusterOutput{Cluster: &gone}, nil
}

// setTags adds tags to a resource's, or changes their values.
func (f *Fake) setTags(arn string, tags []types.Tag) {
	for _, tag := range tags {
		f.tags[arn] = append(slices.DeleteFunc(slices.Clone(f.tags[arn]), func(have types.Tag) bool { return *have.Key == *tag.Key }), tag)
	}
}

func (f *Fake) tagResource(_ *caller, in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	f.setTags(aws.ToString(in.ResourceArn), in.Tags)
	return &ecs.TagResourceOutput{}, nil
}

func (f *Fake) untagResource(_ *caller, in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	arn := aws.ToString(in.ResourceArn)
	f.tags[arn] = slices.DeleteFunc(slices.Clone(f.tags[arn]), func(tag types.Tag) bool { return slices.Contains(in.TagKeys, *tag.Key) })
	return &ecs.UntagResourceOutput{}, nil
}

func (f *Fake) listTagsForResource(_ *caller, in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	return &ecs.ListTagsForResourceOutput{Tags: f.tags[aws.ToString(in.ResourceArn)]}, nil
}
