package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Manifest is an action.yml.
type Manifest struct {
	Name        string            `yaml:"name"`
	Author      string            `yaml:"author"`
	Description string            `yaml:"description"`
	Branding    map[string]string `yaml:"branding"`
	Inputs      map[string]Input  `yaml:"inputs"`
	Outputs     map[string]Output `yaml:"outputs"`
	Runs        Runs              `yaml:"runs"`
}

// Input is an input of an action.
type Input struct {
	Description        string `yaml:"description"`
	Required           bool   `yaml:"required"`
	Default            string `yaml:"default"`
	DeprecationMessage string `yaml:"deprecationMessage"`
}

// Output is an output of an action; Value is for composite ones.
type Output struct {
	Description string `yaml:"description"`
	Value       string `yaml:"value"`
}

// Runs says how an action runs.
type Runs struct {
	Using  string `yaml:"using"`
	Pre    string `yaml:"pre"`
	PreIf  string `yaml:"pre-if"`
	Main   string `yaml:"main"`
	Post   string `yaml:"post"`
	PostIf string `yaml:"post-if"`
	Steps  []Step `yaml:"steps"`
}

// readManifest reads the action.yml (or action.yaml) of a directory on the
// host.
func readManifest(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "action.yml"))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join(dir, "action.yaml"))
	}
	if err != nil {
		return nil, fmt.Errorf("can't find 'action.yml' or 'action.yaml' under '%s': %w", dir, err)
	}
	var m Manifest
	if err := decode(text, &m); err != nil {
		return nil, fmt.Errorf("%s: action.yml: %w", dir, err)
	}
	return &m, m.check(dir)
}

func (m *Manifest) check(dir string) error {
	switch m.Runs.Using {
	case "composite":
		for n, step := range m.Runs.Steps {
			if step.Run != "" && step.Shell == "" {
				return fmt.Errorf("%s: action.yml: step %d: required property is missing: shell", dir, n+1)
			}
		}
	case "node24":
		if m.Runs.Main == "" {
			return fmt.Errorf("%s: action.yml: node24 needs main", dir)
		}
	default:
		return fmt.Errorf("%s: action.yml: the replay runs composite and node24, not %q", dir, m.Runs.Using)
	}
	return nil
}
