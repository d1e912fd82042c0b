package state

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if l, err := Load(path); err != nil || l.Phase != None {
		t.Fatalf("without a file: %+v, %v", l, err)
	}
	want := Layout{
		Phase: Done, Found: []string{"etc", "a\nb"}, Image: "debian", Digest: "sha256:00",
		Config: []byte(`{"unknown":{"kept":true}}`),
	}
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	want.Version = version
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("loaded %+v, %v; want %+v", got, err, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v: every user must be able to read the state", info.Mode(), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"torn":  `{"version":1,"phase":"do`,
		"newer": `{"version":2,"phase":"done"}`,
		"empty": ``,
	} {
		path := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if l, err := Load(path); err == nil {
			t.Errorf("%s: loaded %+v", name, l)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v does not name the file", name, err)
		}
	}
}

func TestSaveLeavesNothingWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	// A directory in the file's place makes the rename fail.
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (Layout{Phase: Writing}).Save(path); err == nil {
		t.Fatal("saved over a directory")
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}
