package task

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Checkout is how sources get into tasks: a container of the service's own
// image fetches the commit's archive from GitHub's API into a volume, and the
// program starts once it is there, in the directory /workspace.
//
// For a repository's own code the container has a token that may read this one
// repository. The service keeps it in a parameter of the Parameter Store, which
// the definition names as a secret of this container alone: it is in no
// definition, no override and no other container. The execution role has to be
// allowed to ssm:GetParameters below Prefix, the service to ssm:PutParameter.
type Checkout struct {
	// Image is the service's own image, whose entrypoint is clipper-runner.
	Image string
	// API is the URL of GitHub's API. Default: https://api.github.com.
	API string
	// Token makes a token that may read the contents of one repository and
	// nothing else, and says until when it is good.
	Token func(ctx context.Context, s Source) (string, time.Time, error)
	// Prefix begins the parameters' names. Default: /clipper/source.
	Prefix string
}

// Source is a commit.
type Source struct {
	App, Installation, Repository int64
	FullName, Commit              string
	// Anonymous says that it is fetched as anybody can: of public repositories
	// alone.
	Anonymous bool
}

// EnvToken is the checkout's token, in the environment of its container.
const EnvToken = "SOURCE_TOKEN"

// tokenLeft is how long a token has to be good yet when a task starts: it is
// read when the task is placed, and used once the checkout's image is there.
const tokenLeft = 20 * time.Minute

// checkout is the container that fetches the commit.
func (t *Tasks) checkout(j Job) object {
	c := t.container(j, checkout, nil)
	c["image"], c["essential"] = t.Checkout.Image, false
	c["command"] = []string{"webhook", "checkout"}
	c["mountPoints"] = []object{{"sourceVolume": sourceVolume, "containerPath": sourceDir}}
	if !j.Source.Anonymous {
		c["secrets"] = []variable{{Name: EnvToken, ValueFrom: t.parameter(j.Source)}}
	}
	c["user"] = "0" // the volume is root's
	return c
}

// override says which commit it is.
func (s Source) override(api string) types.ContainerOverride {
	return types.ContainerOverride{Name: aws.String(checkout), Command: []string{"webhook", "checkout", "--api", api, "--into", sourceDir, s.FullName, s.Commit}}
}

// parameter is where a repository's token is. It has no account or region in
// it: it is in the task's own.
func (t *Tasks) parameter(s Source) string {
	prefix := t.Checkout.Prefix
	if prefix == "" {
		prefix = "/clipper/source"
	}
	return path.Join(prefix, strconv.FormatInt(s.Repository, 10))
}

func (t *Tasks) api() string {
	if t.Checkout.API == "" {
		return "https://api.github.com"
	}
	return t.Checkout.API
}

// handOver puts a token where the task finds it, unless one is there that will
// do: all runs of a repository share it.
func (t *Tasks) handOver(ctx context.Context, j Job) error {
	if !j.Checkout {
		return nil
	}
	if t.Checkout.Image == "" {
		return fmt.Errorf("%w: checkout: this service has no image to check out with", ErrRefused)
	}
	if j.Source.Anonymous {
		return nil
	}
	name := t.parameter(j.Source)
	key := fmt.Sprintf("%s %s %d", t.region(j), name, j.Source.Installation) // with which its tokens end
	t.mu.Lock()
	good := time.Until(t.tokens[key]) > tokenLeft
	t.mu.Unlock()
	if good {
		return nil
	}
	token, until, err := t.Checkout.Token(ctx, j.Source)
	if err != nil {
		return fmt.Errorf("checkout: token: %w", err)
	}
	if _, err := t.Parameters(t.region(j)).PutParameter(ctx, &ssm.PutParameterInput{
		Name: &name, Value: &token, Type: ssmtypes.ParameterTypeSecureString, Overwrite: aws.Bool(true),
	}); err != nil {
		return fmt.Errorf("checkout: parameter %s: %w", name, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tokens == nil {
		t.tokens = map[string]time.Time{}
	}
	t.tokens[key] = until
	return nil
}

// inSource is the directory that the program starts in: one of the source's,
// unless it is absolute.
func inSource(dir string) string {
	if path.IsAbs(dir) {
		return dir
	}
	return path.Join(sourceDir, dir)
}
