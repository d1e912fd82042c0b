package actions

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	backOffLeast = time.Second
	healthLeast  = 2 * time.Second
	healthMost   = 32 * time.Second
)

// container is a container of the job.
type container struct {
	job   *job
	alias string // "" for the job's container
	def   Container
	id    string
	path  string // PATH in the container's config
}

// startContainers starts the job's container and its services, one after the
// other, and then waits for the services' health
// (ContainerOperationProvider.cs).
func (j *job) startContainers() error {
	if err := j.makeNetwork(); err != nil {
		return err
	}
	var all []*container
	if j.def.Container != nil {
		all = append(all, &container{job: j, def: *j.def.Container})
	}
	for _, service := range j.def.Services {
		all = append(all, &container{job: j, def: service.Container, alias: service.Alias})
	}
	var started []*container
	for _, c := range all {
		if err := c.expand(); err != nil {
			return err
		}
		if c.def.Image == "" {
			continue // as if it were not there
		}
		if err := c.start(); err != nil {
			return err
		}
		if c.alias == "" {
			j.host = c
		}
		started = append(started, c)
	}
	return j.awaitHealth(started)
}

func (j *job) makeNetwork() error {
	if j.req.HostNetwork {
		j.network = "host"
		j.listen("127.0.0.1")
		return nil
	}
	network := "github_network_" + randomHex(16)
	if _, exit := j.docker.run("network create", "--label "+j.docker.label+" "+network); exit != 0 {
		return fmt.Errorf("Docker network create failed with exit code %d", exit)
	}
	j.network = network
	if j.req.Listen == nil {
		return nil
	}
	// The runner does not ask this; the tests do.
	address, err := j.docker.output("network inspect", `--format "{{(index .IPAM.Config 0).Gateway}}" `+network)
	if err == nil {
		j.listen(address)
	}
	return err
}

func (j *job) listen(address string) {
	if j.req.Listen == nil {
		return
	}
	for name, value := range j.req.Listen(address) {
		j.vars[name] = value
	}
}

// expand evaluates the definition. The contexts are those that GitHub allows in
// each place.
func (c *container) expand() (err error) {
	places := scope{contexts: c.job.contexts("github", "matrix", "vars", "env")}
	texts := []*string{&c.def.Image, &c.def.Options, &c.def.Entrypoint, &c.def.Command}
	// env is for the values of env and for credentials only.
	delete(places.contexts, "env")
	for _, list := range [][]string{c.def.Ports, c.def.Volumes} {
		for n := range list {
			texts = append(texts, &list[n])
		}
	}
	for _, text := range texts {
		if *text, err = places.expand(*text); err != nil {
			return err
		}
	}
	values := scope{contexts: c.job.contexts("github", "matrix", "vars", "env", "secrets")}
	texts = []*string{&c.def.Credentials.Username, &c.def.Credentials.Password}
	for n := range c.def.Env {
		texts = append(texts, &c.def.Env[n].Value)
	}
	for _, text := range texts {
		if *text, err = values.expand(*text); err != nil {
			return err
		}
	}
	return nil
}

// start pulls the image, creates the container and starts it.
func (c *container) start() (err error) {
	j := c.job
	group := "Starting job container"
	if c.alias != "" {
		group = "Starting " + c.alias + " service container"
	}
	j.log.print("##[group]" + group)
	defer j.log.print("##[endgroup]")
	config, err := c.logIn()
	if err != nil {
		return err
	}
	err = j.docker.pull(c.def.Image, config)
	if config != "" {
		_ = os.RemoveAll(config) // below _temp, which goes anyway
	}
	if err != nil {
		return err
	}
	if c.id, err = j.docker.output("create", c.createOptions()); err != nil {
		return err
	}
	j.stale = append(j.stale, c.id)
	if _, exit := j.docker.run("start", c.id); exit != 0 {
		return fmt.Errorf("Docker start fail with exit code %d", exit)
	}
	lines, _ := j.docker.run("ps", `--all --filter id=`+c.id+` --filter status=running --no-trunc --format "{{.ID}} {{.Status}}"`)
	if len(lines) == 0 {
		j.docker.run("logs", "--details "+c.id)
		j.log.printf("##[warning]Docker container %s is not in running state.", c.id)
	}
	if c.alias != "" {
		j.docker.run("port", c.id)
		return nil
	}
	env, _ := j.docker.run("inspect", `--format "{{range .Config.Env}}{{println .}}{{end}}" `+c.id)
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			c.path = value
		}
	}
	return nil
}

// logIn logs in for the pull, with a configuration of its own.
func (c *container) logIn() (config string, err error) {
	credentials := c.def.Credentials
	if credentials.Username == "" || credentials.Password == "" {
		return "", nil
	}
	c.job.log.addMask(credentials.Password)
	config = filepath.Join(c.job.dirs.temp, ".docker_"+randomHex(16))
	if err := os.MkdirAll(config, 0o700); err != nil {
		return "", err
	}
	server := ""
	if parts := strings.Split(c.def.Image, "/"); len(parts) == 2 && strings.ContainsAny(parts[0], ":.") || len(parts) > 2 {
		server = parts[0]
	}
	arguments := fmt.Sprintf("%s -u %s --password-stdin", server, credentials.Username)
	for range 3 {
		if _, exit := c.job.docker.runAs(c.job.cancelled, "--config "+config+" login", arguments, credentials.Password+"\n"); exit == 0 {
			return config, nil
		}
		if err := c.job.wait(backOffLeast); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("Docker login for '%s' failed with exit code 1", server)
}

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

// awaitHealth waits for services that have a health check.
func (j *job) awaitHealth(containers []*container) error {
	failed := false
	for _, c := range containers {
		if c.alias == "" {
			continue
		}
		health, err := c.health()
		for wait := healthLeast; err == nil && health == "starting"; wait = min(2*wait, healthMost) {
			j.log.printf("%s service is starting, waiting before checking again.", c.alias)
			if err = j.wait(wait); err == nil {
				health, err = c.health()
			}
		}
		if err != nil {
			return err
		}
		if health == "" || health == "healthy" {
			j.log.printf("%s service is healthy.", c.alias)
			continue
		}
		failed = true
		j.docker.run("logs", "--details "+c.id)
		j.fail(fmt.Errorf("Failed to initialize container %s", c.def.Image))
	}
	if failed {
		return fmt.Errorf("One or more containers failed to start.")
	}
	return nil
}

// health is "" where the container has no health check.
func (c *container) health() (string, error) {
	return c.job.docker.output("inspect", `--format="{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}" `+c.id)
}

// stopContainers removes the containers and their network: PID 1 is killed
// without a word, and anonymous volumes stay.
func (j *job) stopContainers() {
	for n, id := range j.stale {
		if n > 0 || j.def.Container == nil {
			j.docker.clean("logs", "--details "+id)
		}
		j.docker.clean("rm", "--force "+id)
	}
	if j.network != "" && j.network != "host" {
		j.docker.clean("network rm", j.network)
	}
}

// run executes a command of a step in the job's container (StepHost.cs).
func (c *container) run(cancelled context.Context, s *running, cmd stepCommand) (exit int, err error) {
	words := []string{"exec", "-i", "--workdir " + c.location(cmd.dir)}
	process := c.job.hostEnv()
	for _, name := range sortedNames(cmd.env) {
		words = append(words, "-e "+quote(name))
		process = append(process, name+"="+c.location(cmd.env[name]))
	}
	if prepended := c.job.prepended(); prepended != "" {
		full := prepended
		if c.path != "" {
			full += ":" + c.path
		}
		words = append(words, `-e PATH="`+full+`"`)
		s.result.Path = full
	} else {
		s.result.Path = cmd.env["PATH"]
	}
	words = append(words, c.id, cmd.file, cmd.arguments)
	docker := c.job.docker.command(strings.Join(words, " "))
	docker.Env = process
	if exit, err = invoke(cancelled, docker, s.output); err != nil {
		// "Argument list too long" is the engine's client's, not the script's.
		s.annotate("error", fmt.Sprintf("An error occurred trying to start process '/usr/bin/docker' with working directory '%s'. %s", c.job.dirs.work, rootCause(err)), nil)
		return 126, nil
	}
	return exit, nil
}

func rootCause(err error) string {
	if e, ok := err.(*os.PathError); ok {
		return e.Err.Error()
	}
	return err.Error()
}

func (c *container) location(path string) string { return c.job.dirs.toContainer(path) }

// node picks the runner's node for JavaScript actions, for each step anew.
func (c *container) node(version string) (string, error) {
	lines, exit := c.job.docker.run("exec", c.id+` sh -c "cat /etc/*release | grep ^ID"`)
	if exit == 0 && strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "alpine") {
		version += "_alpine"
	}
	return filepath.Join("/__e", version, "bin/node"), nil
}
