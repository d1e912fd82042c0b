package ecs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// sidecars are the repositories of programs that belong to the platform and
// not to the application: they are small, are configured from outside, and
// others wait for them. Any registry and any names before count, as they are
// often copied.
var sidecars = []string{
	"aws-for-fluent-bit", "fluent-bit", "fluentd", // log routers
	"aws-xray-daemon", "aws-otel-collector", "opentelemetry-collector", "opentelemetry-collector-contrib", "cloudwatch-agent",
	"aws-appmesh-envoy", "envoy", "ecs-service-connect-agent",
	"datadog/agent", "datadog-agent", "newrelic/infrastructure", "newrelic/nri-ecs",
}

// native says why a container stays as it is, "" if it is to be moved.
func (r *rendering) native(c Container) string {
	if wanted := r.options.Containers; len(wanted) > 0 {
		if !slices.Contains(wanted, c.Name()) {
			return "it is none of the containers to move"
		}
		return ""
	}
	switch {
	case c.Moved():
		return ""
	case c.Object.Object("dockerLabels").Text(LabelEnable) == "false":
		return "its label " + LabelEnable + " is false"
	case c.Object.Object("firelensConfiguration") != nil:
		return "it is the log router of the task"
	case c.Name() != "" && c.Name() == r.def.root.Object("proxyConfiguration").Text("containerName"):
		return "it is the proxy of the task"
	}
	if ref, err := oci.ParseReference(c.Text("image")); err == nil {
		for _, sidecar := range sidecars {
			if strings.HasSuffix("/"+ref.Repository(), "/"+sidecar) {
				return fmt.Sprintf("%s is a sidecar; name the container to move it", sidecar)
			}
		}
	}
	return ""
}

// check finds options that name what the definition does not have.
func (o Options) check(def *Definition) error {
	names := map[string]bool{"": true}
	for _, c := range def.Containers() {
		names[c.Name()] = true
	}
	for _, name := range append(slices.Sorted(maps.Keys(o.Credentials)), o.Containers...) {
		if !names[name] {
			return fmt.Errorf("%w: the definition has no container %q", ErrOptions, name)
		}
	}
	for _, name := range o.Allow {
		if !slices.Contains(allowable, name) {
			return fmt.Errorf("%w: %q is no rule that may be broken; those are %s", ErrOptions, name, strings.Join(allowable, ", "))
		}
	}
	if o.RunnerImage != "" {
		if _, err := oci.ParseReference(o.RunnerImage); err != nil {
			return fmt.Errorf("%w: runner image: %w", ErrOptions, err)
		}
	}
	return o.Store.check(def)
}
