package rules

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
)

// shapeRules are about what is a task definition at all.
var shapeRules = []Rule{
	{ID: "unknown-member", Severity: Error, Stage: Register, Doc: registerDoc, check: misfits(true),
		Quote:  "The request accepts the following data in JSON format.",
		Remedy: "correct the name or leave the member out: ECS would never see it"},
	{ID: "member-type", Severity: Error, Stage: Register, Doc: registerDoc, check: misfits(false),
		Quote:  "The request accepts the following data in JSON format.",
		Remedy: "give the member a value of its type"},
	{ID: "definition-size", Severity: Error, Stage: Register, Doc: guide + "service-quotas.html", check: checkSize,
		Quote:  "Task definition size: 64 Kilobytes",
		Remedy: "move environment into files on S3 (environmentFiles) or secrets, or split the task"},
	{ID: "family", Severity: Error, Stage: Register, Doc: registerDoc, check: checkFamily,
		Quote:  "Up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens are allowed.",
		Remedy: "name a family of such characters"},
}

// taskRules are about the task as a whole.
var taskRules = []Rule{
	{ID: "network-mode", Severity: Error, Stage: Register, Doc: registerDoc, check: oneOf("networkMode", words(types.NetworkMode("").Values())...),
		Quote:  "The valid values are none , bridge , awsvpc , and host .",
		Remedy: "name one of them, in lower case"},
	{ID: "pid-mode", Severity: Error, Stage: Register, Doc: registerDoc, check: oneOf("pidMode", words(types.PidMode("").Values())...),
		Quote:  "The process namespace to use for the containers in the task. The valid values are host or task .",
		Remedy: "name one of them, or leave it out"},
	{ID: "ipc-mode", Severity: Error, Stage: Register, Doc: registerDoc, check: oneOf("ipcMode", words(types.IpcMode("").Values())...),
		Quote:  "The IPC resource namespace to use for the containers in the task. The valid values are host , task , or none .",
		Remedy: "name one of them, or leave it out"},
	{ID: "compatibility", Severity: Error, Stage: Register, Doc: registerDoc, check: oneOf("requiresCompatibilities[]", words(types.Compatibility("").Values())...),
		Quote:  "A client exception is returned if the task definition doesn't validate against the compatibilities specified.",
		Remedy: "name what ECS knows, in upper case"},
	{ID: "cpu-architecture", Severity: Error, Stage: Register, Doc: api + "RuntimePlatform.html", check: oneOf("runtimePlatform.cpuArchitecture", words(types.CPUArchitecture("").Values())...),
		Quote:  "You can run your Linux tasks on an ARM-based platform by setting the value to ARM64 .",
		Remedy: "name one of them; linux/arm64 is ARM64"},
	{ID: "operating-system", Severity: Error, Stage: Register, Doc: api + "RuntimePlatform.html", check: oneOf("runtimePlatform.operatingSystemFamily", words(types.OSFamily("").Values())...),
		Quote:  "The operating system.",
		Remedy: "set LINUX, or leave it out"},
	{ID: "role-arn", Severity: Error, Stage: Register, Doc: registerDoc, check: checkRoles,
		Quote:  "The short name or full Amazon Resource Name (ARN) of the IAM role that containers in this task can assume.",
		Remedy: "write arn:aws:iam::ACCOUNT:role/NAME"},
	{ID: "container-count", Severity: Error, Stage: Register, Doc: guide + "service-quotas.html", check: checkContainerCount,
		Quote:  "The maximum number of containers definitions within a task definition.",
		Remedy: "split the task: ten containers are the most"},
	{ID: "placement-constraints", Severity: Error, Stage: Register, Doc: registerDoc, check: checkPlacement,
		Quote:  "You can specify a maximum of 10 constraints for each task.",
		Remedy: "combine expressions with `and`"},
	{ID: "tags", Severity: Error, Stage: Register, Doc: registerDoc, check: checkTags,
		Quote:  "Maximum number of tags per resource - 50",
		Remedy: "keep to 50 tags, keys of 128 and values of 256 characters, none of which begins with aws:"},
	{ID: "proxy-container", Severity: Error, Stage: Register, Doc: api + "ProxyConfiguration.html", check: checkProxy,
		Quote:  "The name of the container that will serve as the App Mesh proxy.",
		Remedy: "name a container of the definition, or leave proxyConfiguration out"},
}

// misfits is the check for members that ECS does not know, or for values of
// another type.
func misfits(unknown bool) func(*ecs.Definition, tell) {
	return func(def *ecs.Definition, tell tell) {
		for _, m := range def.Misfits() {
			if m.Unknown == unknown {
				tell(m.Path, "%s", m.Text)
			}
		}
	}
}

func checkSize(def *ecs.Definition, tell tell) {
	text, err := def.MarshalJSON()
	if err == nil && len(text) > ecs.MaxSize {
		tell("", "it has %d bytes, and ECS takes %d", len(text), ecs.MaxSize)
	}
}

func checkFamily(def *ecs.Definition, tell tell) {
	switch {
	case def.Family() == "":
		tell("family", "it is missing").Answer = "Family should not be null or empty."
	case !named(def.Family()):
		tell("family", "%q has other characters, or too many", def.Family())
	}
}

func checkRoles(def *ecs.Definition, tell tell) {
	for _, member := range []string{"executionRoleArn", "taskRoleArn"} {
		if role := def.Root().Text(member); role != "" {
			if _, err := ParseRole(role); err != nil {
				tell(member, "%v", err).Answer = "Role is not valid"
			}
		}
	}
}

func checkContainerCount(def *ecs.Definition, tell tell) {
	if n := len(def.Root().List("containerDefinitions")); n < 1 || n > 10 {
		tell("containerDefinitions", "they are %d", n)
	}
}

func checkPlacement(def *ecs.Definition, tell tell) {
	if n := len(def.Root().List("placementConstraints")); n > 10 {
		tell("placementConstraints", "they are %d", n)
	}
}

func checkTags(def *ecs.Definition, tell tell) {
	times := map[string]int{}
	own := 0
	for i, tag := range def.Root().Objects("tags") {
		key, path := tag.Text("key"), entryPath("tags", nil, i)
		if times[key]++; times[key] == 2 {
			tell(path, "the key %q comes twice", key)
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			continue // they do not count, and deploy leaves them to AWS
		}
		own++
		if n := utf8.RuneCountInString(key); n < 1 || n > 128 {
			tell(path+".key", "it has %d characters", n)
		}
		if n := utf8.RuneCountInString(tag.Text("value")); n > 256 {
			tell(path+".value", "it has %d characters", n)
		}
	}
	if own > 50 {
		tell("tags", "they are %d", own)
	}
}

func checkProxy(def *ecs.Definition, tell tell) {
	proxy := def.Root().Object("proxyConfiguration")
	if proxy == nil {
		return
	}
	if name := proxy.Text("containerName"); !hasContainer(def, name) {
		tell("proxyConfiguration.containerName", "there is no container %q", name)
	}
}

func hasContainer(def *ecs.Definition, name string) bool {
	return slices.ContainsFunc(def.Containers(), func(c ecs.Container) bool { return c.Name() == name })
}
