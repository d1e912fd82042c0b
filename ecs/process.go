package ecs

import "bytes"

// moved are the members that become variables.
var moved = []struct{ member, name string }{
	{"entryPoint", EnvEntrypoint},
	{"user", EnvUser},
	{"workingDirectory", EnvWorkDir},
}

// needFreeNames refuses variables of the runner that would be set twice. In a
// rendered container they are Render's own.
func (m *move) needFreeNames() {
	if _, ok := m.Env(EnvCredentials); ok {
		m.refuse(ruleEnvironment, m.Path+".environment", "%s is there for everybody to read: put it into a parameter or secret, and name that", EnvCredentials)
	}
	for _, name := range []string{EnvImage, EnvCredentialsRegistry, EnvEntrypoint, EnvUser, EnvWorkDir, EnvCapDrop} {
		if _, ok := m.Secret(name); ok {
			m.refuse(ruleEnvironment, m.Path+".secrets", "%s is no secret: set it in environment", name)
		}
	}
	if m.rendered {
		return
	}
	if _, ok := m.Env(EnvImage); ok && !m.again {
		m.refuse(ruleEnvironment, m.Path+".environment", "%s and image both name an image: leave one out", EnvImage)
	}
	for _, move := range moved {
		if _, ok := m.Env(move.name); ok && m.has(move.member) {
			m.refuse(ruleEnvironment, m.Path+".environment", "%s and %s say the same: leave one out", move.name, move.member)
		}
	}
	if _, ok := m.Env(EnvCapDrop); ok && len(m.dropped()) > 0 {
		m.refuse(ruleEnvironment, m.Path+".environment", "%s and linuxParameters.capabilities.drop say the same: leave one out", EnvCapDrop)
	}
}

// has says whether a member is there and not empty.
func (m *move) has(member string) bool { return m.Text(member) != "" || len(m.List(member)) > 0 }

// moveEntrypoint: an entryPoint would start in place of the runner.
func (m *move) moveEntrypoint() {
	var b bytes.Buffer
	encode(&b, m.List("entryPoint"), "")
	m.moveTo(ruleEntrypoint, "entryPoint", EnvEntrypoint, b.String(), "it would start in place of the runner")
}

// moveUser: no other user than root can lay out an image.
func (m *move) moveUser() {
	m.moveTo(ruleUser, "user", EnvUser, m.Text("user"), "the runner lays the image out as root, then becomes the user of the image")
}

// moveWorkDir: the engine would make the directory before the image is there,
// and "/" would not count as asked for.
func (m *move) moveWorkDir() {
	m.moveTo(ruleWorkDir, "workingDirectory", EnvWorkDir, m.Text("workingDirectory"), "the directory is the image's, which is not there at the start")
}

// moveTo takes a member to a variable. What is empty counts as missing, in ECS
// too; of what is no string or list of strings, the report has told.
func (m *move) moveTo(rule, member, name, value, why string) {
	switch {
	case !m.in(member):
	case m.has(member):
		m.Delete(member)
		m.setEnv(name, value)
		m.tell(Move, rule, m.Path+"."+member, "it is in %s now: %s", name, why)
	case m.empty(member):
		m.Delete(member)
		m.tell(Adapt, rule, m.Path+"."+member, "it was empty")
	}
}

func (m *move) empty(member string) bool {
	value, there := m.Get(member)
	list, isList := value.([]any)
	return !there || value == "" || isList && len(list) == 0
}

// needWritableRoot: the image is laid out in the root file system.
func (m *move) needWritableRoot() {
	if !m.Truth("readonlyRootFilesystem") {
		return
	}
	path := m.Path + ".readonlyRootFilesystem"
	if m.refuse(ruleReadonlyRoot, path, "the runner lays the image out in the root file system; leave it out, or have it left out with --allow %s", ruleReadonlyRoot) {
		m.Delete("readonlyRootFilesystem")
	}
}

func (m *move) tellCredentialSpecs() {
	if len(m.List("credentialSpecs")) > 0 {
		m.tell(Warn, ruleCredentialSpecs, m.Path+".credentialSpecs", "gMSA on Linux is not proved with the runner")
	}
}

func (m *move) tellRestart() {
	if m.Object.Object("restartPolicy").Truth("enabled") {
		m.tell(Warn, ruleRestart, m.Path+".restartPolicy", "restartAttemptPeriod counts the time of the first pull; a restart pulls nothing")
	}
}
