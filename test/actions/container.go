package actions

import (
	"fmt"
	"os"
	"path/filepath"
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
	if j.runner.Kubernetes {
		return j.startPod()
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

// makeNetwork makes the network of the job's containers, if it has any.
func (j *job) makeNetwork(contained bool) error {
	if j.req.HostNetwork || !contained {
		j.network = "host"
		j.listen("127.0.0.1")
		return nil
	}
	network := "github_network_" + randomHex(16)
	if _, exit := j.docker.run("network create", "--label "+j.docker.label+" "+network); exit != 0 {
		return saidf("Docker network create failed with exit code %d", exit)
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
	c.def.Options = strings.TrimSpace(c.job.req.Options + " " + c.def.Options)
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
	if elsewhere, ok := c.job.runner.Images[c.def.Image]; ok {
		c.def.Image = elsewhere
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
	j.containers = append(j.containers, c)
	if _, exit := j.docker.run("start", c.id); exit != 0 {
		return saidf("Docker start fail with exit code %d", exit)
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
	return "", saidf("Docker login for '%s' failed with exit code 1", server)
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
		j.fail(saidf("Failed to initialize container %s", c.def.Image))
	}
	if failed {
		return saidf("One or more containers failed to start.")
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
	for _, c := range j.containers {
		if c.alias != "" {
			j.docker.clean("logs", "--details "+c.id)
		}
		j.docker.clean("rm", "--force "+c.id)
	}
	if j.network != "" && j.network != "host" {
		j.docker.clean("network rm", j.network)
	}
}
