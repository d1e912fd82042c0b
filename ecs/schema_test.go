package ecs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/test/awssdk"
)

// members lists every member beneath a shape of the SDK with the kind that it
// is in the table.
func members(s *smithy.Schema, path string, found map[string]string) {
	for name, member := range s.Members() {
		at := name
		if path != "" {
			at = path + "." + name
		}
		found[at] = kindOf(member, at, found)
	}
}

func kindOf(s *smithy.Schema, path string, found map[string]string) string {
	switch s.Type() {
	case smithy.ShapeTypeStructure, smithy.ShapeTypeUnion:
		members(s, path, found)
		return "an object"
	case smithy.ShapeTypeList:
		if inner := kindOf(s.ListMember(), path+"[]", found); inner != "an object" {
			return "a list of " + strings.TrimPrefix(strings.TrimPrefix(inner, "a "), "an ") + "s"
		}
		return "a list of objects"
	case smithy.ShapeTypeMap:
		return "an object of " + strings.TrimPrefix(kindOf(s.MapValue(), path, found), "a ") + "s"
	case smithy.ShapeTypeString, smithy.ShapeTypeEnum:
		return "a string"
	case smithy.ShapeTypeInteger, smithy.ShapeTypeIntEnum:
		return "an integer"
	case smithy.ShapeTypeBoolean:
		return "true or false"
	}
	return "something new"
}

// TestTable holds the table against the SDK. When it fails because ECS has a
// new member, somebody has to decide what Render does with it.
func TestTable(t *testing.T) {
	sdk := map[string]string{}
	members(schemas.RegisterTaskDefinitionRequest, "", sdk)
	if len(sdk) < 150 {
		t.Fatalf("the SDK has %d members: the walk is broken", len(sdk))
	}
	table := map[string]ecs.Row{}
	for _, row := range ecs.Rows() {
		if _, twice := table[row.Path]; twice {
			t.Errorf("%s is in the table twice", row.Path)
		}
		table[row.Path] = row
		if kind, ok := sdk[row.Path]; !ok {
			t.Errorf("ECS has no %s", row.Path)
		} else if kind != row.Kind {
			t.Errorf("%s is %s in the table, and %s in the SDK", row.Path, row.Kind, kind)
		}
	}
	for path, kind := range sdk {
		if _, ok := table[path]; !ok {
			t.Errorf("ECS has %s, %s: decide what becomes of it, and add it to schema_table.go", path, kind)
		}
	}
}

// TestTableNamesRules: whatever is not kept has a rule that there is.
func TestTableNamesRules(t *testing.T) {
	rules := ecs.RuleNames()
	named := map[string]bool{"unknown": true, "native": true, "size": true} // these own no member
	for _, row := range ecs.Rows() {
		if (row.Verb == ecs.Keep) != (row.Rule == "") {
			t.Errorf("%s: %s by the rule %q", row.Path, row.Verb, row.Rule)
		}
		if row.Rule != "" && !slices.Contains(rules, row.Rule) {
			t.Errorf("%s: there is no rule %q", row.Path, row.Rule)
		}
		named[row.Rule] = true
	}
	for _, rule := range rules {
		if !named[rule] {
			t.Errorf("no member is of the rule %s", rule)
		}
	}
}

// TestDescribed: what a described definition has besides is exactly what is
// left out.
func TestDescribed(t *testing.T) {
	var only []string
	for name := range schemas.TaskDefinition.Members() {
		if schemas.RegisterTaskDefinitionRequest.Member(name) == nil {
			only = append(only, name)
		}
	}
	described := slices.Clone(ecs.Described())
	slices.Sort(only)
	slices.Sort(described)
	if !slices.Equal(only, described) {
		t.Errorf("left out is %v, and a described definition has %v", described, only)
	}
}

// TestSamples reads AWS's own samples of a request and an answer with every
// member, which come with the SDK.
func TestSamples(t *testing.T) {
	sdk := awssdk.Service(t, "ecs")
	for name, text := range map[string][]byte{"request": sdk.Request(t, "RegisterTaskDefinition"), "answer": sdk.Response(t, "DescribeTaskDefinition")} {
		def, err := ecs.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if found := def.Misfits(); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
		if count := len(def.Root().Members()); count != len(schemas.RegisterTaskDefinitionRequest.Members()) {
			t.Errorf("%s: %d members", name, count)
		}
	}
}

func TestMisfits(t *testing.T) {
	for _, tt := range []struct{ definition, path, text string }{
		{`{"containerDefinitions": [{"name": "a", "imgae": "x"}]}`, "containerDefinitions[a].imgae", "no such member"},
		{`{"containerDefinitions": [{"name": "a", "entrypoint": []}]}`, "containerDefinitions[a].entrypoint", `is "entryPoint" meant?`},
		{`{"containerDefinitions": [], "volume": []}`, "volume", `is "volumes" meant?`},
		{`{"containerDefinitions": [], "cpu": 256}`, "cpu", "must be a string"},
		{`{"containerDefinitions": [{"cpu": 1.5}]}`, "containerDefinitions[0].cpu", "must be an integer"},
		{`{"containerDefinitions": [{"essential": "true"}]}`, "containerDefinitions[0].essential", "must be true or false"},
		{`{"containerDefinitions": {}}`, "containerDefinitions", "must be a list of objects"},
		{`{"containerDefinitions": ["a"]}`, "containerDefinitions[0]", "must be an object"},
		{`{"containerDefinitions": [{"command": [1]}]}`, "containerDefinitions[0].command[0]", "must be a string"},
		{`{"containerDefinitions": [{"dockerLabels": {"a": 1}}]}`, "containerDefinitions[0].dockerLabels.a", "must be a string"},
		{`{"containerDefinitions": [{"restartPolicy": {"ignoredExitCodes": ["1"]}}]}`, "containerDefinitions[0].restartPolicy.ignoredExitCodes[0]", "must be an integer"},
	} {
		def, err := ecs.Parse([]byte(tt.definition))
		if err != nil {
			t.Fatal(err)
		}
		found := def.Misfits()
		if len(found) != 1 || found[0].Path != tt.path || !strings.Contains(found[0].Text, tt.text) {
			t.Errorf("%s: %+v, want %s: %s", tt.definition, found, tt.path, tt.text)
		}
	}
	for _, g := range goldens(t) {
		if found := g.definition.Misfits(); len(found) > 0 && g.name() != "unknown" && g.name() != "ecspresso" {
			t.Errorf("%s: %+v", g.name(), found)
		}
	}
}
