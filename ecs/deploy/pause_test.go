package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecslab"
)

// pausing is a service whose deployments pause once their tasks run.
func pausing(t *testing.T, w *ecslab.World, told *events) deploy.Revision {
	t.Helper()
	settings, err := deploy.ParseSettings([]byte(`{"desiredCount": 1, "deploymentConfiguration": {"strategy": "BLUE_GREEN", "lifecycleHooks": [
		{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"], "timeoutConfiguration": {"timeoutInMinutes": 600, "action": "ROLLBACK"}}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	in := request(register(t, w, "sleep 600", nil), told)
	in.Settings, in.OnPause = settings, deploy.PauseContinue
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	if n := w.Calls("ecs:ContinueServiceDeployment"); n != 1 || !told.have("paused at POST_SCALE_UP, to be continued or rolled back; from ") {
		t.Fatalf("%d calls; told\n%s", n, strings.Join(*told, "\n"))
	}
	return in.Revision
}

func TestPauseReturns(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	pausing(t, w, &told)
	if _, err := deploy.Continue(t.Context(), w.ECS, request(deploy.Revision{}, &told), deploy.PauseContinue); !errors.Is(err, deploy.ErrNotPaused) {
		t.Fatal(err)
	}

	second := register(t, w, "sleep 601", nil)
	in := request(second, &told)
	in.OnPause = deploy.PauseReturn
	result, err := deploy.Deploy(t.Context(), w.ECS, in)
	if err != nil || len(result.Pauses) != 1 || result.Pauses[0].Stage != types.ServiceDeploymentLifecycleStagePostScaleUp || result.Status != types.ServiceDeploymentStatusInProgress {
		t.Fatalf("%+v, %v", result, err)
	}

	dry := &deploy.Dry{Client: w.ECS}
	bare := request(deploy.Revision{}, &told)
	bare.NoWait = true
	w.ResetCounts()
	if _, err := deploy.Continue(t.Context(), dry, bare, deploy.PauseContinue); err != nil || len(dry.Calls) != 1 || dry.Calls[0].Operation != "ContinueServiceDeployment" ||
		!strings.Contains(string(dry.Calls[0].Input), `"action":"CONTINUE"`) || w.Calls("ecs:ContinueServiceDeployment") != 0 {
		t.Fatalf("%+v, %v", dry.Calls, err)
	}

	result, err = deploy.Continue(t.Context(), w.ECS, request(deploy.Revision{}, &told), deploy.PauseContinue)
	if err != nil || result.Status != types.ServiceDeploymentStatusSuccessful || runs(t, w) != second.ARN {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestPauseRollsBack(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	first := pausing(t, w, &told)
	in := request(register(t, w, "sleep 601", nil), &told)
	in.OnPause = deploy.PauseRollback
	if result, err := deploy.Deploy(t.Context(), w.ECS, in); !errors.Is(err, watch.ErrRolledBack) || !result.RolledBack || runs(t, w) != first.ARN {
		t.Errorf("%+v, %v", result, err)
	}
	in.OnPause, in.Revision = deploy.PauseReturn, register(t, w, "sleep 602", nil)
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	if result, err := deploy.Continue(t.Context(), w.ECS, in, deploy.PauseRollback); err != nil || result.Status != types.ServiceDeploymentStatusRollbackSuccessful || runs(t, w) != first.ARN {
		t.Errorf("%+v, %v", result, err)
	}
}
