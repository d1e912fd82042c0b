package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/runnerimage/credentials"
)

// fetchCredentials reads the values that the runners of the task will have as
// CLIPPER_CREDENTIALS, as the caller. No other value is read.
func (v *verification) fetchCredentials(ctx context.Context, list []*reference) {
	for _, r := range list {
		if _, known := v.values[r.from]; known || !r.credentials || r.missing {
			continue
		}
		value, err := v.fetch(ctx, r)
		if err != nil {
			v.unchecked(accessRule, r.path, "the credentials could not be read: %s", cause(err))
			continue
		}
		v.hidden = append(v.hidden, value)
		if value, err = r.choose(value); err == nil && value == "" {
			err = errors.New("the value is empty")
		}
		if err != nil {
			v.tell(credentialsRule, r.path, "%v", err)
			continue
		}
		v.hidden = append(v.hidden, value)
		v.values[r.from] = value
	}
}

// fetch reads one value as ECS would.
func (v *verification) fetch(ctx context.Context, r *reference) (string, error) {
	if r.Service == rules.SecretsManager {
		in := &secretsmanager.GetSecretValueInput{SecretId: &r.arn}
		if r.Stage != "" {
			in.VersionStage = &r.Stage
		}
		if r.ValueFrom.Version != "" {
			in.VersionId = &r.ValueFrom.Version
		}
		out, err := v.AWS.Secrets(r.region).GetSecretValue(ctx, in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.SecretString), nil
	}
	out, err := v.AWS.Parameters(r.region).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{r.from}, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", err
	}
	if len(out.Parameters) != 1 {
		return "", errors.New("SSM does not know the parameter")
	}
	return aws.ToString(out.Parameters[0].Value), nil
}

// choose takes the member of a secret that the reference names. Its errors have
// nothing of the secret in them.
func (r *reference) choose(value string) (string, error) {
	if r.Key == "" {
		return value, nil
	}
	var members map[string]any
	if json.Unmarshal([]byte(value), &members) != nil {
		return "", fmt.Errorf("the secret is no JSON object, so it has no member %s", r.Key)
	}
	text, ok := members[r.Key].(string)
	if !ok {
		return "", fmt.Errorf("the secret has no member %s that is a string", r.Key)
	}
	return text, nil
}

// usable says whether credentials have a form that the runner reads, and warns
// if they have nothing for the registry. They are hidden from then on, in
// whatever form they are sent.
func (v *verification) usable(ctx context.Context, q Question, path string) bool {
	keychain, err := credentials.New(credentials.Settings{Value: q.Credentials, Registry: q.Registry, Image: q.Reference.Host()})
	if err != nil {
		v.tell(credentialsRule, path, "%v", err)
		return false
	}
	login, err := keychain.Login(ctx, q.Reference.Host(), q.Reference.Repository())
	v.hidden = append(v.hidden, keychain.Secrets()...)
	if err == nil && login.Username == "" && login.Password == "" && login.IdentityToken == "" && login.RegistryToken == "" {
		f := credentialsRule.Finding(path, "they have nothing for %s", q.Reference.Host())
		f.Severity = rules.Warning
		v.found = append(v.found, f)
	}
	return true
}
