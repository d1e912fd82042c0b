package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	ecsrules "github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook/mask"
)

// Secrets is a part of *secretsmanager.Client.
type Secrets interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// secret is one that jobs have, as it was read.
type secret struct {
	values []string // the last ones: a task keeps the one it began with
	unread string   // why it cannot be read, and will not be soon
	until  time.Time
}

const (
	// secretFor is how long it is not read again, and mostValues how many
	// values of it are known.
	secretFor  = 10 * time.Minute
	mostValues = 3
	// unreadFor is the same for one that could not be read: somebody may be
	// about to give the permission.
	unreadFor = time.Minute
)

// veil is what a job's log is seen through.
type veil struct {
	*mask.Mask
	// withheld is told once in place of all that the program says, "" if its lines
	// are told: of a secret that is not known, nothing can be hidden.
	withheld string
	told     bool
}

// through is a line as it is told, if it is.
func (v *veil) through(line watch.Line) (watch.Line, bool) {
	if line.Container != program || v.withheld == "" {
		line.Text = v.Hide(line.Text)
		return line, true
	}
	first := !v.told
	line.Text, v.told = v.withheld, true
	return line, first
}

// veil hides the values of the job's secrets, which a program may print. What
// cannot be read just now is an error.
func (t *Tasks) veil(ctx context.Context, j Job) (*veil, error) {
	var v veil
	var all []string
	for _, name := range slices.Sorted(maps.Keys(j.Secrets)) {
		s, err := t.secret(ctx, j.Secrets[name])
		if err != nil {
			return nil, fmt.Errorf("secret %s, which the log is not to show: %w", j.Secrets[name], err)
		}
		if s.unread != "" && v.withheld == "" {
			v.withheld = "clipper-runner: the log is withheld: the secret in " + name + " could not be hidden in it, since " + s.unread
		}
		all = append(all, s.values...)
	}
	v.Mask = mask.New(all...)
	return &v, nil
}

// secret is what is known of one.
func (t *Tasks) secret(ctx context.Context, from string) (secret, error) {
	t.mu.Lock()
	known := t.secrets[from]
	t.mu.Unlock()
	if time.Now().Before(known.until) {
		return known, nil
	}
	value, err := t.value(ctx, from)
	known.unread = unread(from, err)
	switch {
	case known.unread != "":
		t.log().WarnContext(ctx, "logs are withheld: a secret that may be in them cannot be read", "secret", from, "error", err)
	case err != nil:
		return secret{}, err
	case value != "" && !slices.Contains(known.values, value):
		known.values = append(slices.Clone(known.values), value)
		known.values = known.values[max(len(known.values)-mostValues, 0):]
	}
	known.until = time.Now().Add(secretFor)
	if known.unread != "" {
		known.until = time.Now().Add(unreadFor)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.secrets == nil {
		t.secrets = map[string]secret{}
	}
	t.secrets[from] = known
	return known, nil
}

// Unread says why a secret that jobs have cannot be read here, and with it not
// be hidden in logs; "" is that it can be.
func (t *Tasks) Unread(ctx context.Context, from string) (why string, err error) {
	s, err := t.secret(ctx, from)
	return s.unread, err
}

// unread says what is to be done about an error that stays, "" for another.
func unread(from string, err error) string {
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		return ""
	}
	switch refused.ErrorCode() {
	case "AccessDeniedException":
		permission := "secretsmanager:GetSecretValue"
		if ref, err := ecsrules.ParseValueFrom(from); err == nil && ref.Service == ecsrules.ParameterStore {
			permission = "ssm:GetParameter"
		}
		if strings.Contains(strings.ToLower(refused.ErrorMessage()), "kms") { // the secret's key is not let use
			permission = "kms:Decrypt"
		}
		return "the service's role lacks " + permission + " for it"
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound", "InvalidRequestException": // the last is deleted soon
		return "it is not there any more"
	}
	return ""
}

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
