package rules_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/rules"
)

// TestSpot: a task is on spot capacity if its rule lets it, except in a place
// of the operator's that has none.
func TestSpot(t *testing.T) {
	for _, tt := range []struct {
		ecs  string
		want bool
	}{
		{"spot: true", true},
		{"spot: false", false},
		{"cpu: 1024", false},
		{"spot: true, cluster: forks", false}, // on_demand
	} {
		c := parse(t, rule(onPush+"  run: { ecs: { image: ghcr.io/acme/ci, "+tt.ecs+" } }"))
		e, facts := newEvent("push", edits(pushed("refs/heads/main")))
		d := rules.Decide(c, policy(t), e, facts)[0]
		if d.Outcome != rules.Starts {
			t.Fatalf("%s: %s %v", tt.ecs, d.Outcome, d.Steps)
		}
		if got := job(t, d.Run).ECS.Spot; got != tt.want || strings.Contains(string(d.Run.Job), `"spot":true`) != tt.want {
			t.Errorf("%s: spot is %v, want %v: %s", tt.ecs, got, tt.want, d.Run.Job)
		}
	}
}
