package actions

import (
	"regexp"
	"strings"
)

var unsafe = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// createOptions is everything behind "docker create" (DockerCommandManager.cs).
func (c *container) createOptions() string {
	j := c.job
	name := c.alias
	if name == "" {
		name = "job"
	}
	options := []string{"--name " + name + "_" + unsafe.ReplaceAllString(c.def.Image, "") + "_" + randomHex(3), "--label " + j.docker.label}
	if c.alias == "" {
		options = append(options, "--workdir "+j.dirs.toContainer(j.dirs.workspace))
	}
	options = append(options, "--network "+j.network)
	if c.alias != "" && j.network != "host" {
		options = append(options, "--network-alias "+c.alias)
	}
	for _, port := range c.def.Ports {
		options = append(options, "-p "+port)
	}
	options = append(options, c.def.Options)
	options = append(options, c.envOptions()...)
	options = append(options, c.volumeOptions()...)
	entrypoint, arguments := c.def.Entrypoint, c.def.Command
	if c.alias == "" {
		entrypoint, arguments = "tail", `"-f" "/dev/null"`
	}
	if entrypoint != "" {
		options = append(options, `--entrypoint "`+entrypoint+`"`)
	}
	return strings.Join(append(options, c.def.Image, arguments), " ")
}

func (c *container) envOptions() (options []string) {
	env := c.def.Env
	if c.alias == "" {
		// HOME is the runner's, whatever the workflow says.
		env = append(without(env, "HOME"), Pair{"HOME", "/github/home"})
	}
	ci := false
	for _, p := range env {
		ci = ci || p.Name == "CI"
		if p.Value == "" {
			options = append(options, "-e "+quote(p.Name)) // the runner's own, or none
		} else {
			options = append(options, "-e "+quote(p.Name+"="+p.Value))
		}
	}
	options = append(options, "-e GITHUB_ACTIONS=true")
	if !ci {
		options = append(options, "-e CI=true")
	}
	return options
}

func without(env Pairs, name string) (kept Pairs) {
	for _, p := range env {
		if p.Name != name {
			kept = append(kept, p)
		}
	}
	return kept
}

func (c *container) volumeOptions() (options []string) {
	volume := func(source, target, mode string) {
		option := `-v "` + target + `"`
		if source != "" {
			option = `-v "` + source + `":"` + target + `"`
		}
		options = append(options, option+mode)
	}
	d := c.job.dirs
	if c.alias == "" {
		volume(d.socket, "/var/run/docker.sock", "")
	}
	for _, text := range c.def.Volumes {
		parts := strings.Split(text, ":")
		mode := ""
		if last := len(parts) - 1; last > 0 && parts[last] == "ro" {
			parts, mode = parts[:last], ":ro"
		}
		if len(parts) == 1 {
			volume("", parts[0], mode)
		} else {
			volume(parts[0], parts[1], mode)
		}
	}
	if c.alias != "" {
		return options
	}
	volume(d.work, "/__w", "")
	volume(d.externals, "/__e", ":ro")
	volume(d.temp, "/__w/_temp", "")
	volume(d.actions, "/__w/_actions", "")
	volume(d.tools, "/__t", "")
	volume(d.home, "/github/home", "")
	volume(d.flow, "/github/workflow", "")
	return options
}
