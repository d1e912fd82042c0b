package rules

import (
	"math"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/ecs"
)

// fargateRules are about what is different on Fargate.
var fargateRules = []Rule{
	{ID: "fargate-network", Severity: Error, Stage: Register, Doc: registerDoc, check: checkFargateNetwork,
		Quote:  "For Amazon ECS tasks on Fargate, the awsvpc network mode is required.",
		Remedy: `set "networkMode": "awsvpc"`},
	{ID: "fargate-size", Severity: Error, Stage: Register, Doc: registerDoc, check: checkFargateSize,
		Quote:  "If using the Fargate launch type, this field is required and you must use one of the following values. This determines your range of supported values for the cpu parameter.",
		Remedy: "choose a pair of " + guide + "task_definition_parameters.html#task_size"},
	{ID: "fargate-parameter", Severity: Error, Stage: Register, Doc: guide + "fargate-tasks-services.html", check: checkFargateParameters,
		Quote:  "The following task definition parameters are not valid in Fargate tasks",
		Remedy: "leave it out, or run on EC2 or Managed Instances"},
	{ID: "fargate-capability", Severity: Error, Stage: Register, Doc: api + "KernelCapabilities.html", check: checkFargateCapabilities,
		Quote:  "Tasks launched on Fargate only support adding the SYS_PTRACE kernel capability.",
		Remedy: "leave the capability out, or run on EC2"},
	{ID: "fargate-pid-mode", Severity: Error, Stage: Register, Doc: registerDoc, check: checkFargatePID,
		Quote:  "On Fargate for Linux containers, the only valid value is task .",
		Remedy: "set task, or leave it out"},
	{ID: "stop-timeout", Severity: Error, Stage: Register, Doc: containerDoc, check: onFargate(between("containerDefinitions[].stopTimeout", 0, 120)),
		Quote:  "For tasks that use the Fargate launch type, the max stop timeout value is 120 seconds",
		Remedy: "set at most 120"},
	{ID: "start-timeout-range", Severity: Error, Stage: Register, Doc: containerDoc, check: onFargate(between("containerDefinitions[].startTimeout", 2, 120)),
		Quote:  "The valid values for Fargate are 2-120 seconds.",
		Remedy: "set 2 to 120"},
	{ID: "ephemeral-storage", Severity: Error, Stage: Register, Doc: api + "EphemeralStorage.html", check: between("ephemeralStorage.sizeInGiB", 21, 200),
		Quote:  "The minimum supported value is 21 GiB and the maximum supported value is 200 GiB.",
		Remedy: "set 21 to 200, or leave it out for 20"},
}

func onFargate(check func(*ecs.Definition, tell)) func(*ecs.Definition, tell) {
	return func(def *ecs.Definition, tell tell) {
		if fargate(def) {
			check(def, tell)
		}
	}
}

func checkFargateNetwork(def *ecs.Definition, tell tell) {
	if fargate(def) && network(def) != "awsvpc" {
		tell("networkMode", "Fargate has no %s network", network(def)).Answer = "Fargate only supports network mode ‘awsvpc’."
	}
}

// gib is a range of memory, in GiB.
type gib struct{ least, most, step float64 }

// fargateSizes are the memories that go with each number of CPU units
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html).
var fargateSizes = map[int64]gib{
	512: {1, 4, 1}, 1024: {2, 8, 1}, 2048: {4, 16, 1}, 4096: {8, 30, 1}, 8192: {16, 60, 4}, 16384: {32, 120, 8},
}

func checkFargateSize(def *ecs.Definition, tell tell) {
	if !fargate(def) {
		return
	}
	const answer = "No Fargate configuration exists for given values."
	cpu, ok := size(def.Root().Text("cpu"), "vcpu")
	if !ok {
		tell("cpu", "Fargate needs it for the task, as in \"256\"").Answer = answer
	}
	memory, known := size(def.Root().Text("memory"), "gb")
	if !known {
		tell("memory", "Fargate needs it for the task, as in \"512\"").Answer = answer
	}
	if ok && known && !fits(cpu, memory) {
		tell("memory", "Fargate has no task of %d CPU units and %d MiB", cpu, memory).Answer = answer
	}
}

// fits says whether Fargate has tasks of so many CPU units and MiB.
func fits(cpu, memory int64) bool {
	if cpu == 256 {
		return memory == 512 || memory == 1024 || memory == 2048
	}
	r, ok := fargateSizes[cpu]
	amount := float64(memory) / 1024
	return ok && amount >= r.least && amount <= r.most && math.Mod(amount-r.least, r.step) == 0
}

// size reads "1024", "1 vCPU" and "0.5 GB".
func size(text, unit string) (int64, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if amount, ok := strings.CutSuffix(text, unit); ok {
		n, err := strconv.ParseFloat(strings.TrimSpace(amount), 64)
		return int64(math.Round(n * 1024)), err == nil && n > 0 && n < 1<<20
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0
}

// notOnFargate are the members without which a definition for Fargate has to
// do (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html).
var notOnFargate = []string{
	"ipcMode", "placementConstraints[]",
	"containerDefinitions[].disableNetworking", "containerDefinitions[].dnsSearchDomains[]", "containerDefinitions[].dnsServers[]",
	"containerDefinitions[].dockerSecurityOptions[]", "containerDefinitions[].extraHosts[]", "containerDefinitions[].links[]", "containerDefinitions[].privileged",
	"containerDefinitions[].resourceRequirements[]", "containerDefinitions[].linuxParameters.devices[]", "containerDefinitions[].linuxParameters.maxSwap",
	"containerDefinitions[].linuxParameters.sharedMemorySize", "containerDefinitions[].linuxParameters.swappiness", "containerDefinitions[].linuxParameters.tmpfs[]",
	"volumes[].dockerVolumeConfiguration", "volumes[].host.sourcePath", "volumes[].fsxWindowsFileServerVolumeConfiguration",
}

func checkFargateParameters(def *ecs.Definition, tell tell) {
	if !fargate(def) {
		return
	}
	for _, pattern := range notOnFargate {
		each(def, pattern, func(path string, value any) {
			if value != false && value != "" {
				tell(path, "Fargate does not have it")
			}
		})
	}
}

func checkFargateCapabilities(def *ecs.Definition, tell tell) {
	if !fargate(def) {
		return
	}
	eachText(def, "containerDefinitions[].linuxParameters.capabilities.add[]", func(path, name string) {
		if strings.ToUpper(name) != "SYS_PTRACE" {
			tell(path, "%s cannot be added", name)
		}
	})
}

func checkFargatePID(def *ecs.Definition, tell tell) {
	if mode := def.Root().Text("pidMode"); fargate(def) && mode == "host" {
		tell("pidMode", "there is no host to share its processes")
	}
}
