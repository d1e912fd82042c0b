package rules_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

func read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parse(t testing.TB, text string) *rules.Config {
	t.Helper()
	c, problems := rules.ParseConfig([]byte(text))
	if problems != nil {
		t.Fatalf("%v\n%s", problems, text)
	}
	return c
}

// rule is a configuration of one rule with these members.
func rule(members string) string {
	return "version: 1\nrules:\n- id: r\n" + members + "\n"
}

const (
	onPush = "  on: { push: }\n"
	runCI  = "  run: { ecs: { image: ghcr.io/acme/ci } }\n"
)

func TestParseConfig(t *testing.T) {
	c := parse(t, string(read(t, "testdata/clipper.yml")))
	if len(c.Rules) != 3 || len(c.Runners) != 1 {
		t.Fatalf("%d rules, %d runners", len(c.Rules), len(c.Runners))
	}
	itest, bench := c.Rules[0], c.Rules[2]
	if itest.Run.ECS.Timeout != rules.Duration(30*time.Minute) || itest.Run.ECS.Services["db"].Env["POSTGRES_PASSWORD"].String() != "test" {
		t.Errorf("itest: %+v", itest.Run.ECS)
	}
	// What is left open has its default.
	if bench.Forks != rules.Approve || bench.Run.ECS.CPU != 1024 || bench.Run.ECS.Memory != 2048 || bench.Run.ECS.Cluster != "default" || bench.Run.ECS.Arch != "amd64" {
		t.Errorf("bench: %+v", bench)
	}
}

// TestProblems: what is wrong with a configuration is told where it is.
func TestProblems(t *testing.T) {
	for _, tt := range []struct{ name, config, want string }{
		{"nothing", "", "1:1: it is empty"},
		{"a comment", "# nothing\n", "1:1: it is empty"},
		{"no YAML", "version: 1\nrules: [\n", "it is no YAML"},
		{"two documents", "version: 1\n---\nversion: 1\n", "1:1: it has more than one document"},
		{"too large", "version: 1\n#" + strings.Repeat("x", 64<<10), "1:1: it is larger than 64 KB"},
		{"a list", "- version: 1\n", "1:1: it is no object"},
		{"no version", "rules: []\n", "1:1: it has no version; add it"},
		{"another version", "version: 2\n", "1:10: version: 2 is not between 1 and 1"},
		{"a version in words", "version: one\n", "1:10: version: it is no whole number"},
		{"an unknown member", "version: 1\nrule: []\n", "2:1: rule: there is no such member; did you mean rules?"},
		{"another unknown member", "version: 1\njobs: []\n", "2:1: jobs: there is no such member; it has version, rules and runners"},
		{"a member twice", "version: 1\nversion: 1\n", "2:1: version: it comes twice"},
		{"merged members", "version: 1\n<<: {}\n", "2:1: a member's name is a plain string here"},
		{"too many rules", "version: 1\nrules: [" + strings.Repeat("{id: a},", 101) + "]\n", "2:8: rules: it has 101 values; give 0 to 100"},
		{"no id", "version: 1\nrules:\n- on: { push: }\n" + runCI, "3:3: rules[0]: it has no id"},
		{"an id with a space", rule(onPush + runCI + "- id: a b\n" + onPush + runCI), `6:7: rules[1].id: "a b" is no name of at most 63`},
		{"an id twice", rule(onPush + runCI + "- id: r\n" + onPush + runCI), `6:7: rules[1].id: "r" is the id of another rule, too`},
		{"an id that is a number", rule(onPush + runCI + "- id: 7\n" + onPush + runCI), `6:7: rules[1].id: it is no string`},
		{"no event", rule(runCI), "3:3: rules[0]: it has no on"},
		{"no event in on", rule("  on: {}\n" + runCI), "4:7: rules[0].on: it has 0 members; name an event"},
		{"an unknown event", rule("  on: { pull_requests: }\n" + runCI), "4:9: rules[0].on.pull_requests: there is no such member; did you mean pull_request?"},
		{"an unknown type", rule("  on: { pull_request: { types: [oppened] } }\n" + runCI), `4:33: rules[0].on.pull_request.types[0]: "oppened" is none of opened, `},
		{"types that are no list", rule("  on: { pull_request: { types: opened } }\n" + runCI), "4:32: rules[0].on.pull_request.types: it is no list"},
		{"a pattern of nots", rule("  on: { push: { branches: [\"!main\"] } }\n" + runCI), "4:27: rules[0].on.push.branches: it has patterns with ! alone"},
		{"a bad pattern", rule("  on: { push: { branches: [\"a[\"] } }\n" + runCI), `4:28: rules[0].on.push.branches[0]: the pattern "a[" has a [ without its ]`},
		{"a name that is a not", rule("  on: { registry_package: { name: \"!a\" } }\n" + runCI), "rules[0].on.registry_package.name: it has a pattern with ! alone"},
		{"a name that is null", rule("  on: { registry_package: { name: } }\n" + runCI), "rules[0].on.registry_package.name: it is no string"},
		{"a comment without a command", rule("  on: { comment: }\n" + runCI), "4:18: rules[0].on.comment: it has no command"},
		{"a command in words", rule("  on: { comment: { command: bench } }\n" + runCI), `"bench" is no command, as in /bench`},
		{"a permission", rule("  on: { comment: { command: /x, require: read } }\n" + runCI), `"read" is none of write, maintain and admin`},
		{"a schedule", rule("  on: { schedule: { cron: \"* * * * *\" } }\n" + runCI), "rules[0].on.schedule.cron: it is due every 1 minutes"},
		{"a zone", rule("  on: { schedule: { cron: \"@daily\", tz: Berlin } }\n" + runCI), "rules[0].on.schedule.tz: there is no such time zone"},
		{"nothing to run", rule(onPush), "3:3: rules[0]: it has no run"},
		{"two things to run", rule(onPush + "  run: { ecs: { image: a }, workflow: { file: a.yml } }"), "5:8: rules[0].run: it has 2 members; give one of ecs, workflow and dispatch"},
		{"no image", rule(onPush + "  run: { ecs: }"), "5:15: rules[0].run.ecs: it has no image"},
		{"an image in capitals", rule(onPush + "  run: { ecs: { image: A/B } }"), "5:24: rules[0].run.ecs.image:"},
		{"a size that Fargate has not", rule(onPush + "  run: { ecs: { image: a, cpu: 2048, memory: 2048 } }"), "rules[0].run.ecs.memory: Fargate has no task of 2048 CPU units and 2048 MiB; choose a pair"},
		{"a timeout", rule(onPush + "  run: { ecs: { image: a, timeout: 30 } }"), "rules[0].run.ecs.timeout: it is no string"},
		{"a timeout without end", rule(onPush + "  run: { ecs: { image: a, timeout: 1000h } }"), "rules[0].run.ecs.timeout: it is no time span"},
		{"the runner's variables", rule(onPush + "  run: { ecs: { image: a, env: { CLIPPER_STORE: none } } }"), "rules[0].run.ecs.env.CLIPPER_STORE: variables of this name"},
		{"a variable with a dash", rule(onPush + "  run: { ecs: { image: a, env: { A-B: c } } }"), "rules[0].run.ecs.env.A-B: it is no name of a variable"},
		{"a variable that is null", rule(onPush + "  run: { ecs: { image: a, env: { A: } } }"), "rules[0].run.ecs.env.A: it is no string"},
		{"a relative directory", rule(onPush + "  run: { ecs: { image: a, workdir: src } }"), "rules[0].run.ecs.workdir: it is not absolute"},
		{"a secret twice", rule(onPush + "  run: { ecs: { image: a, secrets: [b, b] } }"), "rules[0].run.ecs.secrets[1]: it comes twice"},
		{"a service on localhost", rule(onPush + "  run: { ecs: { image: a, services: { localhost: { image: b } } } }"), "localhost is every container's own name"},
		{"ten services", rule(onPush + "  run: { ecs: { image: a, env: &e {}, services: { " + services(10) + " } } }"), "rules[0].run.ecs.services: it has 10 members; give at most 9"},
		{"no room for the run's own member", rule(onPush + "  run: { dispatch: { type: a, payload: { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1 } } }"), "rules[0].run.dispatch.payload: it has 10 members; give at most 9"},
		{"a workflow elsewhere", rule(onPush + "  run: { workflow: { file: ../a.yml } }"), `"../a.yml" is no file of .github/workflows`},
		{"an unprivileged workflow", rule(onPush + "  run: { workflow: { file: a.yml } }\n  forks: unprivileged"), "6:10: rules[0].forks: only tasks can run unprivileged"},
		{"a group of one", rule(onPush + runCI + "  concurrency: { group: \"${{ run.id }}\" }"), "rules[0].concurrency.group: with run.id, every run is alone"},
		{"a comment on nothing", rule(onPush + runCI + "  report: { comment: sticky }"), "rules[0].report.comment: no event of the rule has a pull request"},
		{"an environment without a name", rule(onPush + runCI + "  report: { deployment: }"), "rules[0].report.deployment: it has no environment"},
		{"text for a truth", rule(onPush + runCI + "  disabled: yes"), "6:13: rules[0].disabled: it is neither true nor false"},
		{"runners twice", "version: 1\nrunners:\n- { labels: [a], ecs: { image: b } }\n- { labels: [a], ecs: { image: b } }\n", "4:13: runners[1].labels: other runners have the same"},
		{"idle runners", "version: 1\nrunners:\n- { labels: [a], ecs: { image: b, max: 1, min_idle: 2 } }\n", "runners[0].ecs.min_idle: it is more than max"},
		{"control characters", rule(onPush + "  run: { ecs: { image: a, command: [\"\\e[2J\"] } }"), "rules[0].run.ecs.command[0]: it has control characters"},
		{"an alias of itself", "version: 1\nrules: &a [*a]\n", "2:12: rules[0]: it is no object"},
		{"a bomb", "version: 1\nrules:\n" + bomb(), "it has more than 20000 values"},
	} {
		c, problems := rules.ParseConfig([]byte(tt.config))
		if c != nil || !strings.Contains(problems.Error(), tt.want) {
			t.Errorf("%s: %v\n\twant %s", tt.name, problems, tt.want)
		}
	}
}

// bomb is 10 KB that stand for 36,000 values.
func bomb() string {
	var vars strings.Builder
	for i := range 900 {
		fmt.Fprintf(&vars, "A%d: b, ", i)
	}
	return "- { id: a, run: { ecs: { image: b, env: &e { " + vars.String() + " }, services: { " + services(40) + " } } } }\n"
}

// services are some with the variables of e.
func services(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "s%d: { image: b, env: *e }, ", i)
	}
	return b.String()
}

// TestAliases: those that are used in measure are what they stand for.
func TestAliases(t *testing.T) {
	c := parse(t, rule("  on: { push: { branches: &main [main] }, merge_group: { branches: *main } }\n"+runCI))
	if got := c.Rules[0].On.MergeGroup.Branches.String(); got != "main" {
		t.Errorf("branches %s", got)
	}
}

// TestProblemsAreBounded: a check run takes 50 annotations.
func TestProblemsAreBounded(t *testing.T) {
	_, problems := rules.ParseConfig([]byte("version: 1\nrules:\n" + strings.Repeat("- {}\n", 90)))
	if len(problems) != 50 {
		t.Errorf("%d problems", len(problems))
	}
	for i := 1; i < len(problems); i++ {
		if problems[i].Line < problems[i-1].Line {
			t.Errorf("problem %d is on line %d, after one on line %d", i, problems[i].Line, problems[i-1].Line)
		}
	}
}

func TestMerge(t *testing.T) {
	organisation := parse(t, "version: 1\nrules:\n- { id: a, on: { push: }, run: { ecs: { image: a } } }\n- { id: b, on: { push: }, run: { ecs: { image: a } } }\nrunners:\n- { labels: [x], ecs: { image: a } }\n")
	repository := parse(t, "version: 1\nrules:\n- { id: b, disabled: true }\n- { id: c, on: { push: }, run: { ecs: { image: c } } }\nrunners:\n- { labels: [x], ecs: { image: c } }\n")
	merged := rules.Merge(organisation, repository)
	var got []string
	for _, r := range merged.Rules {
		got = append(got, fmt.Sprint(r.ID, " ", r.Disabled))
	}
	if want := []string{"a false", "b true", "c false"}; !reflect.DeepEqual(got, want) {
		t.Errorf("rules %q, want %q", got, want)
	}
	if len(merged.Runners) != 1 || merged.Runners[0].ECS.Image != "c" {
		t.Errorf("runners %+v", merged.Runners)
	}
	if organisation.Rules[1].Disabled || len(rules.Merge(nil, nil).Rules) != 0 || len(rules.Merge(organisation, nil).Rules) != 2 {
		t.Error("merging changes what is merged, or needs both")
	}
}

// TestSchema holds the published schema against the parser, with a validator
// that knows neither: it takes what the parser takes, and no form that the
// parser does not.
func TestSchema(t *testing.T) {
	schema := openSchema(t, rules.Schema)
	policy := openSchema(t, rules.PolicySchema)
	if err := valid(t, schema, string(read(t, "testdata/clipper.yml"))); err != nil {
		t.Error(err)
	}
	if err := valid(t, policy, string(read(t, "testdata/policy.yml"))); err != nil {
		t.Error(err)
	}
	runners := openSchema(t, rules.FleetSchema)
	if err := valid(t, runners, string(read(t, "testdata/runners.yml"))); err != nil {
		t.Error(err)
	}
	if _, problems := rules.ParseFleet(read(t, "testdata/runners.yml")); problems != nil {
		t.Error(problems)
	}
	good := rule("  on: { push: , pull_request: { drafts: false }, schedule: { cron: \"@daily\" } }\n  run: { ecs: { image: a, env: { A: 5, B: true }, timeout: 90s } }\n  retries: 2")
	if err := valid(t, schema, good); err != nil {
		t.Error(err)
	}
	parse(t, good)
	for _, bad := range []string{
		"version: 2\n", "version: 1\njobs: []\n", "rules: []\n",
		rule("  on: {}\n" + runCI), rule("  on: { pushed: }\n" + runCI), rule("  on: { pull_request: { types: [] } }\n" + runCI),
		rule("  on: { pull_request: { types: [oppened] } }\n" + runCI), rule("  on: { comment: { command: bench } }\n" + runCI),
		rule(onPush + "  run: {}"), rule(onPush + "  run: { ecs: { image: a }, workflow: { file: a.yml } }"),
		rule(onPush + "  run: { workflow: { file: a.sh } }"), rule(onPush + "  run: { ecs: { image: a, timeout: 30 } }"),
		rule(onPush + "  run: { ecs: { image: a, cpu: 1 } }"), rule(onPush + "  run: { ecs: { image: a, secrets: [A] } }"),
		rule(onPush + runCI + "  retries: 6"), rule(onPush + runCI + "  disabled: 1"), rule(onPush + runCI + "  report: { check: 5 }"),
		"version: 1\nrunners:\n- { labels: [], ecs: { image: b } }\n",
	} {
		if _, problems := rules.ParseConfig([]byte(bad)); problems == nil {
			t.Errorf("the parser takes\n%s", bad)
		}
		if valid(t, schema, bad) == nil {
			t.Errorf("the schema takes\n%s", bad)
		}
	}
}

func openSchema(t *testing.T, text []byte) *openapi3.Schema {
	t.Helper()
	s := new(openapi3.Schema)
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *openapi3.Schema, text string) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &value); err != nil {
		t.Fatal(err)
	}
	return s.VisitJSON(value)
}

func FuzzParseConfig(f *testing.F) {
	f.Add(read(f, "testdata/clipper.yml"))
	f.Add(read(f, "testdata/policy.yml"))
	f.Add(read(f, "testdata/runners.yml"))
	f.Add([]byte("version: 1\nrules: &a [*a]\n"))
	f.Add([]byte(rule("  on: { schedule: { cron: \"*/7 0-5,9 1 jan sun\" } }\n" + runCI)))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, problems := rules.ParseConfig(text)
		if (c == nil) == (problems == nil) {
			t.Errorf("a configuration %t, %d problems", c != nil, len(problems))
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 {
				t.Errorf("a problem nowhere: %+v", p)
			}
		}
		rules.ParsePolicy(text)
		rules.ParseFleet(text)
	})
}
