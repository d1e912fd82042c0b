package ecs

import (
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// needOneRegistry refuses credentials for all where these would go to several
// registries: all but one would see what is not theirs.
func (r *rendering) needOneRegistry() {
	if r.options.Credentials[""] == "" {
		return
	}
	var first *move
	for _, m := range r.moves {
		switch {
		case r.options.Credentials[m.Name()] != "" || m.source == "":
		case first == nil:
			first = m
		case first.ref.Host() != m.ref.Host():
			r.refuse(ruleCredentials, m.Path+".secrets", "%s pulls from %s and %s from %s: say whose the credentials are (--credentials %s=ARN)",
				first.Name(), registryOf(first.ref), m.Name(), registryOf(m.ref), m.Name())
			return
		}
	}
}

// moveCredentials gives the runner what it pulls with, as a secret, and names
// the only registry that may see it: a run can name another image, and must
// not be able to send the credentials elsewhere.
func (m *move) moveCredentials() {
	repository := m.Object.Object("repositoryCredentials").Text("credentialsParameter")
	valueFrom := m.options.Credentials[m.Name()]
	if valueFrom == "" {
		valueFrom = m.options.Credentials[""]
	}
	if _, has := m.Secret(EnvCredentials); valueFrom == "" && !has && !m.again {
		valueFrom = repository
	}
	if valueFrom != "" && valueFrom == repository && !strings.HasPrefix(repository, "arn:") {
		m.refuse(ruleCredentials, m.Path+".repositoryCredentials.credentialsParameter",
			"%q is the name of a secret, and would be taken for a parameter's: write the secret's ARN", repository)
		return
	}
	if repository != "" && !m.again {
		m.leaveRepositoryCredentials()
	}
	if valueFrom != "" && m.setSecret(EnvCredentials, valueFrom) {
		m.tell(Adapt, ruleCredentials, m.Path+".secrets", "%s comes from %s", EnvCredentials, valueFrom)
	}
	m.bindCredentials()
}

// leaveRepositoryCredentials takes them away, unless the runner image lies in
// the same registry and needs them itself.
func (m *move) leaveRepositoryCredentials() {
	path := m.Path + ".repositoryCredentials"
	if runner, err := oci.ParseReference(m.options.RunnerImage); err == nil && runner.Host() == m.ref.Host() {
		m.tell(Keep, ruleCredentials, path, "the runner image comes from the same registry")
		return
	}
	m.Object.Object("repositoryCredentials").Delete("credentialsParameter")
	deleteEmpty(m.Object, "repositoryCredentials")
	m.tell(Move, ruleCredentials, path, "they are the image's, not the runner image's: the runner has them as %s", EnvCredentials)
}

// bindCredentials says to which registry the credentials go. What a person
// wrote stays, what an earlier Render wrote follows the image.
func (m *move) bindCredentials() {
	if _, ok := m.Secret(EnvCredentials); !ok {
		return
	}
	path := m.Path + ".environment"
	old, there := m.Env(EnvCredentialsRegistry)
	if m.source == "" {
		if !there {
			m.refuse(ruleCredentials, path, "no image says where the credentials belong: name their registry in %s", EnvCredentialsRegistry)
		}
		return
	}
	if there && (m.again || !m.rendered || old != m.registryBefore()) {
		return
	}
	if host := registryOf(m.ref); m.setEnv(EnvCredentialsRegistry, host) {
		m.tell(Adapt, ruleCredentials, path, "%s is %s: the credentials go to no other registry", EnvCredentialsRegistry, host)
	}
}

// registryBefore is the registry of the image that the container was rendered
// with.
func (m *move) registryBefore() string {
	ref, err := oci.ParseReference(m.Object.Object("dockerLabels").Text(LabelImage))
	if err != nil {
		return ""
	}
	return registryOf(ref)
}

// registryOf is an image's registry as people write it.
func registryOf(ref oci.Reference) string {
	if host := ref.Host(); host != "index.docker.io" {
		return host
	}
	return "docker.io"
}
