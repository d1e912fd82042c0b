package ecs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
)

// TestRenderKeeps renders generated definitions: whatever no rule owns is
// there afterwards, in its place, unknown members too; and rendering again
// changes nothing.
func TestRenderKeeps(t *testing.T) {
	for seed := range uint64(400) {
		g := newGenerator(seed)
		def, err := ecs.Parse(g.definition())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		options := g.options()
		rendered, changes, err := ecs.Render(t.Context(), def, options)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, def.JSON())
		}
		report := func(format string, args ...any) {
			t.Errorf("seed %d: "+format, append([]any{seed}, args...)...)
		}
		kept(def.Root(), rendered.Root(), "", report)
		again, _, err := ecs.Render(t.Context(), rendered, options)
		if err != nil || !bytes.Equal(again.JSON(), rendered.JSON()) {
			report("rendering what was rendered: %v, %v", err, ecs.Diff(rendered, again))
		}
		if found := ecs.Diff(rendered, again); len(found) > 0 || rendered.Digest() != again.Digest() || rendered.Source() != rendered.Digest() {
			report("the same differs: %v", found)
		}
		told(changes, report)
		for _, text := range [][]byte{rendered.JSON(), yamlOf(t, rendered)} {
			if back, err := ecs.Parse(text); err != nil || !bytes.Equal(back.JSON(), rendered.JSON()) {
				report("what is written reads back differently: %v\n%s", err, text)
			}
		}
		if t.Failed() {
			t.Fatalf("the definition was\n%s", def.JSON())
		}
	}
}

func yamlOf(t *testing.T, def *ecs.Definition) []byte {
	t.Helper()
	text, err := def.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// rows are the table by path.
var rows = func() map[string]ecs.Row {
	rows := map[string]ecs.Row{}
	for _, row := range ecs.Rows() {
		rows[row.Path] = row
	}
	return rows
}()

// told: the texts of a report show no value of a
// variable.
func told(changes []ecs.Change, report func(string, ...any)) {
	for _, c := range changes {
		if strings.Contains(c.Text, secretText) {
			report("the report shows a variable: %s", c)
		}
	}
}

// kept compares what a definition has with what was rendered of it. Lists may
// have got more entries behind their own; objects more members.
func kept(from, to any, path string, report func(string, ...any)) {
	verb := rows[path].Verb
	owned := verb == ecs.Move || verb == ecs.Adapt || strings.HasSuffix(path, ".readonlyRootFilesystem")
	switch from := from.(type) {
	case *ecs.Object:
		object, ok := to.(*ecs.Object)
		if !ok {
			object = ecs.NewObject() // everything in it has to be owned
		}
		keptMembers(from, object, path, report)
	case []any:
		list, _ := to.([]any)
		for i, entry := range from {
			if i < len(list) {
				kept(entry, list[i], path+"[]", report)
			} else if !owned {
				report("%s: entry %d is lost", path, i)
			}
		}
	default:
		if from != nil && from != to && !owned && !strings.HasSuffix(path, "capabilities.drop[]") && !strings.HasSuffix(path, "entryPoint[]") && !strings.HasSuffix(path, "healthCheck.command[]") {
			report("%s: %v became %v", path, from, to)
		}
	}
}

func keptMembers(from, to *ecs.Object, path string, report func(string, ...any)) {
	position := -1
	for _, m := range from.Members() {
		at := strings.TrimPrefix(path+"."+m.Name, ".")
		i := slices.IndexFunc(to.Members(), func(other ecs.Member) bool { return other.Name == m.Name })
		if i < 0 {
			if _, isObject := m.Value.(*ecs.Object); isObject || m.Value != nil {
				kept(m.Value, nil, at, report)
			}
			continue
		}
		if i < position {
			report("%s has another place", at)
		}
		position = i
		kept(m.Value, to.Members()[i].Value, at, report)
	}
}

// secretText is in the value of every generated variable.
const secretText = "s3cr3t"

// generator makes definitions with any members that the table has, and others.
type generator struct {
	*rand.Rand
	names int
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 6))}
}

func (g *generator) definition() []byte {
	root := g.object("", 0)
	containers := make([]any, 1+g.IntN(4))
	for i := range containers {
		container := g.object("containerDefinitions[]", 1)
		container.Set("name", fmt.Sprintf("c%d", i))
		container.Set("image", []string{"acme/app:1", "ghcr.io/acme/app", "debian:12@sha256:" + strings.Repeat("1f", 32), "localhost:5000/x/y:z"}[g.IntN(4)])
		containers[i] = container
	}
	root.Set("containerDefinitions", containers)
	text, err := json.Marshal(root)
	if err != nil {
		panic(err)
	}
	return text
}

func (g *generator) options() ecs.Options {
	o := options{HealthCheck: g.IntN(2) == 0, Allow: []string{"app-mesh", "health-check", "readonly-root", "start-timeout", "storage"}}
	if g.IntN(2) == 0 {
		o.Images = map[string]image{}
		for _, name := range []string{"acme/app", "ghcr.io/acme/app", "debian", "localhost:5000/x/y"} {
			o.Images[name] = image{Size: g.Int64N(20e9), Env: []string{"NVIDIA_X=y", "A=b"}, Volumes: []string{"/data"}}
		}
	}
	if g.IntN(2) == 0 {
		o.Store = &ecs.Store{EFS: "fs-1"}
	}
	if g.IntN(2) == 0 {
		o.Credentials = map[string]string{"c0": "arn:aws:ssm:eu-west-1:1:parameter/x"}
	}
	return o.ecs()
}

// fixed are values that a rule would refuse to have otherwise.
var fixed = map[string]any{
	"networkMode":                                                       "awsvpc",
	"runtimePlatform.operatingSystemFamily":                             "LINUX",
	"proxyConfiguration.containerName":                                  "nobody",
	"containerDefinitions[].disableNetworking":                          false,
	"containerDefinitions[].repositoryCredentials.credentialsParameter": "arn:aws:secretsmanager:eu-west-1:1:secret:x",
	"containerDefinitions[].healthCheck.command":                        []any{"CMD-SHELL", "true"},
	"containerDefinitions[].firelensConfiguration":                      nil,
}

// object makes an object with some of the members that stand beneath path, in
// any order.
func (g *generator) object(path string, depth int) *ecs.Object {
	o := ecs.NewObject()
	var names []string
	for at := range rows {
		parent, name := "", at
		if i := strings.LastIndexByte(at, '.'); i >= 0 {
			parent, name = at[:i], at[i+1:]
		}
		if parent == path {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		if g.IntN(3) > 0 {
			continue
		}
		at := strings.TrimPrefix(path+"."+name, ".")
		if value, ok := fixed[at]; ok {
			o.Set(name, value)
			continue
		}
		o.Set(name, g.value(at, rows[at].Kind, depth+1))
	}
	if g.IntN(4) == 0 {
		o.Set("zz"+g.text(), g.anything(depth))
	}
	return o
}

func (g *generator) value(path, kind string, depth int) any {
	if g.IntN(20) == 0 {
		return nil
	}
	list := func(one func() any) []any {
		entries := make([]any, g.IntN(4))
		for i := range entries {
			entries[i] = one()
		}
		return entries
	}
	switch kind {
	case "a string":
		return g.textAt(path)
	case "an integer":
		return json.Number(fmt.Sprint(g.IntN(400)))
	case "true or false":
		return g.IntN(2) == 0
	case "an object":
		return g.object(path, depth)
	case "an object of strings":
		o := ecs.NewObject()
		for range g.IntN(3) {
			o.Set("k"+g.text(), g.text())
		}
		return o
	case "a list of strings":
		return list(func() any { return g.textAt(path) })
	case "a list of integers":
		return list(func() any { return json.Number(fmt.Sprint(g.IntN(256))) })
	}
	return list(func() any { return g.object(path+"[]", depth) })
}

// textAt is a text that means something where it stands.
func (g *generator) textAt(path string) string {
	pick := func(words ...string) string { return words[g.IntN(len(words))] }
	switch {
	case path == "requiresCompatibilities":
		return pick("EC2", "FARGATE", "EXTERNAL")
	case strings.HasSuffix(path, "capabilities.drop"), strings.HasSuffix(path, "capabilities.add"):
		return pick("ALL", "NET_RAW", "SETUID", "chown", "SYS_PTRACE")
	case strings.HasSuffix(path, ".containerPath"):
		return "/data/" + g.text()
	case strings.HasSuffix(path, "dependsOn[].containerName"), strings.HasSuffix(path, "sourceContainer"):
		return pick("c0", "c1", "c2", "c9")
	case strings.HasSuffix(path, "dependsOn[].condition"):
		return pick("START", "HEALTHY", "SUCCESS")
	case strings.HasSuffix(path, "resourceRequirements[].type"):
		return pick("GPU", "InferenceAccelerator")
	case strings.HasSuffix(path, "environment[].value"):
		return secretText + g.text()
	case path == "containerDefinitions[].versionConsistency":
		return pick("enabled", "disabled")
	}
	return g.text()
}

func (g *generator) text() string {
	g.names++
	return []string{"", "plain", "<&>", "ü\u2028", "a b", "- x", "true", "12", "{{.Name}}", "${X}", "'", "\"\\\n", "null", "~", "0x1f", "1e3", "2026-01-31", "#", "*a"}[g.IntN(19)] + fmt.Sprint(g.names)
}

// anything is a value of any form.
func (g *generator) anything(depth int) any {
	switch kind := g.IntN(7); {
	case kind == 0 && depth < 5:
		return ecs.NewObject(ecs.Member{Name: g.text(), Value: g.anything(depth + 1)})
	case kind == 1 && depth < 5:
		return []any{g.anything(depth + 1), g.anything(depth + 1)}
	case kind == 2:
		return json.Number("-1.25")
	case kind == 3:
		return true
	case kind == 4:
		return nil
	}
	return g.text()
}
