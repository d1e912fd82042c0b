package ecs_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/ecs"
)

func parse(t *testing.T, text string) *ecs.Definition {
	t.Helper()
	def, err := ecs.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return def
}

// TestDiffOfTheSame: what ECS fills in, orders or leaves out is no difference.
func TestDiffOfTheSame(t *testing.T) {
	for _, tt := range []struct{ old, def string }{
		{`{"containerDefinitions":[{"name":"a"}]}`, `{"containerDefinitions":[{"name":"a","cpu":0,"essential":true,"portMappings":[],"environment":[],"mountPoints":[],"volumesFrom":[],"systemControls":[]}],"volumes":[],"placementConstraints":[]}`},
		{`{"containerDefinitions":[{"name":"a","environment":[{"name":"A","value":"1"},{"name":"B","value":""}]}]}`, `{"containerDefinitions":[{"environment":[{"name":"B"},{"name":"A","value":"1"}],"name":"a"}]}`},
		{`{"containerDefinitions":[{"name":"a"},{"name":"b"}]}`, `{"containerDefinitions":[{"name":"b"},{"name":"a"}]}`},
		{`{"networkMode":"awsvpc","containerDefinitions":[{"name":"a","portMappings":[{"containerPort":80}]}]}`, `{"networkMode":"awsvpc","containerDefinitions":[{"name":"a","portMappings":[{"containerPort":80,"hostPort":80,"protocol":"tcp"}]}]}`},
		{`{"containerDefinitions":[{"name":"a","portMappings":[{"containerPort":80}]}]}`, `{"containerDefinitions":[{"name":"a","portMappings":[{"containerPort":80,"hostPort":0,"protocol":"tcp"}]}]}`},
		{`{"cpu":"1 vCPU","memory":"0.5GB","containerDefinitions":[]}`, `{"cpu":"1024","memory":"512","containerDefinitions":[]}`},
		{`{"volumes":[{"name":"v"}],"containerDefinitions":[]}`, `{"volumes":[{"name":"v","host":{}}],"containerDefinitions":[]}`},
		{`{"requiresCompatibilities":["EC2","FARGATE"],"containerDefinitions":[]}`, `{"requiresCompatibilities":["FARGATE","EC2"],"containerDefinitions":[]}`},
		{`{"containerDefinitions":[{"name":"a","healthCheck":{"command":["CMD","x"]}}]}`, `{"containerDefinitions":[{"name":"a","healthCheck":{"command":["CMD","x"],"interval":30,"timeout":5,"retries":3}}]}`},
		{`{"containerDefinitions":[{"name":"a","dockerLabels":{"clipper.source-hash":"x"}}]}`, `{"containerDefinitions":[{"name":"a"}]}`},
		{`{"tags":[{"key":"aws:cloudformation:stack-name","value":"x"}],"containerDefinitions":[]}`, `{"containerDefinitions":[]}`},
	} {
		old, def := parse(t, tt.old), parse(t, tt.def)
		if found := append(ecs.Diff(old, def), ecs.Diff(def, old)...); len(found) > 0 {
			t.Errorf("%s\n%s\n\tdiffer: %v", tt.old, tt.def, found)
		}
		if old.Digest() != def.Digest() {
			t.Errorf("%s\n%s\n\thave different digests", tt.old, tt.def)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		old, def string
		want     []string
	}{
		{`{"cpu":"256","containerDefinitions":[]}`, `{"cpu":"512","containerDefinitions":[]}`, []string{`~ cpu: "256" → "512"`}},
		{`{"containerDefinitions":[{"name":"a","essential":false}]}`, `{"containerDefinitions":[{"name":"a"}]}`, []string{`- containerDefinitions[a].essential: false`}},
		{`{"containerDefinitions":[{"name":"a"}]}`, `{"containerDefinitions":[{"name":"a"},{"name":"b","image":"x"}]}`, []string{`+ containerDefinitions[b]: {"image":"x","name":"b"}`}},
		{
			`{"containerDefinitions":[{"name":"a","environment":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}]}`,
			`{"containerDefinitions":[{"name":"a","environment":[{"name":"C","value":"3"},{"name":"B","value":"x"}]}]}`,
			[]string{
				`- containerDefinitions[a].environment[A]: {"name":"A","value":"1"}`,
				`~ containerDefinitions[a].environment[B].value: "2" → "x"`,
				`+ containerDefinitions[a].environment[C]: {"name":"C","value":"3"}`,
			},
		},
		{`{"containerDefinitions":[{"name":"a","command":["a","b"]}]}`, `{"containerDefinitions":[{"name":"a","command":["b","a"]}]}`, []string{`~ containerDefinitions[a].command: ["a","b"] → ["b","a"]`}},
		{`{"containerDefinitions":[{"name":"a","portMappings":[{"containerPort":53,"protocol":"udp"}]}]}`, `{"containerDefinitions":[{"name":"a","portMappings":[{"containerPort":53}]}]}`, []string{
			`- containerDefinitions[a].portMappings[53,udp]: {"containerPort":53,"protocol":"udp"}`,
			`+ containerDefinitions[a].portMappings[53,tcp]: {"containerPort":53}`,
		}},
		{`{"future":{"x":[1,2]},"containerDefinitions":[]}`, `{"future":{"x":[2,1]},"containerDefinitions":[]}`, []string{`~ future.x: [1,2] → [2,1]`}},
		// Two variables of one name: ECS refuses them, and nothing gets lost here.
		{`{"containerDefinitions":[{"name":"a","environment":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}]}`, `{"containerDefinitions":[{"name":"a","environment":[{"name":"A","value":"2"}]}]}`, []string{
			`~ containerDefinitions[a].environment: [{"name":"A","value":"1"},{"name":"A","value":"2"}] → [{"name":"A","value":"2"}]`,
		}},
	} {
		old, def := parse(t, tt.old), parse(t, tt.def)
		var got []string
		for _, difference := range ecs.Diff(old, def) {
			got = append(got, fmt.Sprint(difference))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s\n%s\n\tdiffer in %q\n\twant      %q", tt.old, tt.def, got, tt.want)
		}
		if old.Digest() == def.Digest() {
			t.Errorf("%s\n%s\n\thave the same digest", tt.old, tt.def)
		}
	}
}
