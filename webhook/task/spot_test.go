package task_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/webhook/task"
)

// asked keeps what ECS was asked to run.
type asked struct {
	task.Client
	in []*awsecs.RunTaskInput
}

func (a *asked) RunTask(ctx context.Context, in *awsecs.RunTaskInput, options ...func(*awsecs.Options)) (*awsecs.RunTaskOutput, error) {
	a.in = append(a.in, in)
	return a.Client.RunTask(ctx, in, options...)
}

// TestSpot: spot capacity is asked for as a capacity provider, and otherwise
// Fargate's own; ECS takes one of the two.
func TestSpot(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		spot     bool
		launch   types.LaunchType
		strategy []types.CapacityProviderStrategyItem
	}{
		{false, types.LaunchTypeFargate, nil},
		{true, "", []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 1}}},
	} {
		ecs := &asked{Client: w.World.ECS}
		w.Tasks.ECS = func(string) task.Client { return ecs }
		j := task.Of(run(fmt.Sprint("spot-", tt.spot)), w.task("true"))
		j.Spot = tt.spot
		w.start(t, j)
		if in := ecs.in[0]; in.LaunchType != tt.launch || !reflect.DeepEqual(in.CapacityProviderStrategy, tt.strategy) {
			t.Errorf("spot %v: ECS was asked for %q and %v", tt.spot, in.LaunchType, in.CapacityProviderStrategy)
		}
	}
}
