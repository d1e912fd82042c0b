package ecs

import (
	"slices"
	"strings"
)

// needed are the capabilities without which the runner cannot lay out an image
// and become its user.
var needed = []string{"ALL", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SETGID", "SETPCAP", "SETUID"}

// usual are the capabilities of a container for which nothing is said
// (https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities).
var usual = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
	"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// dropped are the capabilities of capabilities.drop that the runner needs. A
// privileged container drops none.
func (m *move) dropped() []string {
	if m.Truth("privileged") {
		return nil
	}
	var found []string
	for _, name := range m.Object.Object("linuxParameters").Object("capabilities").Texts("drop") {
		if slices.Contains(needed, strings.ToUpper(name)) {
			found = append(found, strings.ToUpper(name))
		}
	}
	return found
}

// moveCapabilities leaves it to the runner to drop what it needs itself until
// the program starts. The others are not there from the beginning.
func (m *move) moveCapabilities() {
	dropped := m.dropped()
	if len(dropped) == 0 {
		return
	}
	parameters := m.Object.Object("linuxParameters")
	capabilities := parameters.Object("capabilities")
	if slices.Contains(dropped, "ALL") {
		dropped = allBut(capabilities.Texts("add"))
	}
	keep := slices.DeleteFunc(slices.Clone(capabilities.List("drop")), func(value any) bool {
		name, ok := value.(string)
		return ok && slices.Contains(needed, strings.ToUpper(name))
	})
	capabilities.Set("drop", keep)
	deleteEmpty(capabilities, "drop")
	deleteEmpty(parameters, "capabilities")
	deleteEmpty(m.Object, "linuxParameters")
	if len(dropped) > 0 {
		m.setEnv(EnvCapDrop, strings.Join(dropped, ","))
	}
	m.tell(Move, ruleCapabilities, m.Path+".linuxParameters.capabilities.drop", "%s drops them just before the program starts: the runner needs them until then", EnvCapDrop)
}

// allBut is what to drop of all capabilities but those that are added: ALL
// would take these, too.
func allBut(added []string) []string {
	if len(added) == 0 {
		return []string{"ALL"}
	}
	return slices.DeleteFunc(slices.Clone(usual), func(name string) bool {
		return slices.ContainsFunc(added, func(a string) bool { return strings.EqualFold(a, name) })
	})
}
