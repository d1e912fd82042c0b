package oidc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/google/go-containerregistry/pkg/authn"
)

// tokenName is where the AWS identity finds the ID token. No such file exists.
const tokenName = "id-token"

// amazonLogin becomes the role by the ID token (AssumeRoleWithWebIdentity) and
// asks ECR as the role. To the credentials room it is the web identity of the
// AWS SDKs, whose variables stand here, and whose token file is in memory.
func (c *Client) amazonLogin(ctx context.Context, a *asker, token, host string) (authn.AuthConfig, error) {
	env := map[string]string{
		"AWS_ROLE_ARN":                c.Identity.AWSRoleARN,
		"AWS_ROLE_SESSION_NAME":       sessionName(c.Env("GITHUB_RUN_ID")),
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/" + tokenName,
	}
	login, err := credentials.ECRLogin(ctx, credentials.Settings{
		Env: func(name string) string { return env[name] }, Files: tokenFile(token), HTTP: a.http,
		Mask: func(secret string) { a.secret(secret) },
	}, host)
	switch {
	case err == nil || ctx.Err() != nil:
		return login, err
	case errors.Is(err, credentials.ErrRefused) && strings.Contains(err.Error(), "AssumeRole"):
		return login, fmt.Errorf("%w (the role's trust policy must accept the provider token.actions.githubusercontent.com, the audience %s and this repository's subject)",
			err, c.Identity.audience(amazon, host))
	case errors.Is(err, credentials.ErrRefused):
		return login, err
	}
	return login, fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// sessionName is what AWS's own log calls this job.
func sessionName(runID string) string {
	if !isNumber(runID) || len(runID) > 20 {
		return "clipper-runner"
	}
	return "clipper-runner-" + runID
}

// tokenFile is a file system of one file.
type tokenFile string

func (t tokenFile) Open(name string) (fs.File, error) {
	if name != tokenName {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return memoryFile{strings.NewReader(string(t))}, nil
}

type memoryFile struct{ *strings.Reader }

func (memoryFile) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
func (memoryFile) Close() error               { return nil }
