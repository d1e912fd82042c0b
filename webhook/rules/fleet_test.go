package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/rules"
)

// set is a file of one set with these members beside those that it needs.
func set(members string) string {
	return "version: 1\nsets:\n- name: linux\n  owner: acme\n  subnets: [subnet-0a1b2c3d]\n  execution_role: arn:aws:iam::123456789012:role/clipper\n" + members
}

// TestFleet: what is left open has its default, and the rest goes to the task.
func TestFleet(t *testing.T) {
	f, problems := rules.ParseFleet([]byte(set("  env: { TZ: UTC }\n  cpu: 1024\n  min: 1\n")))
	if problems != nil {
		t.Fatal(problems)
	}
	s := f.Sets[0]
	if !slices.Equal(s.Labels, []string{"linux"}) || s.Mode != rules.ScaleSet || s.Group != rules.DefaultGroup || s.Min != 1 || s.Max != 10 || s.Memory != 2048 {
		t.Errorf("%+v", s)
	}
	task := s.Task()
	if task.Image != "ghcr.io/actions/actions-runner:latest" || !slices.Equal(task.Command, []string{"/home/runner/run.sh"}) || task.Env["TZ"] != "UTC" ||
		task.Timeout != rules.Duration(24*time.Hour) || task.Place.Cluster != "default" || task.Place.LogGroup != "/clipper/runners" || task.Disk != 20 {
		t.Errorf("%+v", task)
	}
}

// TestFleetProblems: what is wrong is told where it is.
func TestFleetProblems(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "1:1: it is empty"},
		{"version: 1\n", "1:1: it has no sets"},
		{"version: 1\nsets: []\n", "2:7: sets: it has 0 values"},
		{set("  lables: [a]\n"), "7:3: sets[0].lables: there is no such member; did you mean labels?"},
		{set("  mode: webhook\n"), `7:9: sets[0].mode: "webhook" is none of scaleset and jit`},
		{set("  max: 2\n  min: 3\n"), "8:8: sets[0].min: it is more than max, which is 2"},
		{set("  max: 2\n  idle: 3\n"), "8:9: sets[0].idle: it is more than max, which is 2"},
		{set("  cpu: 256\n  memory: 16384\n"), "8:11: sets[0].memory: "},
		{set("  image: A B\n"), "7:10: sets[0].image: "},
		{set("  env: { ACTIONS_RUNNER_INPUT_JITCONFIG: x }\n"), "7:42: sets[0].env.ACTIONS_RUNNER_INPUT_JITCONFIG: it is set by the service"},
		{strings.Replace(set("  group: fast\n"), "owner: acme", "owner: acme/app", 1), "7:10: sets[0].group: a repository has no runner groups"},
		{strings.Replace(set(""), "owner: acme", "owner: acme/app/x", 1), `4:10: sets[0].owner: "acme/app/x" is no organisation`},
		{strings.Replace(set(""), "name: linux", "name: Linux", 1), `3:9: sets[0].name: "Linux" is no name`},
		{set("") + strings.TrimPrefix(set(""), "version: 1\nsets:\n"), "7:9: sets[1].name: another set of acme is called so, too"},
	} {
		_, problems := rules.ParseFleet([]byte(test.text))
		if got := problems.Error(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s\nproblems: %s\nwant %s", test.text, got, test.want)
		}
	}
}
