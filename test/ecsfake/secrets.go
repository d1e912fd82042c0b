package ecsfake

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// secret is one of Secrets Manager.
type secret struct {
	name, arn, key string
	description    string
	created        time.Time
	changed        time.Time
	deleted        *time.Time
	versions       map[string]string // values by version id
	stages         map[string]string // version ids by stage
}

// The stages that Secrets Manager moves by itself
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html).
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

func (f *Fake) registerSecrets() {
	handle(f, "secretsmanager:CreateSecret", nil, f.createSecret)
	handle(f, "secretsmanager:PutSecretValue", func(c *caller, in *secretsmanager.PutSecretValueInput) []string { return f.secretARN(c, in.SecretId) }, f.putSecretValue)
	handle(f, "secretsmanager:GetSecretValue", func(c *caller, in *secretsmanager.GetSecretValueInput) []string { return f.secretARN(c, in.SecretId) }, f.getSecretValue)
	handle(f, "secretsmanager:DescribeSecret", func(c *caller, in *secretsmanager.DescribeSecretInput) []string { return f.secretARN(c, in.SecretId) }, f.describeSecret)
	handle(f, "secretsmanager:DeleteSecret", func(c *caller, in *secretsmanager.DeleteSecretInput) []string { return f.secretARN(c, in.SecretId) }, f.deleteSecret)
}

// secretFor finds a secret by its ARN, the ARN without the six random
// characters, or the name.
func (f *Fake) secretFor(region string, id *string) *secret {
	for arn, s := range f.secrets {
		if arn == *id || arn[:len(arn)-7] == *id || s.name == *id && strings.HasPrefix(arn, "arn:aws:secretsmanager:"+region+":") {
			return s
		}
	}
	return nil
}

func (f *Fake) secretARN(c *caller, id *string) []string {
	if s := f.secretFor(c.region, id); s != nil {
		return []string{s.arn}
	}
	return []string{*id}
}

func secretNotFound() error {
	return wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

// living is a secret that is not scheduled for deletion: what all calls need but
// the one that describes it.
func (f *Fake) living(region string, id *string) (*secret, error) {
	s := f.secretFor(region, id)
	switch {
	case s == nil:
		return nil, secretNotFound()
	case s.deleted != nil:
		return nil, wire.Errorf("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, nil
}

func (f *Fake) createSecret(c *caller, in *secretsmanager.CreateSecretInput) (*secretsmanager.CreateSecretOutput, error) {
	if f.secretFor(c.region, in.Name) != nil {
		return nil, wire.Errorf("ResourceExistsException", "The operation failed because the secret %s already exists.", *in.Name)
	}
	s := &secret{
		name: *in.Name, arn: "arn:aws:secretsmanager:" + c.region + ":" + f.config.Account + ":secret:" + *in.Name + "-" + f.hex(6),
		key: aws.ToString(in.KmsKeyId), description: aws.ToString(in.Description), created: time.Now(), versions: map[string]string{}, stages: map[string]string{},
	}
	f.secrets[s.arn] = s
	out := &secretsmanager.CreateSecretOutput{ARN: &s.arn, Name: &s.name}
	if in.SecretString != nil {
		out.VersionId = aws.String(s.put(f, *in.SecretString))
	}
	return out, nil
}

// put makes a value the current one.
func (s *secret) put(f *Fake, value string) (version string) {
	version, s.changed = f.uuid(), time.Now()
	if old, ok := s.stages[current]; ok {
		s.stages[previous] = old
	}
	s.versions[version], s.stages[current] = value, version
	return version
}

func (f *Fake) putSecretValue(c *caller, in *secretsmanager.PutSecretValueInput) (*secretsmanager.PutSecretValueOutput, error) {
	s, err := f.living(c.region, in.SecretId)
	if err != nil {
		return nil, err
	}
	if in.SecretString == nil {
		return nil, wire.Errorf("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	}
	return &secretsmanager.PutSecretValueOutput{ARN: &s.arn, Name: &s.name, VersionId: aws.String(s.put(f, *in.SecretString)), VersionStages: []string{current}}, nil
}

// value is a version's, by its id or stage.
func (s *secret) value(version, stage *string) (string, string, error) {
	if stage == nil {
		stage = aws.String(current)
	}
	id := s.stages[*stage]
	if version != nil {
		id = *version
	}
	value, ok := s.versions[id]
	if !ok {
		return "", "", wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", *stage)
	}
	return value, id, nil
}

func (f *Fake) getSecretValue(c *caller, in *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error) {
	s, err := f.living(c.region, in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := f.decrypt(c.principal, s.key); err != nil {
		return nil, err
	}
	value, version, err := s.value(in.VersionId, in.VersionStage)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetSecretValueOutput{ARN: &s.arn, Name: &s.name, SecretString: &value, VersionId: &version, VersionStages: s.staged(version), CreatedDate: &s.created}, nil
}

// staged are the stages of a version.
func (s *secret) staged(version string) []string {
	var list []string
	for _, stage := range slices.Sorted(maps.Keys(s.stages)) {
		if s.stages[stage] == version {
			list = append(list, stage)
		}
	}
	return list
}

func (f *Fake) describeSecret(c *caller, in *secretsmanager.DescribeSecretInput) (*secretsmanager.DescribeSecretOutput, error) {
	s := f.secretFor(c.region, in.SecretId)
	if s == nil {
		return nil, secretNotFound()
	}
	out := &secretsmanager.DescribeSecretOutput{ARN: &s.arn, Name: &s.name, CreatedDate: &s.created, LastChangedDate: &s.changed, DeletedDate: s.deleted, Description: &s.description, VersionIdsToStages: map[string][]string{}}
	if s.key != "" {
		out.KmsKeyId = &s.key
	}
	for _, version := range s.stages {
		out.VersionIdsToStages[version] = s.staged(version)
	}
	return out, nil
}

// deleteSecret schedules a secret's deletion
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html: "When a secret is
// scheduled for deletion, you cannot retrieve the secret value", "The default recovery window is 30 days").
func (f *Fake) deleteSecret(c *caller, in *secretsmanager.DeleteSecretInput) (*secretsmanager.DeleteSecretOutput, error) {
	s, err := f.living(c.region, in.SecretId)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	end := now
	if aws.ToBool(in.ForceDeleteWithoutRecovery) {
		delete(f.secrets, s.arn)
	} else {
		days := 30
		if in.RecoveryWindowInDays != nil {
			days = int(*in.RecoveryWindowInDays)
		}
		end, s.deleted = now.AddDate(0, 0, days), &now
	}
	return &secretsmanager.DeleteSecretOutput{ARN: &s.arn, Name: &s.name, DeletionDate: &end}, nil
}
