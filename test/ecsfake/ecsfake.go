// Package ecsfake is Amazon ECS on a Docker Engine, for tests: an HTTP server
// that answers the SDK's calls to ECS and to what surrounds it (SSM, Secrets
// Manager, STS, IAM, ECR, CloudWatch Logs, Elastic Load Balancing), and runs
// every task as real containers. To these it is what the ECS agent is: it has
// their roles' credentials, their metadata and a log router's socket. Tests set
// a world up through the SDK's own clients, made with Fake.Config, and watch
// what becomes of it.
//
// How ECS behaves is copied from its documentation; where a line of code
// stands for a rule of ECS, a comment cites it; definitions are refused by the
// table of package rules, whose rows do. What the documentation leaves open is
// as the ECS agent does it (https://github.com/aws/amazon-ecs-agent).
//
// Not copied: capacity (there is always room, unless Fault says otherwise),
// networks (awsvpc and bridge share Config.Network, by default the host's),
// and time: Config.Speed shortens what ECS waits by its own clock.
package ecsfake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/clipperregistry/runner/test/ecsfake/engine"
)

// Config is what a Fake is made of.
type Config struct {
	// DockerHost is the engine's socket. Default: $DOCKER_HOST.
	DockerHost string
	// Dir is a directory for file systems (EFS, S3 Files) that tasks mount; the
	// engine must see it, too. Default: a temporary one, removed by Close.
	Dir string
	// Region and Account are where everything lives. Default: eu-central-1, 123456789012.
	Region, Account string
	// Network is what containers of awsvpc and bridge tasks get. Default: "host".
	Network string
	// Speed divides the waits that are ECS's own: intervals and start periods
	// of health checks, grace, bake and back-off times. Default: 1.
	Speed float64
	// Environment is given to all containers, beneath all that a definition sets.
	Environment map[string]string
	// Cached lets tasks on Fargate start from an image that the engine has and
	// that cannot be pulled, as tasks on EC2 do always.
	Cached bool
	// Images are where the engine finds images, by the names that definitions
	// use. What is not named is found at its own name.
	Images map[string]string
	// Registry is the host:port of the registry that stands for Amazon ECR:
	// images of ACCOUNT.dkr.ecr.REGION.amazonaws.com are pulled from there.
	Registry string
	// CredentialsAddress is where task roles' credentials are served as ECS does
	// it, "169.254.170.2:80"; the machine must have that address. Default: at
	// Fake.URL, and AWS_CONTAINER_CREDENTIALS_FULL_URI says so in place of
	// AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.
	CredentialsAddress string
}

// Fake is a running one. Its methods are safe for concurrent use.
type Fake struct {
	// URL is the endpoint of all services.
	URL string

	config  Config
	ownDir  bool
	engine  *engine.Engine
	servers []*http.Server
	ops     map[string]operation

	// life ends when Close is called; running counts what has to end then.
	life    context.Context
	die     context.CancelFunc
	running sync.WaitGroup

	// mu guards all that follows. Calls hold it while they are answered.
	mu     sync.Mutex
	serial int
	traffic
	identities
	parameters map[string]*parameter // by ARN
	secrets    map[string]*secret    // by ARN
	repos      map[string]*repository
	objects    map[string]string     // of S3, by ARN
	endpoints  map[string]*container // by the id in the URL of their metadata
	logs       map[string]*logGroup
	balancing
	clusters
}

// Start starts a fake and its default cluster. The context limits only the start.
func Start(ctx context.Context, config Config) (*Fake, error) {
	config = config.withDefaults()
	if config.DockerHost == "" {
		return nil, errors.New("ECS for tests needs a Docker Engine, and DOCKER_HOST names none: run `make test`, which starts one")
	}
	docker, err := engine.New(config.DockerHost)
	if err != nil {
		return nil, err
	}
	if err := docker.Ping(ctx); err != nil {
		return nil, fmt.Errorf("no Docker Engine answers at %s (run `make test`, which starts one): %w", config.DockerHost, err)
	}
	f := &Fake{config: config, engine: docker, traffic: newTraffic(), parameters: map[string]*parameter{}, secrets: map[string]*secret{},
		repos: map[string]*repository{}, objects: map[string]string{}, endpoints: map[string]*container{}, logs: map[string]*logGroup{}, balancing: newBalancing(), clusters: newClusters()}
	f.identities = newIdentities(config.Account)
	if config.Dir == "" {
		if f.config.Dir, err = os.MkdirTemp("", "ecsfake"); err != nil {
			return nil, err
		}
		f.ownDir = true
	}
	f.life, f.die = context.WithCancel(context.Background())
	f.register()
	addresses := []string{"127.0.0.1:0"}
	if config.CredentialsAddress != "" {
		addresses = append(addresses, config.CredentialsAddress)
	}
	for i, address := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if i == 0 {
			f.URL = "http://" + listener.Addr().String()
		}
		server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
		f.servers = append(f.servers, server)
		f.running.Go(func() { _ = server.Serve(listener) })
	}
	f.clusters.create(f, "default")
	f.running.Go(f.schedule)
	return f, nil
}

func (c Config) withDefaults() Config {
	if c.DockerHost == "" {
		c.DockerHost = os.Getenv("DOCKER_HOST")
	}
	if c.Region == "" {
		c.Region = "eu-central-1"
	}
	if c.Account == "" {
		c.Account = "123456789012"
	}
	if c.Network == "" {
		c.Network = "host"
	}
	if c.Speed == 0 {
		c.Speed = 1
	}
	return c
}

// Close ends all tasks and services and removes their containers and volumes.
func (f *Fake) Close() error {
	f.die()
	var errs []error
	for _, server := range f.servers {
		errs = append(errs, server.Close())
	}
	f.running.Wait()
	for _, name := range f.volumes() {
		errs = append(errs, f.engine.RemoveVolume(context.Background(), name))
	}
	if f.ownDir {
		errs = append(errs, os.RemoveAll(f.config.Dir))
	}
	f.engine.Close()
	return errors.Join(errs...)
}

// Config configures the SDK's clients as the account's administrator.
func (f *Fake) Config() aws.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.configOf(f.admin)
}

// ConfigAs configures the SDK's clients as a session of a role, whatever its
// trust policy says.
func (f *Fake) ConfigAs(roleARN string) (aws.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	role, err := f.roleOf(roleARN)
	if err != nil {
		return aws.Config{}, err
	}
	return f.configOf(f.session(f, role, "test")), nil
}

func (f *Fake) configOf(p *principal) aws.Config {
	keys := aws.Credentials{AccessKeyID: p.accessKey, SecretAccessKey: p.secretKey, SessionToken: p.token, Source: "ecsfake"}
	return aws.Config{
		Region:       f.config.Region,
		BaseEndpoint: aws.String(f.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return keys, nil
		}),
	}
}

// register enters all operations.
func (f *Fake) register() {
	f.ops = map[string]operation{}
	f.registerClusters()
	f.registerDefinitions()
	f.registerTasks()
	f.registerServices()
	f.registerDeployments()
	f.registerSSM()
	f.registerSecrets()
	f.registerSTS()
	f.registerIAM()
	f.registerECR()
	f.registerLogs()
	f.registerBalancing()
}

// FileSystem is the directory that stands for a file system of EFS or S3
// Files, by its id or ARN.
func (f *Fake) FileSystem(id string) string {
	return filepath.Join(f.config.Dir, filepath.Base(id))
}

// scaled is a wait of ECS's own clock in this world's time.
func (f *Fake) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / f.config.Speed)
}

// arn names a resource of this account and region.
func (f *Fake) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + f.config.Region + ":" + f.config.Account + ":" + resource
}

// pause waits; false: the fake is being closed.
func (f *Fake) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
