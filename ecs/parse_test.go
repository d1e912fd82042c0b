package ecs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
)

func TestParseSaysWhatIsWrong(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	laughs := "containerDefinitions: []\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	for _, tt := range []struct{ text, want string }{
		{"", "it is empty"},
		{"# nothing\n", "it is empty"},
		{"[]", "no object"},
		{"just words", "no object"},
		{`{"family": "a"}`, "no containerDefinitions"},
		{`{"containerDefinitions": []} x`, "something follows"},
		{"{\n\"containerDefinitions\": [\n}", "line 3"},
		{`{"containerDefinitions": [`, "unexpected EOF"},
		{`{"containerDefinitions": [], "cpu": "1", "cpu": "2"}`, `"cpu" comes twice`},
		{`{"containerDefinitions": ` + deep + `}`, "nested deeper"},
		{strings.Repeat(" ", 1<<20+1), "longer than"},
		{"containerDefinitions: []\ncpu: 1\ncpu: 2\n", `"cpu" comes twice`},
		{"containerDefinitions: []\n? [a]\n: b\n", "must be a string"},
		{"containerDefinitions: []\nx: .nan\n", "no value of JSON"},
		{"containerDefinitions: []\n<<: 1\n", "takes objects only"},
		{"containerDefinitions: []\nx: !!binary YQ==\n", "no value of JSON"},
		{laughs, "more than"},
		{"a: &a\n  b: *a\ncontainerDefinitions: []\n", "more than"},
	} {
		_, err := ecs.Parse([]byte(tt.text))
		if !errors.Is(err, ecs.ErrDefinition) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestParseForms(t *testing.T) {
	const want = `{"family":"a","containerDefinitions":[],"cpu":"1024","volumes":[]}`
	for _, text := range []string{
		want,
		"\ufeff \n" + want,
		"family: a\ncontainerDefinitions: []\ncpu: 1024\nvolumes: []\n",
		"base: &b {family: a}\n<<: *b\ncontainerDefinitions: []\ncpu: '1024'\nvolumes: []\n",
		`{"taskDefinition": {"family":"a","containerDefinitions":[],"revision":7,"status":"ACTIVE","cpu":"1024","volumes":[],"compatibilities":["EC2"]}}`,
	} {
		def, err := ecs.Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if strings.HasPrefix(text, "base") {
			def.Root().Delete("base")
		}
		if got, err := def.MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	def, err := ecs.Parse([]byte(`{"taskDefinition": {"containerDefinitions":[]}, "tags": [{"key":"a","value":"b"}]}`))
	if err != nil || len(def.Root().Objects("tags")) != 1 {
		t.Errorf("the tags of a described definition: %s, %v", def.JSON(), err)
	}
}

// TestYAMLTexts: what is written without quotes is a string where ECS wants
// one, and only there.
func TestYAMLTexts(t *testing.T) {
	def, err := ecs.Parse([]byte(`containerDefinitions:
  - name: 0755
    cpu: 0x10
    essential: true
    environment: [{name: A, value: true}, {name: B, value: 1.10}, {name: C, value: 2026-01-31}, {name: D, value: null}]
    dockerLabels: {n: 1, t: no}
    command: [1, -2, ~]
    future: [1, 1.5, yes, 2026-01-31]
`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"containerDefinitions":[{"name":"0755","cpu":16,"essential":true,"environment":[{"name":"A","value":"true"},{"name":"B","value":"1.10"},` +
		`{"name":"C","value":"2026-01-31"},{"name":"D","value":null}],"dockerLabels":{"n":"1","t":"no"},"command":["1","-2",null],"future":[1,1.5,"yes","2026-01-31"]}]}`
	if got, _ := def.MarshalJSON(); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzParse: whatever can be read can be written, compared and rendered.
func FuzzParse(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.definition.JSON())
	}
	f.Add([]byte("a: &a [1]\ncontainerDefinitions: [{name: a, image: b, environment: *a}]\n<<: {x: 1}\n"))
	f.Add([]byte(`{"containerDefinitions":[{"portMappings":[{"hostPort":[],"containerPort":[]}]}],"tags":[1],"cpu":"1e9 vCPU"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		def, err := ecs.Parse(text)
		if err != nil {
			return
		}
		back, err := ecs.Parse(def.JSON())
		if err != nil || !bytes.Equal(back.JSON(), def.JSON()) {
			t.Fatalf("what is written reads back differently: %v\n%s", err, def.JSON())
		}
		if found := ecs.Diff(def, back); len(found) > 0 || def.Digest() != back.Digest() {
			t.Fatalf("the same differs: %v", found)
		}
		def.Misfits()
		rendered, _, err := ecs.Render(t.Context(), def, ecs.Options{HealthCheck: true})
		if err != nil {
			return
		}
		again, _, err := ecs.Render(t.Context(), rendered, ecs.Options{HealthCheck: true})
		if err != nil || !bytes.Equal(again.JSON(), rendered.JSON()) {
			t.Fatalf("rendering what was rendered: %v\n%s\n%s", err, rendered.JSON(), again.JSON())
		}
		ecs.Diff(def, rendered)
	})
}
