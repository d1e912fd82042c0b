package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// seenTask is a task of a service with what was seen of it.
type seenTask struct {
	Seen
	last  types.Task
	asked bool
	ours  bool // the deployment started it
	heard bool // its logs were read
	ended bool // its end was told
}

// services tells the services' news.
func (w *Watch) services(ctx context.Context, busy []*rolling) error {
	for cluster, group := range byCluster(busy) {
		var names []string
		for _, r := range group {
			names = append(names, r.Service)
		}
		found, err := DescribeServices(ctx, w.client, cluster, names)
		if err != nil {
			return err
		}
		for _, s := range found {
			for _, r := range group {
				if r.Service == aws.ToString(s.ServiceName) || r.Service == aws.ToString(s.ServiceArn) {
					r.events(s.Events, w.tell)
				}
			}
		}
	}
	return nil
}

// events tells those that are new; ECS has the newest first.
func (r *rolling) events(events []types.ServiceEvent, tell func(Event)) {
	for _, e := range slices.Backward(events) {
		id := aws.ToString(e.Id)
		if r.seen[id] {
			continue
		}
		r.seen[id], r.news = true, true
		tell(Event{At: aws.ToTime(e.CreatedAt), Name: r.Service, Kind: Service, Text: aws.ToString(e.Message)})
	}
}

// mostListed is how many services' tasks are listed in a round: there is no
// call that lists those of several services.
const mostListed = 20

// list lists the tasks of services that have news, for ECS tells every start
// of a task. What is too much for this round is for the next.
func (w *Watch) list(ctx context.Context, busy []*rolling) error {
	listed := 0
	for _, r := range busy {
		if !r.news || listed == mostListed {
			continue
		}
		err := w.listOne(ctx, r)
		var unknown *types.ServiceNotFoundException
		switch {
		case errors.As(err, &unknown):
			r.news = !r.over // it is new, and not known everywhere
		case err != nil:
			return err
		default:
			r.news = false
		}
		listed++
	}
	return nil
}

// listOne lists a service's tasks, those that have stopped too.
func (w *Watch) listOne(ctx context.Context, r *rolling) error {
	for _, status := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		arns, err := ListTasks(ctx, w.client, ecs.ListTasksInput{Cluster: named(r.Cluster), ServiceName: &r.Service, DesiredStatus: status})
		if err != nil {
			return err
		}
		r.add(arns)
	}
	return nil
}

// tasks tells the tasks' news.
func (w *Watch) tasks(ctx context.Context, busy []*rolling) error {
	for cluster, group := range byCluster(busy) {
		var arns []string
		for _, r := range group {
			arns = append(arns, r.unsettled()...)
		}
		found, err := DescribeTasks(ctx, w.client, cluster, arns)
		if err != nil {
			return err
		}
		for _, task := range found {
			for _, r := range group {
				r.saw(task, w.tell)
			}
		}
	}
	return nil
}

func (r *rolling) add(arns []string) {
	for _, arn := range arns {
		if r.tasks[arn] == nil {
			r.tasks[arn] = &seenTask{}
			r.order = append(r.order, arn)
		}
	}
}

// unsettled are the tasks of which there may be something new.
func (r *rolling) unsettled() []string {
	var arns []string
	for _, arn := range r.order {
		if t := r.tasks[arn]; !t.asked || t.ours && !stopped(t.last) {
			arns = append(arns, arn)
		}
	}
	return arns
}

// saw takes in what ECS says of a task. It is the deployment's own if it runs
// its revision and is younger.
func (r *rolling) saw(task types.Task, tell func(Event)) {
	t := r.tasks[aws.ToString(task.TaskArn)]
	if t == nil {
		return
	}
	since := r.last.CreatedAt
	t.last, t.asked = task, since != nil
	t.ours = since != nil && task.CreatedAt != nil && !task.CreatedAt.Before(*since) && aws.ToString(task.TaskDefinitionArn) == r.Definition
	if t.ours && t.Healthy.IsZero() && task.HealthStatus == types.HealthStatusHealthy {
		t.Healthy = time.Now()
		tell(Event{At: t.Healthy, Name: t.id(), Kind: Task, Text: "healthy"})
	}
}

func (t *seenTask) id() string { return ID(aws.ToString(t.last.TaskArn)) }

func byCluster(busy []*rolling) map[string][]*rolling {
	groups := map[string][]*rolling{}
	for _, r := range busy {
		groups[r.Cluster] = append(groups[r.Cluster], r)
	}
	return groups
}
