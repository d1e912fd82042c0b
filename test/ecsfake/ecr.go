package ecsfake

import (
	"encoding/base64"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// repository is one of ECR. Its images are in Config.Registry.
type repository struct {
	name, arn, uri string
	created        time.Time
}

func (f *Fake) registerECR() {
	handle(f, "ecr:GetAuthorizationToken", nil, f.getAuthorizationToken)
	handle(f, "ecr:CreateRepository", nil, f.createRepository)
	handle(f, "ecr:DescribeRepositories", nil, f.describeRepositories)
}

// ecrHost is the account's registry.
func (f *Fake) ecrHost() string {
	return f.config.Account + ".dkr.ecr." + f.config.Region + ".amazonaws.com"
}

// getAuthorizationToken gives the token of a user AWS, for 12 hours
// (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html:
// "This authorization token is valid for 12 hours").
func (f *Fake) getAuthorizationToken(c *caller, _ *ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
	token := base64.StdEncoding.EncodeToString([]byte("AWS:" + c.accessKey + f.hex(8)))
	expires := time.Now().Add(12 * time.Hour)
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []types.AuthorizationData{{
		AuthorizationToken: &token, ExpiresAt: &expires, ProxyEndpoint: aws.String("https://" + f.ecrHost()),
	}}}, nil
}

func (f *Fake) createRepository(_ *caller, in *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
	name := aws.ToString(in.RepositoryName)
	if f.repos[name] != nil {
		return nil, wire.Errorf("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, f.config.Account)
	}
	f.repos[name] = &repository{name: name, arn: f.arn("ecr", "repository/"+name), uri: f.ecrHost() + "/" + name, created: time.Now()}
	described := f.repos[name].describe(f)
	return &ecr.CreateRepositoryOutput{Repository: &described}, nil
}

func (r *repository) describe(f *Fake) types.Repository {
	return types.Repository{RepositoryName: &r.name, RepositoryArn: &r.arn, RepositoryUri: &r.uri, RegistryId: &f.config.Account, CreatedAt: &r.created}
}

func (f *Fake) describeRepositories(_ *caller, in *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
	out := &ecr.DescribeRepositoriesOutput{}
	for _, name := range in.RepositoryNames {
		r := f.repos[name]
		if r == nil {
			return nil, wire.Errorf("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", name, f.config.Account)
		}
		out.Repositories = append(out.Repositories, r.describe(f))
	}
	if len(in.RepositoryNames) == 0 {
		for _, r := range f.repos {
			out.Repositories = append(out.Repositories, r.describe(f))
		}
	}
	return out, nil
}
