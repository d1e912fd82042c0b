package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/webhook/serve"
	"github.com/clipperregistry/runner/webhook/setup"
)

const webhookFolder = "../../webhook"

// serviceVariables are all that the service can be told by: those of flags, and
// those with secrets.
func serviceVariables() []string {
	names := []string{envSecrets, envPrivateKey, envClientSecret, envCookieKey}
	var fields func(reflect.Type)
	fields = func(of reflect.Type) {
		for f := range of.Fields() {
			if f.Anonymous {
				fields(f.Type)
			}
			if name := f.Tag.Get("env"); name != "" {
				names = append(names, name)
			}
		}
	}
	fields(reflect.TypeFor[webhookServe]())
	slices.Sort(names)
	return names
}

func webhookFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(webhookFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table are the rows of a table of the page, below its head.
func table(t *testing.T, page, head string) (rows []string) {
	t.Helper()
	_, rest, ok := strings.Cut(page, head)
	if !ok {
		t.Fatalf("there is no table %s", head)
	}
	rest, _, _ = strings.Cut(rest, "\n\n")
	for row := range strings.Lines(rest) {
		if row = strings.TrimSpace(row); row != "" && !strings.HasPrefix(row, "|---") {
			rows = append(rows, row)
		}
	}
	return rows
}

var aVariable = regexp.MustCompile("`(CLIPPER_[A-Z_]+)`")

// TestWebhookSettings: the page's table has every variable once, and no other.
func TestWebhookSettings(t *testing.T) {
	var listed []string
	for _, row := range table(t, webhookFile(t, "README.md"), "| variable | meaning | default |\n") {
		for _, name := range aVariable.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			listed = append(listed, name[1])
		}
	}
	slices.Sort(listed)
	if want := serviceVariables(); !slices.Equal(listed, want) {
		t.Errorf("the page has\n%q, and the service\n%q", listed, want)
	}
}

// TestWebhookPermissions: the page's table is that of the code.
func TestWebhookPermissions(t *testing.T) {
	var want []string
	for _, f := range setup.Features {
		name, events := f.Name, ""
		if f.Always {
			name += " (always)"
		}
		if len(f.Events) > 0 {
			events = "`" + strings.Join(f.Events, "`, `") + "`"
		}
		want = append(want, fmt.Sprintf("| %s | `%s: %s` | %s | %s |", name, f.Permission, f.Level, events, f.Why))
	}
	got := table(t, webhookFile(t, "README.md"), "| feature | permission | events | what it is for |\n")
	if !slices.Equal(got, want) {
		t.Errorf("the page has\n%s\nand the code\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	help := reflect.TypeFor[webhookSetup]()
	field, _ := help.FieldByName("For")
	if names := strings.Join(setup.FeatureNames(), ", "); !strings.Contains(field.Tag.Get("help"), names) {
		t.Errorf("--for is for %s, and its help says %s", names, field.Tag.Get("help"))
	}
}

// TestWebhookCommands: the commands that the page shows are there, with these
// flags.
func TestWebhookCommands(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Name("clipper-runner"), kong.Exit(func(int) { t.Error("a command ends the test") }))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?m)^clipper-runner (.*)$|`clipper-runner ([^`]+)`").FindAllStringSubmatch(webhookFile(t, "README.md"), -1)
	if len(shown) < 15 {
		t.Fatalf("only %d commands", len(shown))
	}
	for _, found := range shown {
		line := strings.TrimSuffix(found[1]+found[2], "…")
		if _, err := parser.Parse(strings.Fields(line)); err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("clipper-runner %s: %v", line, err)
		}
	}
}

// TestWebhookApps: the page's file of Apps is one.
func TestWebhookApps(t *testing.T) {
	_, text, _ := strings.Cut(webhookFile(t, "README.md"), "```yaml apps\n")
	text, _, _ = strings.Cut(text, "```")
	file := filepath.Join(t.TempDir(), "apps.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	apps, err := serve.ReadApps(file)
	if err != nil || len(apps) != 2 {
		t.Fatalf("%d Apps, %v", len(apps), err)
	}
	s := serve.Settings{Listen: "127.0.0.1:0", Database: "x.db", Apps: apps, CookieKeys: []string{strings.Repeat("0123456789abcdef", 2)}}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestServiceTask: the task definition's variables are the service's, its
// rendered form is what render makes of it, and verify has nothing against it.
func TestServiceTask(t *testing.T) {
	text := webhookFile(t, "task.json")
	definition, err := ecs.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	known := serviceVariables()
	for _, found := range regexp.MustCompile(`"name": "(CLIPPER_\w+)"`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			t.Errorf("the service knows no %s", found[1])
		}
	}
	rendered, _, err := ecs.Render(t.Context(), definition, ecs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	made := rendered.JSON()
	if got := webhookFile(t, "ecs-service.json"); strings.TrimSpace(got) != strings.TrimSpace(string(made)) {
		t.Errorf("webhook/ecs-service.json is not what `clipper-runner ecs render --no-resolve webhook/task.json` makes:\n%s", made)
	}
	for _, name := range []string{"task.json", "ecs-service.json"} {
		if code := run([]string{"ecs", "verify", "--offline", filepath.Join(webhookFolder, name)}); code != 0 {
			t.Errorf("verify ends with %d", code)
		}
	}
}
