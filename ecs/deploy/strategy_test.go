package deploy_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/test/ecslab"
)

// TestBlueGreen waits through the stages of a deployment that ECS makes beside
// the old one, to the end of its bake time.
func TestBlueGreen(t *testing.T) {
	w := ecslab.Start(t, lab)
	settings, err := deploy.ParseSettings([]byte(`{"desiredCount": 1, "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1}}`))
	if err != nil {
		t.Fatal(err)
	}
	var told events
	in := request(register(t, w, "sleep 600", nil), &told)
	in.Settings = settings
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	told = nil
	second := register(t, w, "sleep 601", nil)
	result, err := deploy.Deploy(t.Context(), w.ECS, request(second, &told))
	if err != nil || result.Status != types.ServiceDeploymentStatusSuccessful || runs(t, w) != second.ARN {
		t.Errorf("%+v, %v", result, err)
	}
	if !told.have("deployment: IN_PROGRESS, BAKE_TIME") {
		t.Errorf("the bake time is not in\n%s", strings.Join(told, "\n"))
	}
}
