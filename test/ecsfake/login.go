package ecsfake

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/engine"
)

// pulled is where an image is pulled from: where Config.Images says, or in what
// stands for the account's Amazon ECR, if it is of there.
func (f *Fake) pulled(ref string) string {
	if elsewhere := f.config.Images[ref]; elsewhere != "" {
		return elsewhere
	}
	if rest, ok := strings.CutPrefix(ref, f.ecrHost()+"/"); ok && f.config.Registry != "" {
		return f.config.Registry + "/" + rest
	}
	return ref
}

// registryAuth is the login to pull with: none, or repositoryCredentials in the form
// {"username", "password"}
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html).
func (f *Fake) registryAuth(c *container) (*engine.Auth, error) {
	execution, err := f.assume(c.task, c.task.executionRole())
	if err != nil {
		return nil, err
	}
	if c.definition.RepositoryCredentials == nil {
		return nil, f.mayPull(execution, c)
	}
	var auth engine.Auth
	for key, value := range map[string]*string{"username": &auth.Username, "password": &auth.Password} {
		parameter := aws.ToString(c.definition.RepositoryCredentials.CredentialsParameter)
		if s := f.secretFor(f.config.Region, &parameter); s != nil {
			parameter = s.arn // a name is allowed here
		}
		if *value, err = f.resolveSecret(execution, parameter+":"+key+"::"); err != nil {
			return nil, err
		}
	}
	return &auth, nil
}

// mayPull refuses an image of Amazon ECR that the execution role may not pull
// for a task on Fargate
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html); on EC2 the
// instance's role pulls, which may here.
func (f *Fake) mayPull(execution *principal, c *container) error {
	name, ok := strings.CutPrefix(*c.definition.Image, f.ecrHost()+"/")
	if !ok || c.task.LaunchType != types.LaunchTypeFargate {
		return nil
	}
	if execution == nil {
		return fmt.Errorf("%sunable to get registry auth from ECR: the task has no execution role", unable)
	}
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	repository := f.arn("ecr", "repository/"+name)
	for _, need := range [][2]string{{"ecr:GetAuthorizationToken", "*"}, {"ecr:BatchGetImage", repository}, {"ecr:GetDownloadUrlForLayer", repository}} {
		if err := f.authorize(execution, need[0], need[1], nil); err != nil {
			return fmt.Errorf("%sunable to get registry auth from ECR: service call has been retried 1 time(s): %w", unable, err)
		}
	}
	return nil
}
