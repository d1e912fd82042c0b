package actions

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Workflow is what the replay knows of a workflow file. A key that it does not
// know is an error, so that no test relies on one that does nothing.
type Workflow struct {
	Name        string   `yaml:"name"`
	On          any      `yaml:"on"`
	Permissions any      `yaml:"permissions"`
	Env         Pairs    `yaml:"env"`
	Defaults    Defaults `yaml:"defaults"`
	Jobs        map[string]Job
}

// Job is one job of a workflow.
type Job struct {
	Name        string     `yaml:"name"`
	RunsOn      any        `yaml:"runs-on"`
	Permissions any        `yaml:"permissions"`
	Strategy    Strategy   `yaml:"strategy"`
	Container   *Container `yaml:"container"`
	Services    Services   `yaml:"services"`
	Env         Pairs      `yaml:"env"`
	Defaults    Defaults   `yaml:"defaults"`
	Steps       []Step     `yaml:"steps"`
	Outputs     Pairs      `yaml:"outputs"`
}

// Strategy is a job's matrix. The caller of Run chooses the combination.
type Strategy struct {
	FailFast *bool            `yaml:"fail-fast"`
	Matrix   map[string][]any `yaml:"matrix"`
}

// Defaults are what run: steps inherit.
type Defaults struct {
	Run struct {
		Shell            string `yaml:"shell"`
		WorkingDirectory string `yaml:"working-directory"`
	} `yaml:"run"`
}

// Container is a job's container or a service.
type Container struct {
	Image       string `yaml:"image"`
	Credentials struct {
		Username string `yaml:"username"`
		Password string `yaml:"password"`
	} `yaml:"credentials"`
	Env     Pairs    `yaml:"env"`
	Ports   []string `yaml:"ports"`
	Volumes []string `yaml:"volumes"`
	Options string   `yaml:"options"`
	// Entrypoint and Command are for services only.
	Entrypoint string `yaml:"entrypoint"`
	Command    string `yaml:"command"`
}

// UnmarshalYAML reads the long form and the short one, an image alone.
func (c *Container) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&c.Image)
	}
	type long Container
	return strictly(node, (*long)(c))
}

// Service is a service container and its name on the network.
type Service struct {
	Alias string
	Container
}

// Services are started in the order of the file.
type Services []Service

// UnmarshalYAML keeps the order.
func (s *Services) UnmarshalYAML(node *yaml.Node) error {
	return eachKey(node, func(name string, value *yaml.Node) error {
		service := Service{Alias: name}
		err := value.Decode(&service.Container)
		*s = append(*s, service)
		return err
	})
}

// Step is one step of a job or of a composite action.
type Step struct {
	ID               string `yaml:"id"`
	Name             string `yaml:"name"`
	If               string `yaml:"if"`
	Uses             string `yaml:"uses"`
	With             Pairs  `yaml:"with"`
	Run              string `yaml:"run"`
	Shell            string `yaml:"shell"`
	WorkingDirectory string `yaml:"working-directory"`
	Env              Pairs  `yaml:"env"`
	ContinueOnError  bool   `yaml:"continue-on-error"`
}

// title is what GitHub shows for the step.
func (s Step) title() string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Uses != "":
		return "Run " + s.Uses
	default:
		line, _, _ := bytes.Cut([]byte(s.Run), []byte("\n"))
		return "Run " + string(line)
	}
}

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Pairs is a mapping from names to texts in the order of the file.
type Pairs []Pair

// UnmarshalYAML takes numbers and truth values as they are written.
func (p *Pairs) UnmarshalYAML(node *yaml.Node) error {
	return eachKey(node, func(name string, value *yaml.Node) error {
		if value.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: %s is not a text", value.Line, name)
		}
		text := value.Value
		if value.Tag == "!!null" {
			text = ""
		}
		*p = append(*p, Pair{name, text})
		return nil
	})
}

func eachKey(node *yaml.Node, each func(name string, value *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: not a mapping", node.Line)
	}
	for n := 0; n+1 < len(node.Content); n += 2 {
		if err := each(node.Content[n].Value, node.Content[n+1]); err != nil {
			return err
		}
	}
	return nil
}

// strictly decodes a node and refuses unknown keys, which node.Decode does not.
func strictly(node *yaml.Node, into any) error {
	text, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	return decode(text, into)
}

func decode(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

// ParseWorkflow reads a workflow file.
func ParseWorkflow(text string) (*Workflow, error) {
	var w Workflow
	if err := decode([]byte(text), &w); err != nil {
		return nil, fmt.Errorf("workflow: %w", err)
	}
	if len(w.Jobs) == 0 {
		return nil, errors.New("workflow: no jobs")
	}
	for id, job := range w.Jobs {
		for n, step := range job.Steps {
			if (step.Run == "") == (step.Uses == "") {
				return nil, fmt.Errorf("workflow: job %s, step %d: either run or uses is needed", id, n+1)
			}
		}
		if job.Container != nil && (job.Container.Entrypoint != "" || job.Container.Command != "") {
			return nil, fmt.Errorf("workflow: job %s: a job's container takes neither entrypoint nor command", id)
		}
	}
	return &w, nil
}
