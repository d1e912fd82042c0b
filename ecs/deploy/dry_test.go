package deploy_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecslab"
)

// TestDry holds what a dry run tells against what a real one calls.
func TestDry(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	in := request(deploy.Revision{}, &told)
	in.Definition, in.NoWait = ecslab.Definition(t, "web", w.Script("app", "sleep 600", nil)), true
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); !errors.Is(err, deploy.ErrService) || w.Calls("ecs:RegisterTaskDefinition") != 0 {
		t.Errorf("a service that cannot be created: %v, %v", err, w.Counts())
	}
	in.Settings = one(t, 0)
	for _, wanted := range [][]string{{"RegisterTaskDefinition", "CreateService"}, {"UpdateService"}} {
		dry := &deploy.Dry{Client: w.ECS}
		w.ResetCounts()
		if _, err := deploy.Deploy(t.Context(), dry, in); !errors.Is(err, deploy.ErrDry) {
			t.Fatal(err)
		}
		if changed := changes(w); len(changed) > 0 {
			t.Errorf("a dry run called %q", changed)
		}
		var operations []string
		for _, call := range dry.Calls {
			operations = append(operations, call.Operation)
			if !strings.Contains(string(call.Input), "web") {
				t.Errorf("%s %s", call.Operation, call.Input)
			}
		}
		w.ResetCounts()
		if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
			t.Fatal(err)
		}
		slices.Sort(operations)
		slices.Sort(wanted)
		if changed := changes(w); !slices.Equal(changed, operations) || !slices.Equal(changed, wanted) {
			t.Errorf("called %q, dry %q, want %q", changed, operations, wanted)
		}
	}
	dry := &deploy.Dry{Client: w.ECS}
	if _, err := deploy.Rollback(t.Context(), dry, in); !errors.Is(err, deploy.ErrDry) || len(dry.Calls) != 1 || dry.Calls[0].Operation != "StopServiceDeployment" {
		t.Errorf("roll-back of a deployment in progress: %v, %+v", err, dry.Calls)
	}
	in.NoWait, in.Definition = false, ecslab.Definition(t, "web", w.Script("app", "sleep 601", nil))
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	dry = &deploy.Dry{Client: w.ECS}
	if _, err := deploy.Rollback(t.Context(), dry, in); !errors.Is(err, deploy.ErrNoPrevious) || len(dry.Calls) > 0 {
		t.Errorf("roll-back without a deployment before: %v, %+v", err, dry.Calls)
	}
}

// changes are the calls that were made and change something, each once.
func changes(w *ecslab.World) []string {
	var found []string
	for _, call := range slices.Sorted(maps.Keys(w.Counts())) {
		name := strings.TrimPrefix(call, "ecs:")
		if !strings.HasPrefix(name, "Describe") && !strings.HasPrefix(name, "List") {
			found = append(found, name)
		}
	}
	return found
}

// TestCalls counts: what changes something is called once, and the rest as
// often as the pace says.
func TestCalls(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	serve(t, w, &told, 0)
	rounds := 1 // the last has no wait behind it
	in := request(deploy.Revision{}, &told)
	in.Definition = ecslab.Definition(t, "web", w.Script("app", "sleep 601", nil))
	in.Pace = watch.Pace{First: 100 * time.Millisecond, Most: 100 * time.Millisecond, Rand: func() float64 { rounds++; return 0.5 }}
	w.ResetCounts()
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	got := w.Counts()
	for call, most := range map[string]int{"ecs:ListTasks": 2 * rounds, "ecs:DescribeTasks": rounds} {
		if got[call] > most {
			t.Errorf("%s: %d calls in %d rounds", call, got[call], rounds)
		}
		delete(got, call)
	}
	want := map[string]int{
		"ecs:DescribeServices": 1 + rounds, "ecs:DescribeServiceDeployments": rounds,
		"ecs:DescribeTaskDefinition": 1, // the family's newest, which is what the service has
		"ecs:RegisterTaskDefinition": 1, "ecs:UpdateService": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
