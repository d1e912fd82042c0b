package rules

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// containerRules are about single containers on any kind of capacity.
var containerRules = []Rule{
	{ID: "container-name", Severity: Error, Stage: Register, Doc: containerDoc, check: checkNames,
		Quote:  "Up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens are allowed.",
		Remedy: "give every container a name of its own, of such characters"},
	{ID: "container-image", Severity: Error, Stage: Register, Doc: containerDoc, check: checkImages,
		Quote:  "The image used to start a container.",
		Remedy: "name an image as in registry/name:tag"},
	{ID: "essential-container", Severity: Error, Stage: Register, Doc: containerDoc, check: checkEssential,
		Quote:  "All tasks must have at least one essential container.",
		Remedy: "leave essential out of the container that the task is about"},
	{ID: "container-memory", Severity: Error, Stage: Register, Doc: containerDoc, check: checkMemory,
		Quote: "If a task-level memory value is not specified, you must specify a non-zero integer for one or both of memory or memoryReservation in a container definition. " +
			"If you specify both, memory must be greater than memoryReservation .",
		Remedy: "set memory for the task or the container"},
	{ID: "memory-minimum", Severity: Error, Stage: Start, Doc: containerDoc, check: checkLeastMemory,
		Quote:  "The Docker 20.10.0 or later daemon reserves a minimum of 6 MiB of memory for a container. So, don't specify less than 6 MiB of memory for your containers.",
		Remedy: "set 6 MiB or more"},
	{ID: "task-memory", Severity: Error, Stage: Register, Doc: containerDoc, check: checkTaskMemory,
		Quote:  "The total amount of memory reserved for all containers within a task must be lower than the task memory value, if one is specified.",
		Remedy: "give the task more memory, or its containers less"},
	{ID: "task-cpu", Severity: Error, Stage: Register, Doc: containerDoc, check: checkTaskCPU,
		Quote:  "the only requirement is that the total amount of CPU reserved for all containers within a task be lower than the task-level cpu value.",
		Remedy: "give the task more cpu, or its containers less"},
	{ID: "capability-name", Severity: Error, Stage: Register, Doc: api + "KernelCapabilities.html", check: checkCapabilities,
		Quote:  `Valid values: "ALL" | "AUDIT_CONTROL" | "AUDIT_WRITE" | "BLOCK_SUSPEND" |`,
		Remedy: "name capabilities as ECS does, without CAP_"},
	{ID: "swappiness", Severity: Error, Stage: Register, Doc: api + "LinuxParameters.html", check: between("containerDefinitions[].linuxParameters.swappiness", 0, 100),
		Quote:  "Accepted values are whole numbers between 0 and 100 .",
		Remedy: "set such a number, or leave it out"},
	{ID: "restart-period", Severity: Error, Stage: Register, Doc: api + "ContainerRestartPolicy.html", check: between("containerDefinitions[].restartPolicy.restartAttemptPeriod", 60, 1800),
		Quote:  "You can set a minimum restartAttemptPeriod of 60 seconds and a maximum restartAttemptPeriod of 1800 seconds.",
		Remedy: "set 60 to 1800 seconds"},
	{ID: "restart-exit-codes", Severity: Error, Stage: Register, Doc: api + "ContainerRestartPolicy.html", check: checkExitCodes,
		Quote:  "You can specify a maximum of 50 container exit codes.",
		Remedy: "list at most 50"},
	{ID: "resource", Severity: Error, Stage: Register, Doc: api + "ResourceRequirement.html", check: oneOf("containerDefinitions[].resourceRequirements[].type", words(types.ResourceType("").Values())...),
		Quote:  "The supported resources are GPUs and Neuron devices.",
		Remedy: "name GPU or NeuronDevice"},
}

func checkNames(def *ecs.Definition, tell tell) {
	seen := map[string]bool{}
	for _, c := range def.Containers() {
		switch name := c.Name(); {
		case name == "":
			tell(c.Path+".name", "it is missing").Answer = "Container.name should not be null or empty."
		case !named(name):
			tell(c.Path+".name", "%q has other characters, or too many", name)
		case seen[name]:
			tell(c.Path+".name", "two containers have this name")
		default:
			seen[name] = true
		}
	}
}

func checkImages(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		image := c.Text("image")
		if image == "" {
			tell(c.Path+".image", "it is missing").Answer = "Container.image should not be null or empty."
		} else if _, err := oci.ParseReference(image); err != nil {
			tell(c.Path+".image", "%v", err)
		}
	}
}

func checkEssential(def *ecs.Definition, tell tell) {
	if !slices.ContainsFunc(def.Containers(), ecs.Container.Essential) {
		tell("containerDefinitions", "none of them is essential")
	}
}

func checkMemory(def *ecs.Definition, tell tell) {
	whole := def.Root().Text("memory") != ""
	for _, c := range def.Containers() {
		hard, _ := c.Int("memory")
		soft, _ := c.Int("memoryReservation")
		switch {
		case hard == 0 && soft == 0 && !whole && !fargate(def):
			tell(c.Path+".memory", "neither the task nor the container says how much").Answer =
				"Invalid setting for container '" + c.Name() + "'. At least one of 'memory' or 'memoryReservation' must be specified."
		case hard != 0 && soft > hard:
			tell(c.Path+".memoryReservation", "%d MiB are more than the %d of memory", soft, hard)
		}
	}
}

func checkLeastMemory(def *ecs.Definition, tell tell) {
	for _, member := range []string{"memory", "memoryReservation"} {
		eachInt(def, "containerDefinitions[]."+member, func(path string, n int64) {
			if n != 0 && n < 6 {
				tell(path, "%d MiB are too little for any container", n)
			}
		})
	}
}

func checkTaskMemory(def *ecs.Definition, tell tell) {
	whole, ok := size(def.Root().Text("memory"), "gb")
	if !ok {
		return
	}
	var sum int64
	for _, c := range def.Containers() {
		hard, _ := c.Int("memory")
		if hard > whole {
			tell(c.Path+".memory", "%d MiB are more than the %d of the task", hard, whole)
		}
		if soft, given := c.Int("memoryReservation"); given {
			hard = soft
		}
		sum += hard
	}
	if sum > whole {
		tell("memory", "the containers reserve %d MiB of the task's %d", sum, whole)
	}
}

func checkTaskCPU(def *ecs.Definition, tell tell) {
	whole, ok := size(def.Root().Text("cpu"), "vcpu")
	if !ok {
		return
	}
	var sum int64
	for _, c := range def.Containers() {
		cpu, _ := c.Int("cpu")
		sum += cpu
	}
	if sum > whole {
		tell("cpu", "the containers reserve %d units of the task's %d", sum, whole)
	}
}

// capabilities are those that ECS knows
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html).
var capabilities = strings.Fields(`ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK
	IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP
	SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM`)

func checkCapabilities(def *ecs.Definition, tell tell) {
	for _, member := range []string{"add", "drop"} {
		eachText(def, "containerDefinitions[].linuxParameters.capabilities."+member+"[]", func(path, name string) {
			if !slices.Contains(capabilities, strings.ToUpper(name)) {
				tell(path, "ECS has no capability %q", name)
			}
		})
	}
}

func checkExitCodes(def *ecs.Definition, tell tell) {
	each(def, "containerDefinitions[].restartPolicy.ignoredExitCodes", func(path string, value any) {
		if list, ok := value.([]any); ok && len(list) > 50 {
			tell(path, "they are %d", len(list))
		}
	})
}
