package chaos

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/service"
)

// deployYAML is a workflow whose runs can be found again, as the rules of the
// service advise.
const deployYAML = `
name: Deploy
run-name: "Deploy ${{ inputs.clipper_run }}"
on: {workflow_dispatch: {inputs: {clipper_run: {}, commit: {}}}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

// clipperYAML has the rules of all repositories: one of each kind of run for a
// push, and for pull requests one of which the newer commit ends the older.
const clipperYAML = `version: 1
rules:
  - id: deploy
    on: { push: { branches: [main] } }
    run: { workflow: { file: deploy.yml, inputs: { commit: "${{ event.head_sha }}" } } }
    report: { deployment: { environment: staging } }
  - id: build
    on: { push: { branches: [main] } }
    run: { ecs: { image: "%[1]s", command: [make] } }
  - id: test
    on: { pull_request: {} }
    run: { ecs: { image: "%[1]s", command: [make, test] } }
    concurrency: { group: "pr-${{ event.pull_request.number }}", cancel: true }
    report: { comment: sticky }
`

const policyYAML = `version: 1
repositories: ["acme/*", "umbrella/*"]
workflows: true
images: [{ match: "%s/**" }]
clusters:
  default: { cluster: ci, subnets: [subnet-0a1b2c3d], execution_role: "%s" }
`

// world is a GitHub, an ECS, and between them the service.
type world struct {
	t    *testing.T
	seed uint64
	dir  string
	// env is the service's environment.
	env   []string
	db    string
	front *front

	hub   *fakehub.Hub
	app   *fakehub.App
	repos []*fakehub.Repo
	ecs   *ecsfake.Fake

	mu      sync.Mutex
	servers []*service.Server // by replica, nil is down
	kills   int
	alone   bool // one replica of several is dead for good, and the other has gone on
	// caused are the effects that there are to be.
	caused []effect
	pulls  []*pull
}

// effect is that of a rule on an event, which in this world is one commit.
type effect struct {
	repo *fakehub.Repo
	rule string
	sha  string
}

func (e effect) String() string {
	return fmt.Sprintf("%s of %s at %.7s", e.rule, e.repo.FullName, e.sha)
}

// newWorld makes a world in which nothing happens yet.
func newWorld(t *testing.T, seed uint64, database string, replicas int) *world {
	t.Helper()
	w := &world{t: t, seed: seed, dir: scratch(t), front: newFront(replicas), servers: make([]*service.Server, replicas)}
	t.Cleanup(w.front.Close)
	w.db = cmp.Or(database, filepath.Join(w.dir, "clipper.db"))
	image := w.registry()
	role := w.startECS()
	w.startGitHub(image)
	policy := filepath.Join(w.dir, "policy.yml")
	w.write(policy, fmt.Sprintf(policyYAML, strings.Split(image, "/")[0], role))
	w.environment(policy, image)
	return w
}

// scratch is a directory with a short path, for sockets.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs and databases are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (w *world) write(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// registry has an image for tasks, and returns its name.
func (w *world) registry() string {
	w.t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	w.t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/acme/ci:1")
	if err != nil {
		w.t.Fatal(err)
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Cmd: []string{"/make"}}, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		w.t.Fatal(err)
	}
	return ref.String()
}

// startECS starts ECS with a cluster, and returns the role of its tasks'
// execution.
func (w *world) startECS() (role string) {
	w.t.Helper()
	engine, err := startEngine(w.dir, w.fate)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = engine.close() })
	if w.ecs, err = ecsfake.Start(w.t.Context(), ecsfake.Config{DockerHost: engine.host, Dir: w.dir}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := w.ecs.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if _, err := w.clusters().CreateCluster(w.t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("ci")}); err != nil {
		w.t.Fatal(err)
	}
	roles := iam.NewFromConfig(w.ecs.Config())
	trust := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`
	policy := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`
	out, err := roles.CreateRole(w.t.Context(), &iam.CreateRoleInput{RoleName: aws.String("execution"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := roles.PutRolePolicy(w.t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("execution"), PolicyName: aws.String("logs"), PolicyDocument: &policy}); err != nil {
		w.t.Fatal(err)
	}
	return *out.Role.Arn
}

func (w *world) clusters() *awsecs.Client { return awsecs.NewFromConfig(w.ecs.Config()) }

// fate is that of a task, by its commit: two of three end well.
func (w *world) fate(env map[string]string) fate {
	n := w.draw(env["GITHUB_SHA"])
	return fate{runs: time.Duration(n%1500) * time.Millisecond, exit: []int{0, 0, 0, 0, 1, 3}[n/1500%6]}
}

// draw is a number that a seed and a text stand for.
func (w *world) draw(text string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, w.seed, text)
	return h.Sum64() >> 1
}

// startGitHub starts GitHub with an App on two accounts, which have
// repositories with rules.
func (w *world) startGitHub(image string) {
	w.t.Helper()
	w.hub = fakehub.New(w.t, fakehub.Config{Limits: fakehub.Unlimited, DeliveryTimeout: 5 * time.Second})
	w.app = w.hub.App(fakehub.AppConfig{})
	w.hub.User("mona")
	for _, account := range []string{"acme", "umbrella"} {
		var repos []*fakehub.Repo
		for _, repo := range []string{"app", "site"} {
			r := w.hub.Repo(account + "/" + repo)
			r.Permit("mona", "write")
			r.Commit(map[string]string{".github/workflows/deploy.yml": deployYAML, ".github/clipper.yml": fmt.Sprintf(clipperYAML, image), "main.go": "package main\n"})
			repos = append(repos, r)
		}
		w.app.Install(account, repos...)
		w.repos = append(w.repos, repos...)
	}
	w.app.SetWebhook(w.front.URL + "/webhook")
}

// search is how long the service looks for a run whose start may have been lost.
const search = 15 * time.Second

// environment is that of the service: this GitHub, this ECS, and times that
// suit a test.
func (w *world) environment(policy, image string) {
	w.t.Helper()
	keys, err := w.ecs.Config().Credentials.Retrieve(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.env = service.Environment(
		"CLIPPER_WEBHOOK_SECRETS="+w.app.WebhookSecret, "CLIPPER_WEBHOOK_DATABASE="+w.db, "CLIPPER_WEBHOOK_POLICY="+policy,
		"CLIPPER_GITHUB_APP_ID="+fmt.Sprint(w.app.ID), "CLIPPER_GITHUB_PRIVATE_KEY="+w.app.PrivateKey, "CLIPPER_GITHUB_API_URL="+w.hub.APIURL,
		"CLIPPER_WEBHOOK_RECONCILE=5s", "CLIPPER_WEBHOOK_WATCH=1s", "CLIPPER_WEBHOOK_REPORT=2s", "CLIPPER_WEBHOOK_LEASE=10s", "CLIPPER_WEBHOOK_SEARCH="+search.String(),
		"CLIPPER_RUNNER_IMAGE="+image,
		"AWS_ENDPOINT_URL="+w.ecs.URL, "AWS_REGION="+w.ecs.Config().Region, "AWS_ACCESS_KEY_ID="+keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+keys.SecretAccessKey,
		"AWS_EC2_METADATA_DISABLED=true",
	)
}

// up starts a replica, or starts it again.
func (w *world) up(replica int) {
	s, err := program.Start(w.env, filepath.Join(w.dir, fmt.Sprintf("replica-%d.log", replica)))
	if err != nil {
		w.t.Error(err) // by its own goroutine, it cannot end the test
		return
	}
	w.t.Cleanup(s.Kill)
	w.mu.Lock()
	w.servers[replica] = s
	w.mu.Unlock()
	w.front.set(replica, s.Public)
}

// down kills a replica.
func (w *world) down(replica int) {
	w.mu.Lock()
	s := w.servers[replica]
	w.servers[replica] = nil
	w.kills++
	w.mu.Unlock()
	if s == nil { // it did not start, which has failed the test
		return
	}
	s.Kill()
	w.front.set(replica, "")
}

// cause notes what is to follow from a commit.
func (w *world) cause(repo *fakehub.Repo, sha string, rules ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rule := range rules {
		w.caused = append(w.caused, effect{repo, rule, sha})
	}
}
