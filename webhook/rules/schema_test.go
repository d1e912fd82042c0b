package rules

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the schemas anew")

var schemas = []struct {
	file, title string
	of          reflect.Type
	published   []byte
}{
	{"schema.json", "Clipper's configuration of a repository, .github/clipper.yml", reflect.TypeFor[Config](), Schema},
	{"policy.schema.json", "Clipper's policy of an operator", reflect.TypeFor[Policy](), PolicySchema},
	{"fleet.schema.json", "Clipper's runners of an operator", reflect.TypeFor[Fleet](), FleetSchema},
}

// TestSchemasAreTheTypes: what editors go by is what the decoder goes by.
func TestSchemasAreTheTypes(t *testing.T) {
	for _, s := range schemas {
		want, err := schemaOf(s.of, s.title)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(s.file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !bytes.Equal(s.published, want) {
			t.Errorf("%s is not what the types say: go test ./webhook/rules -run TestSchemasAreTheTypes -update", s.file)
		}
	}
}

// TestDefaults: what the schema says of members that are left out is so.
func TestDefaults(t *testing.T) {
	c, problems := ParseConfig([]byte(`version: 1
rules:
- id: r
  on: { pull_request: , release: , registry_package: , comment: { command: /x }, schedule: { cron: "@daily" }, manual: }
  run: { ecs: { image: a, services: { b: { image: c } } } }
  concurrency: { group: g }
  report: { deployment: { environment: e } }
runners:
- { labels: [a], ecs: { image: b } }
`))
	if problems != nil {
		t.Fatal(problems)
	}
	p, problems := ParsePolicy([]byte(`version: 1
repositories: [a/b]
clusters: { default: { cluster: a, subnets: [subnet-0a1b2c3d], execution_role: "arn:aws:iam::1:role/a" } }
`))
	if problems != nil {
		t.Fatal(problems)
	}
	f, problems := ParseFleet([]byte(`version: 1
sets: [{ name: a, owner: b, subnets: [subnet-0a1b2c3d], execution_role: "arn:aws:iam::1:role/a" }]
`))
	if problems != nil {
		t.Fatal(problems)
	}
	held := map[string]bool{}
	for _, root := range []any{c, p, f} {
		holdDefaults(t, reflect.ValueOf(root), "", held)
	}
	for _, root := range schemas {
		for _, name := range defaultsOf(root.of) {
			if !held[name] {
				t.Errorf("the default of %s was not looked at", name)
			}
		}
	}
}

// holdDefaults compares what is in v with the default tags, and notes them.
func holdDefaults(t *testing.T, v reflect.Value, path string, held map[string]bool) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			holdDefaults(t, v.Elem(), path, held)
		}
	case reflect.Slice:
		for i := range v.Len() {
			holdDefaults(t, v.Index(i), path, held)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			holdDefaults(t, v.MapIndex(key), path, held)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			at, value := join(path, f.name), v.Field(f.index)
			holdDefaults(t, value, at, held)
			if f.byDefault == "" {
				continue
			}
			held[v.Type().Name()+"."+f.name] = true
			if got := written(value); got != f.byDefault {
				t.Errorf("%s is %s if left out, and its default is said to be %s", at, got, f.byDefault)
			}
		}
	}
}

// defaultsOf names the members with a default in a type and all beneath it.
func defaultsOf(t reflect.Type) (names []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return defaultsOf(t.Elem())
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			names = append(names, defaultsOf(t.Field(f.index).Type)...)
			if f.byDefault != "" {
				names = append(names, t.Name()+"."+f.name)
			}
		}
	}
	return names
}

// written is a value as a default tag has it.
func written(v reflect.Value) string {
	v = reflect.Indirect(v)
	switch value := v.Interface().(type) {
	case []string:
		return strings.Join(value, ", ")
	case Duration:
		return fmt.Sprintf("%gh", time.Duration(value).Hours())
	case Location:
		return value.In(time.Now()).Location().String()
	}
	return fmt.Sprint(v)
}
