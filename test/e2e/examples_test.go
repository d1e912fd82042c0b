package e2e

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// examplePages are the pages whose examples are run.
var examplePages = []string{"README.md", "runnerimage/README.md", "ecs/README.md", "webhook/README.md"}

// TestExamples runs every block of a README that is marked "sh example", word
// by word, in a shell that stops at the first command that fails. The lines
// that begin with "# → " must come out in that order.
//
// The images are the tests' own. Two things that the reader does not need
// bring them to the containers (dockerWrapper): the network of this machine,
// because the registries are on its loopback, and a mirror of Docker Hub, so
// that the blocks say debian:12. The variables that a block uses are those
// that runnerimage/README.md names. AWS is an account for the whole test
// (exampleAccount): what a block deploys is there for the next ones.
func TestExamples(t *testing.T) {
	pushExamples(t)
	env := exampleEnv(t)
	for _, file := range examplePages {
		blocks := examples(t, file, scriptFence)
		if len(blocks) == 0 {
			t.Errorf("%s has no examples", file)
		}
		for _, block := range blocks {
			t.Run(fmt.Sprintf("%s line %d", file, block.line), func(t *testing.T) {
				block.run(t, env)
			})
		}
	}
}

// TestEveryReadmeIsTested finds examples in pages that neither TestExamples nor
// the tests of workflows read.
func TestEveryReadmeIsTested(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "../.." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		page, _ := filepath.Rel("../..", path)
		if !strings.HasSuffix(page, ".md") {
			return nil
		}
		scripts := !slices.Contains(examplePages, page) && len(examples(t, page, scriptFence)) > 0
		if scripts || page != actionPage && page != ecsPage && len(examples(t, page, workflowFence)) > 0 {
			t.Errorf("nobody runs the examples of %s", page)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// example is one block of a page.
type example struct {
	line   int    // of its first command
	script string // or a workflow
	output []string
}

const (
	scriptFence   = "```sh example"
	workflowFence = "```yaml example"
	exampleOutput = "# → "
)

// examples reads the blocks of a page of this project that begin so.
func examples(t *testing.T, page, fence string) (blocks []example) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	var block *example
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case block == nil && line == fence:
			block = &example{line: n + 2}
		case block == nil:
		case line == "```":
			blocks, block = append(blocks, *block), nil
		default:
			block.script += line + "\n"
			if output, ok := strings.CutPrefix(strings.TrimLeft(line, " "), exampleOutput); ok {
				block.output = append(block.output, output)
			}
		}
	}
	if block != nil {
		t.Errorf("%s: the block at line %d has no end", page, block.line)
	}
	return blocks
}

// run runs the block in a directory of its own, which is its home too, and
// removes the containers that it leaves.
func (e example) run(t *testing.T, env []string) {
	dir := t.TempDir()
	t.Cleanup(func() { removeLabelled(t, dir) })
	script := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", e.script)
	script.Dir = dir
	script.Env = append(slices.Clone(env), "HOME="+dir, "CLIPPER_EXAMPLE="+dir)
	var stdout, stderr bytes.Buffer
	script.Stdout, script.Stderr = &stdout, &stderr
	script.WaitDelay = time.Second
	if err := script.Run(); err != nil {
		t.Errorf("the example fails: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	rest := strings.Split(stdout.String(), "\n")
	for _, want := range e.output {
		at := slices.Index(rest, want)
		if at < 0 {
			t.Fatalf("%q does not come out, or not in that order; all that does is\n%s\n%s", want, stdout.String(), stderr.String())
		}
		rest = rest[at+1:]
	}
}

// removeLabelled removes what the wrapper marked.
func removeLabelled(t *testing.T, label string) {
	docker := func(args ...string) string {
		cmd := exec.Command("docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+lab.Engine.Host)
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("clean up: docker %q: %v", args, err)
		}
		return string(out)
	}
	for _, id := range strings.Fields(docker("ps", "--all", "--quiet", "--filter", "label=clipper-example="+label)) {
		docker("rm", "--force", "--volumes", id)
	}
}

// dockerWrapper stands before docker on the examples' PATH.
const dockerWrapper = `#!/bin/sh
case $1 in
run | create)
	verb=$1
	shift
	set -- "$verb" --network host --env CLIPPER_MIRRORS --label "clipper-example=$CLIPPER_EXAMPLE" "$@"
	;;
esac
exec %s "$@"
`

// exampleEnv is what the examples find in their environment.
func exampleEnv(t *testing.T) []string {
	t.Helper()
	const token = "s3cret-token"
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), fmt.Appendf(nil, dockerWrapper, docker), 0o755); err != nil {
		t.Fatal(err)
	}
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}

	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lab.Registry})
	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="examples"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(private.Close)
	corporate := httptest.NewTLSServer(forward)
	t.Cleanup(corporate.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: corporate.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	return append(append(os.Environ(), exampleAccount(t, token)...),
		"PATH="+bin+":"+filepath.Join(clone, "dist")+":"+os.Getenv("PATH"), "DOCKER_HOST="+lab.Engine.Host, "CLIPPER_MIRRORS=docker.io="+lab.Registry, "CLONE="+clone,
		"REGISTRY="+strings.TrimPrefix(private.URL, "http://"), "TOKEN="+token,
		"CORPORATE="+strings.TrimPrefix(corporate.URL, "https://"), "CA="+ca)
}

// exampleAccount is an AWS account whose ECS has tasks on the tests' engine. The
// parameter /registry holds the token of $REGISTRY, and ecsTaskExecutionRole may
// read it.
func exampleAccount(t *testing.T, token string) []string {
	t.Helper()
	a := newAWSAccount(t, func(c *ecsfake.Config) {
		c.Environment = map[string]string{"CLIPPER_MIRRORS": "docker.io=" + lab.Registry}
	})
	tagPushed(t, lab.PushRunner(t), "latest") // which rendered definitions name
	a.parameter(t, "/registry", token)
	a.trusted(t, "ecsTaskExecutionRole", `{"Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/registry"},
		{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`)
	return a.aws
}

// pushExamples pushes what the examples name, and loads the runner image.
func pushExamples(t *testing.T) {
	t.Helper()
	app := busybox(t)
	app.Layers = append(app.Layers, stack.Tar(tarball.Build(tarball.Dir("bin"), tarball.File("bin/app", appScript, tarball.Mode(0o755)))))
	app.Config.User, app.Config.WorkingDir = "app", "/home/app"
	app.Config.Entrypoint, app.Config.Cmd = []string{"app"}, []string{"help"}
	app.Config.Healthcheck = &v1.HealthConfig{Test: []string{"CMD-SHELL", "test -e /tmp/serving"}}
	for repository, tagged := range map[string]struct {
		image stack.Image
		tag   string
	}{
		"library/debian": {debian(t), "12"},
		"library/nginx":  {nginx(t), "latest"},
		"team/app":       {app, "latest"},
	} {
		pushTagged(t, repository, tagged.tag, tagged.image)
	}
	if out := lab.Run(t, stack.RunSpec{Image: lab.Registry + "/team/app", Via: stack.Runner}); out.Exit != 0 {
		t.Fatalf("the example image exits %d: %s", out.Exit, out.Stderr)
	}
}

// pushTagged pushes an image with a tag of the reader's world.
func pushTagged(t *testing.T, repository, tag string, image stack.Image) {
	t.Helper()
	tagPushed(t, lab.Push(t, repository, image), tag)
}

// tagPushed gives an image that was pushed another tag.
func tagPushed(t *testing.T, pushed, tag string) {
	t.Helper()
	ref, err := name.ParseReference(pushed, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Get(ref, remote.WithContext(t.Context()))
	if err == nil {
		err = remote.Tag(ref.Context().Tag(tag), img, remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// appScript is the program of the image team/app.
const appScript = `#!/bin/sh
echo "app: $*, as $(id -u) in $(pwd)"
[ "$1" = serve ] || exit 0
touch /tmp/serving
trap 'exit 0' TERM
sleep 3600 &
wait $!
`
