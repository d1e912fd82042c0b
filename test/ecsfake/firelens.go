package ecsfake

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/engine"
)

// routed reports whether a container's lines go to the task's log router.
func (c *container) routed() bool {
	l := c.definition.LogConfiguration
	return l != nil && l.LogDriver == types.LogDriverAwsfirelens
}

// router is the task's log router, nil without one.
func (t *task) router() *container {
	for _, c := range t.containers {
		if c.definition.FirelensConfiguration != nil {
			return c
		}
	}
	return nil
}

// firelens is the directory of a task's log router, with its socket and its
// configuration. A socket's path must be short.
func (f *Fake) firelens(t *task) string { return filepath.Join(f.config.Dir, "fl-"+t.id()[:12]) }

// prepareRouter writes what the log router reads: where it listens, what it adds
// to each record, and where the lines of each container go
// (https://aws.amazon.com/blogs/containers/under-the-hood-firelens-for-amazon-ecs-tasks/).
func (f *Fake) prepareRouter(t *task) error {
	router := t.router()
	if router == nil {
		return nil
	}
	dir := f.firelens(t)
	if err := os.MkdirAll(filepath.Join(dir, "socket"), 0o777); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "config"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config", "fluent.conf"), []byte(f.routes(t)), 0o644)
}

// routes is the configuration of a Fluent Bit.
func (f *Fake) routes(t *task) string {
	var b strings.Builder
	b.WriteString("[INPUT]\n    Name forward\n    unix_path /var/run/fluent.sock\n\n")
	b.WriteString("[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port 24224\n\n")
	if t.router().definition.FirelensConfiguration.Options["enable-ecs-log-metadata"] != "false" {
		fmt.Fprintf(&b, "[FILTER]\n    Name record_modifier\n    Match *\n    Record ecs_cluster %s\n    Record ecs_task_arn %s\n    Record ecs_task_definition %s\n\n",
			*t.ClusterArn, *t.TaskArn, (*t.TaskDefinitionArn)[strings.LastIndexByte(*t.TaskDefinitionArn, '/')+1:])
	}
	for _, c := range t.containers {
		if !c.routed() {
			continue
		}
		fmt.Fprintf(&b, "[OUTPUT]\n    Match %s-firelens*\n", c.name())
		options := c.definition.LogConfiguration.Options
		for _, name := range slices.Sorted(maps.Keys(options)) {
			fmt.Fprintf(&b, "    %s %s\n", name, options[name])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// route has a container's lines go to the log router, and the router find its
// files, as the agent does (ecs-agent, agent/taskresource/firelens and
// agent/api/task).
func (f *Fake) route(c *container, h *engine.HostConfig) {
	dir := f.firelens(c.task)
	if c.routed() {
		h.LogConfig = &engine.LogConfig{Type: "fluentd", Config: map[string]string{
			"fluentd-address": "unix://" + filepath.Join(dir, "socket", "fluent.sock"), "fluentd-async": "true", "fluentd-sub-second-precision": "true",
			"tag": c.name() + "-firelens-" + c.task.id(),
		}}
	}
	if r := c.definition.FirelensConfiguration; r != nil {
		place := map[types.FirelensConfigurationType]string{
			types.FirelensConfigurationTypeFluentbit: "/fluent-bit/etc/fluent-bit.conf", types.FirelensConfigurationTypeFluentd: "/fluentd/etc/fluent.conf",
		}[r.Type]
		h.Binds = append(h.Binds, filepath.Join(dir, "config", "fluent.conf")+":"+place, filepath.Join(dir, "socket")+":/var/run")
	}
}

// endRouter removes the log router's files.
func (f *Fake) endRouter(t *task) {
	if t.router() != nil {
		_ = os.RemoveAll(f.firelens(t))
	}
}

// routerEnvironment is what containers know of the router, where there is one.
func (c *container) routerEnvironment() map[string]string {
	switch {
	case c.task.router() == nil:
		return nil
	case c.definition.FirelensConfiguration != nil:
		return map[string]string{"FLUENT_UID": "0"}
	case !c.routed():
		return nil
	}
	return map[string]string{"FLUENT_HOST": "127.0.0.1", "FLUENT_PORT": "24224"}
}
