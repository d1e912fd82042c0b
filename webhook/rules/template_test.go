package rules_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
)

func TestTemplate(t *testing.T) {
	opened := &webhook.Event{
		Name: "pull_request", Action: "opened", Repository: webhook.Repository{ID: 7, FullName: "acme/app"}, Sender: webhook.User{Login: "ada"},
		PullRequest: &webhook.PullRequest{Number: 5, Title: "line\r\n::set-env name=A::b\x1b[2J\u2028" + strings.Repeat("ü", 300), Head: webhook.Tip{Ref: "feature/x", SHA: "aa"}, Base: webhook.Tip{Ref: "main", SHA: "bb"}},
	}
	published := &webhook.Event{Name: "package", Repository: webhook.Repository{FullName: "Acme/app"}, Package: &webhook.Package{Name: "API"}}
	published.Package.Version.Container.Tag.Name = "v1"
	pinned := &webhook.Event{Name: "package", Repository: webhook.Repository{FullName: "Acme/app"}, Package: &webhook.Package{Name: "API", Owner: webhook.User{Login: "Acme"}}}
	pinned.Package.Version.Container.Tag.Digest = "sha256:00"
	elsewhere := &webhook.Event{Name: "package", Package: &webhook.Package{Name: "API"}}
	elsewhere.Package.Version.Container.Tag.Name, elsewhere.Package.Version.URL = "v1", "containers.github.acme.com/Acme/API:v1"
	run := &webhook.Run{ID: "id", Rule: "r", Commit: "aa", Ref: "refs/pull/5/head", Base: "main", PullRequest: 5}
	for _, tt := range []struct {
		template string
		event    *webhook.Event
		want     string
	}{
		{"as it is", opened, "as it is"},
		{"", opened, ""},
		{"$HOME $(id) {{ event.ref }}", opened, "$HOME $(id) {{ event.ref }}"},
		{"pr-${{ event.pull_request.number || event.ref }}", opened, "pr-5"},
		{"pr-${{event.release.tag_name||event.ref}}!", opened, "pr-refs/pull/5/head!"},
		{"${{ event.label || 'no label' }}", opened, "no label"},
		{"${{ event.label }}", opened, ""},
		{"${{ run.id }}/${{ rule.id }}/${{ event.head_sha }}/${{ event.base_ref }}/${{ event.ref_name }}", opened, "id/r/aa/main/feature/x"},
		{"${{ event.owner }} ${{ event.sender }} ${{ event.pull_request.base.sha }}", opened, "acme ada bb"},
		{"${{ event.image }}", opened, ""},
		{"${{ event.image }}", published, "ghcr.io/acme/api:v1"},
		{"${{ event.image }}", elsewhere, "containers.github.acme.com/acme/api:v1"},
		{"${{ event.image }}", pinned, "ghcr.io/acme/api@sha256:00"},
	} {
		parsed, err := rules.ParseTemplate(tt.template)
		if err != nil {
			t.Errorf("%s: %v", tt.template, err)
			continue
		}
		if got := parsed.Expand(tt.event, run, rules.Facts{}); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.template, got, tt.want)
		}
	}
	title, err := rules.ParseTemplate("${{ event.pull_request.title }}")
	if err != nil {
		t.Fatal(err)
	}
	got := title.Expand(opened, run, rules.Facts{})
	if !strings.HasPrefix(got, "line  ::set-env name=A::b [2J üü") || len(got) > 255 || !utf8.ValidString(got) {
		t.Errorf("the title is %q", got)
	}
}

func TestBadTemplates(t *testing.T) {
	for template, want := range map[string]string{
		"${{ event.ref":                        "without its }}",
		"${{ }}":                               `"" is no expression`,
		"${{ secrets.TOKEN }}":                 `"secrets.TOKEN" is no expression`,
		"${{ event.pull_request.nummer }}":     "did you mean event.pull_request.number?",
		"${{ event.body }}":                    `there is no "event.body"; there are event.action, `,
		"${{ 'a' || event.ref }}":              "|| behind a string",
		"${{ 'a'b' }}":                         "a ' in a string",
		"${{ toJSON(event) }}":                 "is no expression",
		"${{ event.ref == 'a' }}":              `there is no "event.ref == 'a'"`,
		"${{ ${{ event.ref }} }}":              "is no expression",
		strings.Repeat("${{ event.ref }}", 51): "more than 50 parts",
	} {
		if _, err := rules.ParseTemplate(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", template, err, want)
		}
	}
}

// TestFields: every field can be asked of every event, whatever it lacks.
func TestFields(t *testing.T) {
	events := []*webhook.Event{{}, {Package: &webhook.Package{}}, {PullRequest: &webhook.PullRequest{}}, {Release: &webhook.Release{}}, {Deployment: &webhook.Deployment{}}, {Comment: &webhook.Comment{}, Issue: &webhook.Issue{}}}
	for _, name := range rules.FieldNames() {
		template, err := rules.ParseTemplate("${{ " + name + " }}")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if got := template.Expand(e, &webhook.Run{}, rules.Facts{}); got != "" {
				t.Errorf("%s of %+v is %q", name, e, got)
			}
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"pr-${{ event.pull_request.number || event.ref }}", "${{ 'a' }}", "${{ event.label || '' }}", "${{", "}}${{ x }}"} {
		f.Add(seed, "main")
	}
	f.Fuzz(func(t *testing.T, text, ref string) {
		template, err := rules.ParseTemplate(text)
		if err != nil {
			return
		}
		got := template.Expand(&webhook.Event{Name: "push"}, &webhook.Run{Ref: ref}, rules.Facts{})
		if !strings.Contains(text, "${{") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
