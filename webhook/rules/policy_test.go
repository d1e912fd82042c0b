package rules_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/rules"
)

func TestPolicyProblems(t *testing.T) {
	for _, tt := range []struct{ name, policy, want string }{
		{"no repositories", "version: 1\n", "1:1: it has no repositories"},
		{"no repository", "version: 1\nrepositories: []\n", "2:15: repositories: it has 0 values; give 1 to 100"},
		{"all but one", "version: 1\nrepositories: [\"!acme/a\"]\n", "2:15: repositories: it has patterns with ! alone"},
		{"no cluster for forks", "version: 1\nrepositories: [a/b]\nforks: unprivileged\n", "3:8: forks: there is no cluster for code from forks"},
		{"a role that is no ARN", "version: 1\nrepositories: [a/b]\nroles: { a: { arn: admin, repositories: [a/b] } }\n", `3:20: roles.a.arn: "admin" is no ARN`},
		{"a secret for nobody", "version: 1\nrepositories: [a/b]\nsecrets: { a: { arn: \"arn:aws:ssm:eu-west-1:1:parameter/a\" } }\n", "3:15: secrets.a: it has no repositories"},
		{"a secret for the runner", "version: 1\nrepositories: [a/b]\nsecrets: { a: { env: CLIPPER_MAGIC_IMAGE, arn: \"arn:aws:ssm:eu-west-1:1:parameter/a\", repositories: [a/b] } }\n", "secrets.a.env: CLIPPER_MAGIC_IMAGE cannot be the name"},
		{"a secret without a variable", "version: 1\nrepositories: [a/b]\nsecrets: { 9a: { arn: \"arn:aws:ssm:eu-west-1:1:parameter/a\", repositories: [a/b] } }\n", "secrets.9a.env: 9A cannot be the name"},
		{"a subnet", "version: 1\nrepositories: [a/b]\nclusters: { default: { cluster: a, execution_role: \"arn:aws:iam::1:role/a\", subnets: [a] } }\n", `"a" is no subnet`},
	} {
		p, problems := rules.ParsePolicy([]byte(tt.policy))
		if p != nil || !strings.Contains(problems.Error(), tt.want) {
			t.Errorf("%s: %v\n\twant %s", tt.name, problems, tt.want)
		}
	}
}

// TestMinimalPolicy: what is not named is not allowed.
func TestMinimalPolicy(t *testing.T) {
	p, problems := rules.ParsePolicy([]byte("version: 1\nrepositories: [acme/app]\n"))
	if problems != nil {
		t.Fatal(problems)
	}
	c := parse(t, string(read(t, "testdata/clipper.yml")))
	e, facts := newEvent("pull_request", edits(pull("opened"), paths("a.go")))
	if d := rules.Decide(c, p, e, facts)[0]; d.Outcome != rules.Refused {
		t.Errorf("%s: %v", d.Outcome, d.Steps)
	}
	if p.HasRunners("acme/app") || p.Workflows || p.Forks != rules.Approve || p.Serves("acme/app2") {
		t.Errorf("the policy is %+v", p)
	}
}

func TestRunnerTask(t *testing.T) {
	p := policy(t)
	runner := rules.Runner{Labels: []string{"clipper"}, ECS: rules.RunnerECS{Image: "ghcr.io/acme/runner:1", CPU: 1024, Memory: 2048, Arch: "arm64", Spot: true, Max: 50}}
	task, most, err := p.RunnerTask(&runner, "acme/app")
	if err != nil || most != 20 || task.Image != "ghcr.io/acme/runner:1" || task.Place.Cluster != "ci" || !task.Spot || task.Arch != "arm64" {
		t.Errorf("%+v, at most %d: %v", task, most, err)
	}
	if _, _, err := p.RunnerTask(&runner, "acme/web"); err == nil || !strings.Contains(err.Error(), "has no runners for acme/web") {
		t.Errorf("runners for acme/web: %v", err)
	}
	runner.ECS.Image = "ghcr.io/other/runner"
	if _, _, err := p.RunnerTask(&runner, "acme/app"); err == nil || !strings.Contains(err.Error(), "runners clipper: the operator's policy lets no task run images of ghcr.io/other/runner") {
		t.Errorf("another image: %v", err)
	}
}

// TestOpenPolicy: nothing is refused that a configuration can ask for.
func TestOpenPolicy(t *testing.T) {
	c := parse(t, rule(onPush+"  run: { ecs: { image: a, cluster: b, role: c, secrets: [d-e], cpu: 16384, memory: 122880, disk: 200, timeout: 168h, services: { x: { image: y } } } }\n- id: w\n"+onPush+"  run: { workflow: { file: a.yml } }"))
	e, facts := newEvent("push", edits(pushed("refs/heads/main"), in("any/one")))
	for _, d := range rules.Decide(c, rules.OpenPolicy(c), e, facts) {
		if d.Outcome != rules.Starts {
			t.Errorf("%s: %s %v", d.Rule, d.Outcome, d.Steps)
		}
	}
}
