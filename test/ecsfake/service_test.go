package ecsfake_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// serve creates a service and returns its first deployment's ARN.
func (w *world) serve(t *testing.T, name, definition string, count int32, change ...func(*ecs.CreateServiceInput)) *string {
	t.Helper()
	in := &ecs.CreateServiceInput{ServiceName: &name, TaskDefinition: &definition, DesiredCount: &count}
	for _, c := range change {
		c(in)
	}
	out, err := w.ecs.CreateService(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Service.CurrentServiceDeployment
}

// update deploys a definition and returns the deployment's ARN.
func (w *world) update(t *testing.T, name, definition string) *string {
	t.Helper()
	out, err := w.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Service: &name, TaskDefinition: &definition})
	if err != nil {
		t.Fatal(err)
	}
	return out.Service.CurrentServiceDeployment
}

func (w *world) deployment(t *testing.T, arn *string) types.ServiceDeployment {
	t.Helper()
	out, err := w.ecs.DescribeServiceDeployments(t.Context(), &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*arn}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.ServiceDeployments) != 1 {
		t.Fatalf("failures %+v", out.Failures)
	}
	return out.ServiceDeployments[0]
}

// until asks for a deployment until something holds of it.
func (w *world) until(t *testing.T, arn *string, what string, holds func(types.ServiceDeployment) bool) types.ServiceDeployment {
	t.Helper()
	for {
		d := w.deployment(t, arn)
		if holds(d) {
			return d
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the deployment never was %s: %s, %s", what, d.Status, aws.ToString(d.StatusReason))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ends waits for a deployment's end.
func (w *world) ends(t *testing.T, arn *string, want types.ServiceDeploymentStatus) types.ServiceDeployment {
	t.Helper()
	d := w.until(t, arn, string(want), func(d types.ServiceDeployment) bool { return d.FinishedAt != nil || d.StoppedAt != nil })
	if d.Status != want {
		t.Fatalf("the deployment ended as %s (%s), want %s", d.Status, aws.ToString(d.StatusReason), want)
	}
	return d
}

func (w *world) service(t *testing.T, name string) types.Service {
	t.Helper()
	out, err := w.ecs.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Services) != 1 {
		t.Fatalf("failures %+v", out.Failures)
	}
	return out.Services[0]
}

// breaking turns the circuit breaker on, for so many failures.
func breaking(failures int32, rollback bool) func(*ecs.CreateServiceInput) {
	return func(in *ecs.CreateServiceInput) {
		in.DeploymentConfiguration = &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
			Enable: true, Rollback: rollback, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: failures},
		}}
	}
}

// checked gives a container a health check.
func checked(command string) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", command}, Interval: aws.Int32(10), Retries: aws.Int32(1)}
	}
}

func TestRollingUpdate(t *testing.T) {
	w := start(t)
	first := w.define(t, "web", nil, w.script("app", "sleep 600"))
	w.ends(t, w.serve(t, "web", first, 2), types.ServiceDeploymentStatusSuccessful)
	s := w.service(t, "web")
	if s.RunningCount != 2 || len(s.Deployments) != 1 || s.Deployments[0].RolloutState != types.DeploymentRolloutStateCompleted {
		t.Errorf("%d run; deployments %+v", s.RunningCount, s.Deployments)
	}
	second := w.define(t, "web", nil, w.script("app", "sleep 601"))
	arn := w.update(t, "web", second)
	w.until(t, arn, "beside the old one", func(types.ServiceDeployment) bool {
		s := w.service(t, "web")
		return len(s.Deployments) == 2 && *s.Deployments[0].Status == "PRIMARY" && *s.Deployments[1].Status == "ACTIVE" && s.RunningCount > 2
	})
	d := w.ends(t, arn, types.ServiceDeploymentStatusSuccessful)
	if len(d.SourceServiceRevisions) != 1 || d.TargetServiceRevision.RunningTaskCount != 2 {
		t.Errorf("target %+v, sources %+v", d.TargetServiceRevision, d.SourceServiceRevisions)
	}
	if s := w.service(t, "web"); *s.TaskDefinition != second || s.RunningCount != 2 {
		t.Errorf("%s, %d run", *s.TaskDefinition, s.RunningCount)
	}
	// The ServicesStable waiter of the SDK is content, too.
	if err := ecs.NewServicesStableWaiter(w.ecs).Wait(t.Context(), &ecs.DescribeServicesInput{Services: []string{"web"}}, time.Minute); err != nil {
		t.Error(err)
	}
}

func TestCircuitBreaker(t *testing.T) {
	w := start(t)
	good := w.define(t, "web", nil, w.script("app", "sleep 600"))
	bad := func(d *types.ContainerDefinition) { d.Image = aws.String(lab.Registry + "/ecsfake/nothing:1") }
	noImage := w.define(t, "web", nil, w.script("app", "sleep 600", bad))
	unhealthy := w.define(t, "web", nil, w.script("app", "sleep 600", checked("false")))
	t.Run("rolls back from tasks that never run", func(t *testing.T) {
		w.ends(t, w.serve(t, "a", good, 1, breaking(2, true)), types.ServiceDeploymentStatusSuccessful)
		d := w.ends(t, w.update(t, "a", noImage), types.ServiceDeploymentStatusRollbackSuccessful)
		if d.DeploymentCircuitBreaker.Status != types.ServiceDeploymentRollbackMonitorsStatusTriggered || d.DeploymentCircuitBreaker.FailureCount != 2 || d.Rollback == nil {
			t.Errorf("breaker %+v, roll-back %+v", d.DeploymentCircuitBreaker, d.Rollback)
		}
		if s := w.service(t, "a"); *s.TaskDefinition != good || s.RunningCount != 1 {
			t.Errorf("%s, %d run", *s.TaskDefinition, s.RunningCount)
		}
	})
	t.Run("rolls back from tasks that fail their health checks", func(t *testing.T) {
		w.ends(t, w.serve(t, "b", good, 1, breaking(1, true)), types.ServiceDeploymentStatusSuccessful)
		w.ends(t, w.update(t, "b", unhealthy), types.ServiceDeploymentStatusRollbackSuccessful)
	})
	t.Run("stops without a roll-back", func(t *testing.T) {
		d := w.ends(t, w.serve(t, "c", noImage, 1, breaking(1, false)), types.ServiceDeploymentStatusStopped)
		if !strings.Contains(aws.ToString(d.StatusReason), "circuit breaker") {
			t.Errorf("reason %q", aws.ToString(d.StatusReason))
		}
		if state := w.service(t, "c").Deployments[0].RolloutState; state != types.DeploymentRolloutStateFailed {
			t.Errorf("rollout %s", state)
		}
	})
	t.Run("does not count tasks that ran", func(t *testing.T) {
		crashing := w.define(t, "web", nil, w.script("app", "exit 1"))
		arn := w.serve(t, "d", crashing, 1, breaking(1, false))
		ran := map[string]bool{}
		d := w.until(t, arn, "replacing its tasks", func(types.ServiceDeployment) bool {
			out, err := w.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{ServiceName: aws.String("d"), DesiredStatus: types.DesiredStatusStopped})
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range out.TaskArns {
				ran[task] = true
			}
			return len(ran) > 3
		})
		if b := d.DeploymentCircuitBreaker; d.StoppedAt != nil || b.FailureCount != 0 || b.Status == types.ServiceDeploymentRollbackMonitorsStatusTriggered {
			t.Errorf("%s; breaker %+v", d.Status, b)
		}
	})
}

func TestStopServiceDeployment(t *testing.T) {
	w := start(t)
	good := w.define(t, "web", nil, w.script("app", "sleep 600"))
	slow := w.define(t, "web", nil, w.script("app", "sleep 600", checked("false"), func(d *types.ContainerDefinition) {
		d.HealthCheck.Retries = aws.Int32(10)
		d.HealthCheck.Interval = aws.Int32(300)
	}))
	w.ends(t, w.serve(t, "web", good, 1), types.ServiceDeploymentStatusSuccessful)
	arn := w.update(t, "web", slow)
	w.until(t, arn, "running", func(d types.ServiceDeployment) bool { return d.TargetServiceRevision.RunningTaskCount == 1 })
	if _, err := w.ecs.StopServiceDeployment(t.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn, StopType: types.StopServiceDeploymentStopTypeRollback}); err != nil {
		t.Fatal(err)
	}
	w.ends(t, arn, types.ServiceDeploymentStatusRollbackSuccessful)
	if s := w.service(t, "web"); *s.TaskDefinition != good {
		t.Errorf("it runs %s", *s.TaskDefinition)
	}
}

func TestTrafficShifts(t *testing.T) {
	w := start(t)
	first, second := w.define(t, "web", nil, w.script("app", "sleep 600")), w.define(t, "web", nil, w.script("app", "sleep 601"))
	for _, tt := range []struct {
		name   string
		config types.DeploymentConfiguration
		weight float64 // one that the new revision has on the way
	}{
		{"blue-green", types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(1)}, 0},
		{"linear", types.DeploymentConfiguration{Strategy: types.DeploymentStrategyLinear, LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(50), StepBakeTimeInMinutes: aws.Int32(1)}}, 50},
		{"canary", types.DeploymentConfiguration{Strategy: types.DeploymentStrategyCanary, CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(5), CanaryBakeTimeInMinutes: aws.Int32(1)}}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.LifecycleHooks = []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause, LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePostScaleUp}}}
			if tt.name != "canary" {
				tt.config.LifecycleHooks = nil
			}
			w.ends(t, w.serve(t, tt.name, first, 1), types.ServiceDeploymentStatusSuccessful)
			out, err := w.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Service: &tt.name, TaskDefinition: &second, DeploymentConfiguration: &tt.config})
			if err != nil {
				t.Fatal(err)
			}
			arn := out.Service.CurrentServiceDeployment
			if tt.config.LifecycleHooks != nil {
				w.resume(t, arn)
			}
			w.until(t, arn, "shifting", func(d types.ServiceDeployment) bool {
				weight := aws.ToFloat64(d.TargetServiceRevision.RequestedProductionTrafficWeight)
				return weight == tt.weight && d.LifecycleStage != "" || d.FinishedAt != nil
			})
			d := w.ends(t, arn, types.ServiceDeploymentStatusSuccessful)
			if d.LifecycleStage != types.ServiceDeploymentLifecycleStageCleanUp || *w.service(t, tt.name).TaskDefinition != second {
				t.Errorf("it ended in %s", d.LifecycleStage)
			}
		})
	}
}

// resume waits for a pause and ends it.
func (w *world) resume(t *testing.T, arn *string) {
	t.Helper()
	d := w.until(t, arn, "paused", func(d types.ServiceDeployment) bool { return len(d.LifecycleHookDetails) > 0 })
	if d.LifecycleStage != types.ServiceDeploymentLifecycleStagePostScaleUp {
		t.Errorf("paused in %s", d.LifecycleStage)
	}
	if _, err := w.ecs.ContinueServiceDeployment(t.Context(), &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: arn, HookId: d.LifecycleHookDetails[0].HookId}); err != nil {
		t.Fatal(err)
	}
}

func TestLoadBalancer(t *testing.T) {
	w := start(t)
	balancers := elb.NewFromConfig(w.Config())
	group, err := balancers.CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{Name: aws.String("web"), Protocol: elbtypes.ProtocolEnumHttp, TargetType: elbtypes.TargetTypeEnumIp, VpcId: aws.String("vpc-1")})
	if err != nil {
		t.Fatal(err)
	}
	arn := group.TargetGroups[0].TargetGroupArn
	port := freePort(t)
	d := w.define(t, "web", fargate(types.LaunchTypeFargate), w.script("app", fmt.Sprintf("mkdir /www; echo ok > /www/index.html; exec httpd -f -p %d -h /www", port), func(d *types.ContainerDefinition) {
		d.PortMappings = []types.PortMapping{{ContainerPort: &port}}
	}))
	deployment := w.serve(t, "web", d, 1, func(in *ecs.CreateServiceInput) {
		in.LaunchType, in.NetworkConfiguration = types.LaunchTypeFargate, vpc
		in.LoadBalancers = []types.LoadBalancer{{TargetGroupArn: arn, ContainerName: aws.String("app"), ContainerPort: &port}}
		in.HealthCheckGracePeriodSeconds = aws.Int32(300)
	})
	w.ends(t, deployment, types.ServiceDeploymentStatusSuccessful)
	health, err := balancers.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: arn})
	if err != nil {
		t.Fatal(err)
	}
	if len(health.TargetHealthDescriptions) != 1 || health.TargetHealthDescriptions[0].TargetHealth.State != elbtypes.TargetHealthStateEnumHealthy {
		t.Errorf("targets %+v", health.TargetHealthDescriptions)
	}
}

func freePort(t *testing.T) int32 {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}
