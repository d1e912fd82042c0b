package ecs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"TAG": "1.4", "EMPTY": "", "QUOTED": `say "hi"`, "CPU": "512"}[name]
	return value, ok
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"app:{{ env `TAG` `latest` }}":                           "app:1.4",
		"app:{{ env `NO` `latest` }}":                            "app:latest",
		"app:{{ env `EMPTY` `TAG` `latest` }}":                   "app:1.4",
		"app:{{must_env \"TAG\"}}":                               "app:1.4",
		"[{{ must_env `EMPTY` }}]":                               "[]",
		`"{{ env "QUOTED" | json_escape }}"`:                     `"say \"hi\""`,
		"{{ if eq (env `TAG` ``) `1.4` }}yes{{ else }}no{{end}}": "yes",
		"{{ with env `CPU` `` }}{{ . }}{{ end }}":                "512",
		// no templates: as they stand
		`"tag": "{{.Name}}/{{.ID}}"`:   `"tag": "{{.Name}}/{{.ID}}"`,
		`"{{ .env }} {{ unclosed"`:     `"{{ .env }} {{ unclosed"`,
		"{{ range . }}x{{ end }}":      "{{ range . }}x{{ end }}",
		"{{ unknownFunction `x` }}":    "{{ unknownFunction `x` }}",
		`{"family": "{{env}}", "a":1}`: `{"family": "", "a":1}`,
		"plain":                        "plain",
	} {
		got, err := ecs.Expand([]byte(text), lookup)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"{{ must_env `NO` }}":                         "NO is not set",
		"{{ env `TAG` }} {{ .Name }}":                 "Name",
		"{{ tfstate `aws_vpc.main.id` }}":             "there are env, must_env and json_escape",
		"{{ env `TAG` }} {{ ssm `/a` }}":              "ssm",
		"{{ range 9999999 }}{{ env `TAG` }}{{ end }}": "more than",
		strings.Repeat("x", 1<<20+1):                  "longer than",
	} {
		if got, err := ecs.Expand([]byte(text), lookup); !errors.Is(err, ecs.ErrDefinition) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %.40q, %v; want %q", text, got, err, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, text := range []string{"{{ env `TAG` }}", "{{ must_env \"X\" | json_escape }}", "{{ if env `A` }}{{.}}{{else}}{{end}}", "{{.Name}}", "{{ range 9 }}{{env `A`}}{{end}}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := ecs.Expand([]byte(text), lookup)
		if err != nil && !errors.Is(err, ecs.ErrDefinition) {
			t.Fatal(err)
		}
		if !strings.Contains(text, "{{") && string(out) != text {
			t.Fatalf("%q became %q", text, out)
		}
	})
}
