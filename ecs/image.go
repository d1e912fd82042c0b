package ecs

import (
	"cmp"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// readImage parses the image to become.
func (m *move) readImage() {
	if m.source == "" {
		if m.again {
			m.tell(Warn, ruleImage, m.Path+".environment", "%s is not set: every run of this definition has to name an image", EnvImage)
		} else {
			m.refuse(ruleImage, m.Path+".image", "no image is named")
		}
		return
	}
	var err error
	if m.ref, err = oci.ParseReference(m.source); err != nil {
		m.refuse(ruleImage, m.Path+".image", "%v", err)
	}
}

// moveImage names the image in the environment, pinned to its digest as ECS
// would pin it, and puts the runner image in its place.
func (m *move) moveImage() {
	runner := m.options.RunnerImage
	if runner == "" && m.again {
		runner = m.Text("image")
	}
	if runner == "" {
		runner = DefaultRunner + ":" + cmp.Or(m.options.Version, "latest")
	}
	if !m.again || !m.rendered {
		m.setLabel(LabelImage, m.source)
	}
	if old := m.Text("image"); old != runner {
		m.Set("image", runner)
		m.tell(Move, ruleImage, m.Path+".image", "%s becomes %s", old, runner)
	}
	m.setLabel(LabelRunner, runner)
	if m.source == "" {
		m.deleteLabel(LabelImage)
		return
	}
	if pinned := m.pinned(); m.setEnv(EnvImage, pinned) {
		m.tell(Move, ruleImage, m.Path+".environment", "%s is %s", EnvImage, pinned)
	}
}

// pinned is the image with its digest.
func (m *move) pinned() string {
	path := m.Path + ".environment"
	switch {
	case strings.Contains(m.source, "@"):
		return m.source
	case m.Text("versionConsistency") == "disabled":
		m.tell(Keep, ruleImage, path, "the tag decides at every start, because versionConsistency is disabled")
		return m.source
	case m.image == nil:
		m.tell(Warn, ruleImage, path, "the image is not pinned: tasks of one deployment may run different ones")
		return m.source
	}
	return m.source + "@" + m.image.Digest.String()
}

// copyNVIDIA copies what the image says to NVIDIA's hook, which looks at the
// container when it is made: at its environment, and not at the image that
// the runner becomes. Which devices there are the agent says.
func (m *move) copyNVIDIA() {
	gpu := false
	for _, need := range m.Objects("resourceRequirements") {
		gpu = gpu || need.Text("type") == "GPU"
	}
	if !gpu {
		return
	}
	path := m.Path + ".resourceRequirements"
	m.tell(Warn, ruleGPU, path, "GPUs are not proved with the runner: try it before you rely on it")
	if m.image == nil || m.image.Config == nil {
		m.tell(Warn, ruleGPU, path, "the image's NVIDIA_ variables are not known: set NVIDIA_DRIVER_CAPABILITIES in environment")
		return
	}
	for _, entry := range m.image.Config.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "NVIDIA_") || name == "NVIDIA_VISIBLE_DEVICES" || m.names(name) {
			continue
		}
		m.setEnv(name, value)
		m.tell(Adapt, ruleGPU, m.Path+".environment", "%s is copied from the image, for NVIDIA's hook", name)
	}
}

// names says whether environment or secrets have a variable.
func (m *move) names(name string) bool {
	_, inEnv := m.Env(name)
	_, inSecrets := m.Secret(name)
	return inEnv || inSecrets
}
