package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	ecsrules "github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/webhook/mask"
)

// Secrets is a part of *secretsmanager.Client.
type Secrets interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// secret is one that jobs have, as it was read.
type secret struct {
	values []string // the last ones: a task keeps the one it began with
	until  time.Time
}

const (
	// secretFor is how long it is not read again, and mostValues how many
	// values of it are known.
	secretFor  = 10 * time.Minute
	mostValues = 3
)

// mask hides the values of the job's secrets, which a program may print. What
// cannot be read now is an error, lest it be shown; what the service may not
// read, or is not there any more, is shown.
func (t *Tasks) mask(ctx context.Context, j Job) (*mask.Mask, error) {
	var all []string
	for _, from := range slices.Sorted(maps.Values(j.Secrets)) {
		values, err := t.values(ctx, from)
		if err != nil {
			return nil, fmt.Errorf("secret %s, which the log is not to show: %w", from, err)
		}
		all = append(all, values...)
	}
	return mask.New(all...), nil
}

// values are those of a secret.
func (t *Tasks) values(ctx context.Context, from string) ([]string, error) {
	t.mu.Lock()
	known := t.secrets[from]
	t.mu.Unlock()
	if time.Now().Before(known.until) {
		return known.values, nil
	}
	value, err := t.value(ctx, from)
	if code := (smithy.APIError)(nil); errors.As(err, &code) && slices.Contains(unreadable, code.ErrorCode()) {
		t.log().WarnContext(ctx, "logs are shown with a secret's value in them: it cannot be read", "secret", from, "error", code.ErrorCode())
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if value != "" && !slices.Contains(known.values, value) {
		known.values = append(slices.Clone(known.values), value)
		known.values = known.values[max(len(known.values)-mostValues, 0):]
	}
	known.until = time.Now().Add(secretFor)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.secrets == nil {
		t.secrets = map[string]secret{}
	}
	t.secrets[from] = known
	return known.values, nil
}

// unreadable are the errors that stay.
var unreadable = []string{"AccessDeniedException", "ResourceNotFoundException", "ParameterNotFound"}

// value reads one as ECS does.
func (t *Tasks) value(ctx context.Context, from string) (string, error) {
	ref, err := ecsrules.ParseValueFrom(from)
	if err != nil {
		return "", err
	}
	if ref.Service == ecsrules.ParameterStore {
		out, err := t.Parameters(ref.Region).GetParameter(ctx, &ssm.GetParameterInput{Name: &from, WithDecryption: aws.Bool(true)})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.Parameter.Value), nil
	}
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(ref.ARN(ref.Partition, ref.Region, ref.Account))}
	if ref.Stage != "" {
		in.VersionStage = &ref.Stage
	}
	if ref.Version != "" {
		in.VersionId = &ref.Version
	}
	out, err := t.Secrets(ref.Region).GetSecretValue(ctx, in)
	if err != nil {
		return "", err
	}
	value := aws.ToString(out.SecretString)
	if ref.Key == "" {
		return value, nil
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(value), &members); err != nil {
		return "", nil // which no task can have
	}
	member, there := members[ref.Key]
	if !there {
		return "", nil // likewise
	}
	// A number, too, as ECS spells it
	// (https://github.com/aws/amazon-ecs-agent/blob/master/agent/asm/asm.go).
	return fmt.Sprint(member), nil
}
