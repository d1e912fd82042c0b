package awslive

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

const trust = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`

// furnish makes what the cases need. Each thing is removed at the end, however
// that comes, in the opposite order.
func (a Account) furnish(t *testing.T) *world {
	t.Helper()
	w := &world{Account: a, dir: t.TempDir()}
	w.identify(t)
	w.makeGroup(t)
	if w.Credentials != "" {
		w.makeParameter(t)
	}
	w.makeRole(t)
	w.makeCluster(t)
	return w
}

// made ends the test if something could not be made, and else has it removed.
func (w *world) made(t *testing.T, what string, err error, remove func(context.Context) error) {
	t.Helper()
	if err != nil {
		t.Fatalf("make the %s: %v", what, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if err := remove(ctx); err != nil {
			t.Errorf("the %s is still there: %v", what, err)
		}
	})
}

func (w *world) makeGroup(t *testing.T) {
	client, name := cloudwatchlogs.NewFromConfig(w.Config), w.group()
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
	w.made(t, "log group "+name, err, func(ctx context.Context) error {
		_, err := client.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &name})
		return err
	})
}

func (w *world) makeParameter(t *testing.T) {
	client, name := ssm.NewFromConfig(w.Config), w.parameter()
	_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &w.Credentials, Type: ssmtypes.ParameterTypeSecureString})
	w.made(t, "parameter "+name, err, func(ctx context.Context) error {
		_, err := client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
		return err
	})
}

// makeRole makes an execution role that may do what the cases need, and no
// more.
func (w *world) makeRole(t *testing.T) {
	client, name, policy := iam.NewFromConfig(w.Config), w.Name+"-execution", aws.String("cases")
	out, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)})
	w.made(t, "role "+name, err, func(ctx context.Context) error {
		_, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
		return err
	})
	w.role = *out.Role.Arn
	document := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:%s:%s:parameter%s"},
		{"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "arn:aws:logs:%s:%s:log-group:%s:*"}]}`,
		w.Config.Region, w.account, w.parameter(), w.Config.Region, w.account, w.group())
	_, err = client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: policy, PolicyDocument: &document})
	w.made(t, "policy of "+name, err, func(ctx context.Context) error {
		_, err := client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: policy})
		return err
	})
}

// makeCluster makes a cluster, with which all that the cases left in it goes,
// then the revisions that they registered.
func (w *world) makeCluster(t *testing.T) {
	client := ecs.NewFromConfig(w.Config)
	w.made(t, "revisions of "+w.Name, nil, func(ctx context.Context) error { return w.deleteRevisions(ctx, client) })
	_, err := client.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: &w.Name})
	w.made(t, "cluster "+w.Name, err, func(ctx context.Context) error {
		if err := w.emptyCluster(ctx, client); err != nil {
			return err
		}
		_, err := client.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: &w.Name})
		return err
	})
}

// emptyCluster deletes the services, stops the tasks, and waits for the end of
// both: they keep a cluster.
func (w *world) emptyCluster(ctx context.Context, client *ecs.Client) error {
	services, err := client.ListServices(ctx, &ecs.ListServicesInput{Cluster: &w.Name})
	if err != nil {
		return err
	}
	for _, arn := range services.ServiceArns {
		if _, err := client.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &w.Name, Service: &arn, Force: aws.Bool(true)}); err != nil {
			return err
		}
	}
	if err := w.stopTasks(ctx, client); err != nil || len(services.ServiceArns) == 0 {
		return err
	}
	waiter := ecs.NewServicesInactiveWaiter(client, func(o *ecs.ServicesInactiveWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second, 5*time.Second })
	return waiter.Wait(ctx, &ecs.DescribeServicesInput{Cluster: &w.Name, Services: services.ServiceArns}, 5*time.Minute)
}

func (w *world) stopTasks(ctx context.Context, client *ecs.Client) error {
	running, err := client.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &w.Name})
	if err != nil {
		return err
	}
	for _, arn := range running.TaskArns {
		if _, err := client.StopTask(ctx, &ecs.StopTaskInput{Cluster: &w.Name, Task: &arn, Reason: aws.String("the end of the test")}); err != nil {
			return err
		}
	}
	ending, err := client.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &w.Name, DesiredStatus: types.DesiredStatusStopped})
	if err != nil || len(running.TaskArns)+len(ending.TaskArns) == 0 {
		return err
	}
	waiter := ecs.NewTasksStoppedWaiter(client, func(o *ecs.TasksStoppedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second, 5*time.Second })
	return waiter.Wait(ctx, &ecs.DescribeTasksInput{Cluster: &w.Name, Tasks: append(running.TaskArns, ending.TaskArns...)}, 5*time.Minute)
}

// deleteRevisions deletes all revisions of the family.
func (w *world) deleteRevisions(ctx context.Context, client *ecs.Client) error {
	list, err := client.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: &w.Name})
	if err != nil || len(list.TaskDefinitionArns) == 0 {
		return err
	}
	for _, arn := range list.TaskDefinitionArns {
		if _, err := client.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &arn}); err != nil {
			return err
		}
	}
	_, err = client.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: list.TaskDefinitionArns})
	return err
}
