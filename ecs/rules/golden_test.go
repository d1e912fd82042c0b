package rules_test

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/clipperregistry/runner/ecs"
)

// goldens are the archives of Render's test.
func goldens(t testing.TB) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("../testdata/render/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d goldens, %v", len(files), err)
	}
	archives := map[string]*txtar.Archive{}
	for _, file := range files {
		if archives[filepath.Base(file)], err = txtar.ParseFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return archives
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// allChanges is what Render reports of all goldens' definitions.
func allChanges(t *testing.T) []ecs.Change {
	t.Helper()
	var all []ecs.Change
	for _, a := range goldens(t) {
		def, err := ecs.Parse(append(section(a, "definition.json"), section(a, "definition.yaml")...))
		if err != nil {
			t.Fatal(err)
		}
		_, changes, _ := ecs.Render(t.Context(), def, ecs.Options{Resolve: images(12e9)})
		all = append(all, changes...)
	}
	if len(all) < 100 {
		t.Fatalf("only %d changes", len(all))
	}
	return all
}
