package rules

import (
	"fmt"
	"strings"

	"github.com/clipperregistry/runner/ecs"
)

// networkRules are about what goes with which network mode.
var networkRules = []Rule{
	{ID: "ports-without-network", Severity: Error, Stage: Register, Doc: containerDoc, check: checkNoPorts,
		Quote:  "If the network mode of a task definition is set to none , then you can't specify port mappings.",
		Remedy: "leave portMappings out"},
	{ID: "host-port", Severity: Error, Stage: Register, Doc: api + "PortMapping.html", check: checkHostPorts,
		Quote:  "If you use containers in a task with the awsvpc or host network mode, the hostPort can either be left blank or set to the same value as the containerPort .",
		Remedy: "leave hostPort out"},
	{ID: "port-number", Severity: Error, Stage: Register, Doc: api + "PortMapping.html", check: checkPortNumbers,
		Quote:  "The containerPortRange valid values are between 1 and 65535.",
		Remedy: "set containerPort from 1 to 65535; hostPort may be 0 for any"},
	{ID: "port-name", Severity: Error, Stage: Register, Doc: api + "PortMapping.html", check: checkPortNames,
		Quote:  "The name can include up to 64 characters. The characters can include lowercase letters, numbers, underscores (_), and hyphens (-). The name can't start with a hyphen.",
		Remedy: "name every port once, of such characters"},
	{ID: "links", Severity: Error, Stage: Register, Doc: containerDoc, check: onlyBridge("links", "Links are not supported when networkMode=%s."),
		Quote:  "This parameter is only supported if the network mode of a task definition is bridge .",
		Remedy: "leave links out: containers of awsvpc tasks reach each other at 127.0.0.1"},
	{ID: "hostname", Severity: Error, Stage: Register, Doc: containerDoc, check: notWithVPC("hostname", "hostname is not supported on container when networkMode=awsvpc."),
		Quote:  "The hostname parameter is not supported if you're using the awsvpc network mode.",
		Remedy: "leave hostname out"},
	{ID: "extra-hosts", Severity: Error, Stage: Register, Doc: containerDoc, check: notWithVPC("extraHosts", "Extra hosts are not supported when networkMode=awsvpc."),
		Quote:  "This parameter isn't supported for Windows containers or tasks that use the awsvpc network mode.",
		Remedy: "leave extraHosts out, and use DNS"},
}

func checkNoPorts(def *ecs.Definition, tell tell) {
	if network(def) != "none" {
		return
	}
	for _, c := range def.Containers() {
		if len(c.List("portMappings")) > 0 {
			tell(c.Path+".portMappings", "there is no network to map ports to")
		}
	}
}

func checkHostPorts(def *ecs.Definition, tell tell) {
	mode := network(def)
	if mode != "awsvpc" && mode != "host" {
		return
	}
	for _, c := range def.Containers() {
		eachEntry(c, "portMappings", func(path string, mapping *ecs.Object) {
			host, given := mapping.Int("hostPort")
			if port, _ := mapping.Int("containerPort"); given && host != 0 && host != port {
				tell(path+".hostPort", "%d is not the container's %d", host, port).Answer =
					"When networkMode=" + mode + ", the host ports and container ports in port mappings must match."
			}
		})
	}
}

func checkPortNumbers(def *ecs.Definition, tell tell) {
	between("containerDefinitions[].portMappings[].containerPort", 1, 65535)(def, tell)
	between("containerDefinitions[].portMappings[].hostPort", 0, 65535)(def, tell)
	eachText(def, "containerDefinitions[].portMappings[].containerPortRange", func(path, text string) {
		var first, last int
		if n, err := fmt.Sscanf(text+"\n", "%d-%d\n", &first, &last); n != 2 || err != nil || first < 1 || first >= last || last > 65535 {
			tell(path, "%q is no range of ports, as in 8000-8010", text)
		}
	})
}

func checkPortNames(def *ecs.Definition, tell tell) {
	seen := map[string]bool{}
	eachText(def, "containerDefinitions[].portMappings[].name", func(path, name string) {
		switch {
		case len(name) > 64, strings.HasPrefix(name, "-"), strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
			tell(path, "%q has other characters, or too many", name)
		case seen[name]:
			tell(path, "%q names two ports", name)
		}
		seen[name] = true
	})
}

// onlyBridge is the check that a member is not used in another network mode.
func onlyBridge(member, answer string) func(*ecs.Definition, tell) {
	return func(def *ecs.Definition, tell tell) {
		for _, c := range def.Containers() {
			if mode := network(def); mode != "bridge" && given(c, member) {
				tell(c.Path+"."+member, "there is none in the network mode %s", mode).Answer = fmt.Sprintf(answer, mode)
			}
		}
	}
}

// notWithVPC is the check that a member is not used with awsvpc.
func notWithVPC(member, answer string) func(*ecs.Definition, tell) {
	return func(def *ecs.Definition, tell tell) {
		for _, c := range def.Containers() {
			if network(def) == "awsvpc" && given(c, member) {
				tell(c.Path+"."+member, "there is none in the network mode awsvpc").Answer = answer
			}
		}
	}
}

// given says whether a string or list has something in it.
func given(c ecs.Container, member string) bool {
	return c.Text(member) != "" || len(c.List(member)) > 0
}
