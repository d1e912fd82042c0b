package rules_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/test/awssdk"
)

// onFargate and onEC2 are definitions that break no rule.
const (
	onFargate = `{"family": "shop", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
		"executionRoleArn": "arn:aws:iam::111122223333:role/ecs", "containerDefinitions": [{"name": "web", "image": "acme/web:1"}]}`
	onEC2 = `{"family": "shop", "containerDefinitions": [{"name": "web", "image": "acme/web:1", "memory": 128}]}`
)

// edit is a definition, told by what is different from one of those above:
// members of the task and of its first container; null takes one away.
type edit struct {
	base, task, container string
}

func (e edit) definition(t *testing.T) *ecs.Definition {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(e.base), &root); err != nil {
		t.Fatal(err)
	}
	merge(t, root, e.task)
	if e.container != "" {
		merge(t, root["containerDefinitions"].([]any)[0].(map[string]any), e.container)
	}
	text, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	def, err := ecs.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func merge(t *testing.T, into map[string]any, text string) {
	t.Helper()
	var members map[string]any
	if text == "" {
		return
	}
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for name, value := range members {
		if value == nil {
			delete(into, name)
			continue
		}
		into[name] = value
	}
}

// fargate, ec2 and task are edits of a container on Fargate, on EC2, and of a
// task on Fargate.
func fargate(container string) edit { return edit{onFargate, "", container} }
func ec2(container string) edit     { return edit{onEC2, "", container} }
func task(members string) edit      { return edit{onFargate, members, ""} }

// breach is a definition that breaks a rule at a path, beside one that is as
// near as can be and does not.
type breach struct {
	rule, path string
	bad, good  edit
}

func breaches() []breach { return slices.Concat(taskBreaches, containerBreaches, restBreaches) }

// TestRules: every rule is broken by one definition, at the path that is told,
// and not by its neighbour, which breaks no other rule either.
func TestRules(t *testing.T) {
	for _, b := range breaches() {
		t.Run(b.rule, func(t *testing.T) {
			found := rules.Check(b.bad.definition(t))
			if !slices.ContainsFunc(found, func(f rules.Finding) bool { return f.Rule == b.rule && f.Path == b.path }) {
				t.Errorf("nobody found it at %s: %v", b.path, found)
			}
			if found := rules.Check(b.good.definition(t)); rules.Worst(found) == rules.Error || slices.ContainsFunc(found, func(f rules.Finding) bool { return f.Rule == b.rule }) {
				t.Errorf("the good one is bad: %v", found)
			}
		})
	}
}

// TestTable: a rule says where it is written, what to do, and is broken by a
// test.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules.Table() {
		if seen[r.ID] {
			t.Errorf("two rules are called %s", r.ID)
		}
		seen[r.ID] = true
		complete(t, r)
		if !slices.ContainsFunc(breaches(), func(b breach) bool { return b.rule == r.ID }) {
			t.Errorf("no test breaks %s", r.ID)
		}
	}
	for _, r := range rules.RenderTable() {
		complete(t, r)
		if seen[r.ID] {
			t.Errorf("%s is a rule of Render's, too", r.ID)
		}
	}
}

func complete(t *testing.T, r rules.Rule) {
	t.Helper()
	if !strings.HasPrefix(r.Doc, "https://docs.aws.amazon.com/") || r.Quote == "" || r.Remedy == "" || r.Severity == "" || r.Stage == "" {
		t.Errorf("%s is not complete: %+v", r.ID, r)
	}
}

// TestQuotes holds what is quoted of the API reference against the SDK's
// comments, which are its text.
func TestQuotes(t *testing.T) {
	sdk := awssdk.Service(t, "ecs")
	var text strings.Builder
	for _, file := range []string{"types/types.go", "api_op_RegisterTaskDefinition.go"} {
		for line := range strings.Lines(string(sdk.Read(t, file))) {
			text.WriteString(strings.TrimPrefix(strings.TrimSpace(line), "//") + " ")
		}
	}
	reference := plain(text.String())
	checked := 0
	for _, r := range slices.Concat(rules.Table(), rules.RenderTable()) {
		if !strings.Contains(r.Doc, "/APIReference/") || r.Quote == "The request accepts the following data in JSON format." {
			continue
		}
		checked++
		if !strings.Contains(reference, plain(r.Quote)) {
			t.Errorf("%s: the reference does not say %q", r.ID, r.Quote)
		}
	}
	if checked < 50 {
		t.Errorf("only %d quotes were checked", checked)
	}
}

// plain is text without links, bullets and line breaks.
func plain(text string) string {
	text = strings.Join(strings.Fields(strings.NewReplacer("[", " ", "]", " ").Replace(text)), " ")
	return strings.NewReplacer(" .", ".", " ,", ",", "- ", "").Replace(text)
}

// mistakes are those of the goldens that are about them.
var mistakes = map[string][]string{
	"ecspresso.txtar":     {"unknown-member"},
	"legacy-bridge.txtar": {"execution-role"},
	"unknown.txtar":       {"unknown-member", "member-type"},
}

// TestGoldens: what Render makes of ordinary definitions breaks no rule.
func TestGoldens(t *testing.T) {
	for name, archive := range goldens(t) {
		text := section(archive, "rendered.json")
		if text == nil {
			continue // refused
		}
		def, err := ecs.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range rules.Check(def) {
			if finding.Severity == rules.Error && !slices.Contains(mistakes[name], finding.Rule) {
				t.Errorf("%s: %s", name, finding)
			}
		}
	}
}

// TestNoValue: whatever is wrong with a definition, no finding shows what may be
// a secret: values of variables, commands, options of log drivers.
func TestNoValue(t *testing.T) {
	const canary = "c4n4ry"
	for _, b := range breaches() {
		def := b.bad.definition(t)
		for _, c := range def.Containers() {
			variable := ecs.NewObject(ecs.Member{Name: "name", Value: "PASSWORD"}, ecs.Member{Name: "value", Value: canary})
			c.Set("environment", append(c.List("environment"), variable, variable))
			c.Set("command", append(c.List("command"), canary))
			c.Set("entryPoint", append(c.List("entryPoint"), canary))
			if options := c.Object.Object("logConfiguration").Object("options"); options != nil {
				options.Set("splunk-token", canary)
			}
			if check := c.Object.Object("healthCheck"); check != nil {
				check.Set("command", append(check.List("command"), canary))
			}
		}
		found := rules.Check(def)
		stale, err := rules.Rendered(t.Context(), def, ecs.Options{})
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", b.rule, found, err)
		}
		for _, f := range append(found, stale...) {
			if strings.Contains(f.String()+f.Message()+f.Remedy, canary) {
				t.Errorf("%s shows a value: %s", b.rule, f)
			}
		}
	}
}

// TestRefusals: what ECS takes is not refused, however badly it will run.
func TestRefusals(t *testing.T) {
	if found := rules.Refusals(fargate(`{"secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a:b"}]}`).definition(t)); len(found) > 0 {
		t.Errorf("refused: %v", found)
	}
	found := rules.Refusals(fargate(`{"secrets": [{"name": "A", "valueFrom": "a"}], "environment": [{"name": "A", "value": "b"}]}`).definition(t))
	if len(found) != 1 || !strings.HasPrefix(found[0].Message(), "The secret name must be unique and not shared") {
		t.Errorf("%v", found)
	}
}
