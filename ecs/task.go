package ecs

import (
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Platform is the platform that the images are chosen for.
func (d *Definition) Platform() oci.Platform {
	if d.root.Object("runtimePlatform").Text("cpuArchitecture") == "ARM64" {
		return oci.Platform{OS: "linux", Architecture: "arm64"}
	}
	return oci.Platform{OS: "linux", Architecture: "amd64"}
}

// fargate: what Fargate cannot do counts.
func (d *Definition) fargate() bool { return d.Requires("FARGATE") }

func (r *rendering) tellUnknown() {
	for _, m := range r.def.Misfits() {
		r.tell(Warn, ruleUnknown, m.Path, "%s; it is kept as it stands, and verify and deploy refuse it", m.Text)
	}
}

func (r *rendering) needMoves() {
	if len(r.moves) == 0 {
		r.refuse(ruleNative, "containerDefinitions", "no container is left to move")
	}
}

func (r *rendering) refuseWindows() {
	if family := r.def.root.Object("runtimePlatform").Text("operatingSystemFamily"); strings.HasPrefix(family, "WINDOWS") {
		r.refuse(ruleWindows, "runtimePlatform.operatingSystemFamily", "the runner image is for Linux, not %s", family)
	}
}

// refuseAppMesh: the proxy catches the pull of every other container, and
// App Mesh itself has ended.
func (r *rendering) refuseAppMesh() {
	if r.def.root.Object("proxyConfiguration") != nil {
		r.refuse(ruleAppMesh, "proxyConfiguration", "App Mesh's proxy catches the traffic of the pull: move to Service Connect; "+
			"with --allow %s, let the containers depend on the proxy being HEALTHY, or put the registry's addresses into EgressIgnoredIPs", ruleAppMesh)
	}
}

func (r *rendering) needNetwork() {
	if r.def.root.Text("networkMode") == "none" {
		r.refuse(ruleNetwork, "networkMode", "without a network the runner can pull nothing")
	}
}

func (m *move) needNetwork() {
	if m.Truth("disableNetworking") {
		m.refuse(ruleNetwork, m.Path+".disableNetworking", "without a network the runner can pull nothing")
	}
}

// tellExecutionRole: the agent reads a container's secrets with that role.
func (r *rendering) tellExecutionRole() {
	if r.def.root.Text("executionRoleArn") != "" {
		return
	}
	for _, m := range r.moves {
		if _, ok := m.Secret(EnvCredentials); ok {
			r.tell(Warn, ruleCredentials, "executionRoleArn", "ECS reads the credentials with the execution role: name one that may")
			return
		}
	}
}

// labelSource labels the first container with the digest of the whole.
func (r *rendering) labelSource() {
	for i, c := range r.moves {
		if i > 0 {
			c.deleteLabel(LabelSource)
		}
	}
	if r.moves[0].setLabel(LabelSource, r.def.Digest()) {
		r.tell(Adapt, ruleLabels, r.moves[0].Path+".dockerLabels", "%s tells revisions of the same content", LabelSource)
	}
}

func (r *rendering) needSize() {
	if size := r.def.size(); size > MaxSize {
		r.refuse(ruleSize, "", "the rendered definition has %d bytes, and ECS takes %d", size, MaxSize)
	}
}

// size is what counts against MaxSize.
func (d *Definition) size() int {
	text, _ := d.root.MarshalJSON() // which does not fail
	return len(text)
}
