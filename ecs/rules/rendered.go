package rules

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/ecs"
)

// renderRules are Render's own, under Render's names, as far as a rendered
// definition can break them.
var renderRules = map[string]Rule{
	"app-mesh": {Stage: Start, Doc: guide + "task_definition_parameters.html",
		Quote:  "The configuration details for the App Mesh proxy.",
		Remedy: "move to Service Connect, or allow the rule"},
	"capabilities": {Stage: Start, Doc: api + "KernelCapabilities.html",
		Quote:  "The Linux capabilities for the container that have been removed from the default configuration provided by Docker.",
		Remedy: "render the definition again: the runner drops them once the image is laid out"},
	"credential-specs": {Stage: Run, Doc: guide + "linux-gmsa.html",
		Quote:  "A list of ARNs in SSM or Amazon S3 to a credential spec ( CredSpec ) file that configures the container for Active Directory authentication.",
		Remedy: "try it before you rely on it, or leave the container native"},
	"credentials": {Stage: Start, Doc: secretManagerDoc,
		Quote:  "Sensitive data is injected into your container when the container is initially started.",
		Remedy: "render the definition again with --credentials"},
	"depends-on": {Stage: Run, Doc: dependencyDoc,
		Quote:  "START - This condition emulates the behavior of links and volumes today.",
		Remedy: "wait for HEALTHY"},
	"entrypoint": {Stage: Start, Doc: containerDoc,
		Quote:  "The entry point that's passed to the container. This parameter maps to Entrypoint in the docker container create command",
		Remedy: "render the definition again: an entry point replaces the runner"},
	"environment": {Stage: Start, Doc: containerDoc,
		Quote:  "We don't recommend that you use plaintext environment variables for sensitive information, such as credential data.",
		Remedy: "set each of the runner's variables once, and credentials in secrets alone"},
	"gpu": {Stage: Run, Doc: api + "ResourceRequirement.html",
		Quote:  "The supported resources are GPUs and Neuron devices.",
		Remedy: "try it before you rely on it"},
	"health-check": {Stage: Run, Doc: healthDoc,
		Quote:  "The optional grace period to provide containers time to bootstrap before failed health checks count towards the maximum number of retries.",
		Remedy: "render the definition again, with --health-check where there is none"},
	"image": {Stage: Start, Doc: containerDoc,
		Quote:  "For more information about container image resolution, see [Container image resolution] in the Amazon ECS Developer Guide.",
		Remedy: "render the definition again: ECS pins the runner image alone"},
	"mount-points": {Stage: Start, Doc: api + "MountPoint.html",
		Quote:  "The path on the container to mount the host volume at.",
		Remedy: "mount elsewhere"},
	"native": {Stage: Run, Doc: containerDoc,
		Quote:  "The image used to start a container.",
		Remedy: "render the definition, or name the containers to move"},
	"network": {Stage: Start, Doc: containerDoc,
		Quote:  "When this parameter is true, networking is off within the container.",
		Remedy: "give the container a network"},
	"readonly-root": {Stage: Start, Doc: containerDoc,
		Quote:  "When this parameter is true, the container is given read-only access to its root file system.",
		Remedy: "leave readonlyRootFilesystem out"},
	"restart": {Stage: Run, Doc: api + "ContainerRestartPolicy.html",
		Quote:  "A period of time (in seconds) that the container must run for before a restart can be attempted.",
		Remedy: "give restartAttemptPeriod the time of the first pull"},
	"start-timeout": {Stage: Start, Doc: containerDoc,
		Quote:  "Time duration (in seconds) to wait before giving up on resolving dependencies for a container.",
		Remedy: "render the definition again, or let nothing wait for the container"},
	"storage": {Stage: Start, Doc: guide + "fargate-task-storage.html",
		Quote:  "you must subtract the amount of storage your container image uses from the total amount of ephemeral storage your task is allocated",
		Remedy: "render the definition again, or set ephemeralStorage.sizeInGiB"},
	"user": {Stage: Start, Doc: containerDoc,
		Quote:  "The user to use inside the container.",
		Remedy: "render the definition again: no other user than root can lay out an image"},
	"volumes-from": {Stage: Run, Doc: api + "VolumeFrom.html",
		Quote:  "The name of another container within the same task definition to mount volumes from.",
		Remedy: "mount volumes of the task"},
	"windows": {Stage: Start, Doc: api + "RuntimePlatform.html",
		Quote:  "The operating system.",
		Remedy: "leave Windows containers as they are"},
	"workdir": {Stage: Run, Doc: containerDoc,
		Quote:  "The working directory to run commands inside the container in.",
		Remedy: "render the definition again"},
}

// renderRule is the rule of a change.
func renderRule(name string) Rule {
	r := renderRules[name]
	r.ID, r.Severity = name, Error
	return r
}

// Rendered tells what of Render's rules the moved containers of a definition
// break: what would be refused, and what rendering would change, because
// somebody changed the definition since, or because options.Resolve tells of
// images that need more room or time. Of options it uses Resolve, PullRate and
// Allow. A definition without a moved container is told as one finding.
func Rendered(ctx context.Context, def *ecs.Definition, options ecs.Options) ([]Finding, error) {
	var moved []string
	for _, c := range def.Containers() {
		if c.Moved() {
			moved = append(moved, c.Name())
		}
	}
	if moved == nil {
		f := renderRule("native").Finding("containerDefinitions", "none of them is the runner's")
		f.Severity = Warning
		return []Finding{f}, nil
	}
	_, changes, err := ecs.Render(ctx, def, ecs.Options{Containers: moved, Resolve: options.Resolve, PullRate: options.PullRate, Allow: options.Allow})
	if err != nil && !errors.Is(err, ecs.ErrRefused) {
		return nil, err
	}
	return Changes(changes, options.Resolve != nil), nil
}

// Changes are the findings in what Render reports of a definition that should
// be as it is. Without known images, the time that Render gives to images of
// unknown sizes is no finding.
func Changes(changes []ecs.Change, known bool) []Finding {
	var found []Finding
	for _, c := range changes {
		if _, ours := renderRules[c.Rule]; !ours || c.Verb == ecs.Keep {
			continue
		}
		f := renderRule(c.Rule).Finding(c.Path, "%s", c.Text)
		switch {
		case c.Verb == ecs.Warn:
			f.Severity = Warning
		case c.Verb == ecs.Reject:
		case c.Rule == "health-check" && !known && !strings.HasSuffix(c.Path, ".command"):
			continue
		case c.Rule == "image":
			f.Severity = Warning
			fallthrough
		default:
			f.Text = "it has to be changed: " + c.Text
		}
		found = append(found, f)
	}
	return found
}

// RenderTable is Render's rules as far as findings may have them, by their
// names.
func RenderTable() []Rule {
	var table []Rule
	for _, name := range slices.Sorted(maps.Keys(renderRules)) {
		table = append(table, renderRule(name))
	}
	return table
}
