package rules

import (
	"errors"
	"fmt"
	"strings"
)

// Service is where a value is kept.
type Service string

const (
	ParameterStore Service = "ssm"
	SecretsManager Service = "secretsmanager"
)

// ValueFrom is where the value of a secret comes from: a parameter's name or
// ARN, or a secret's ARN, which may go on with :json-key:version-stage:version-id
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html).
type ValueFrom struct {
	Service Service
	// Partition, Region and Account are empty where a parameter's name stands
	// alone: they are the task's.
	Partition, Region, Account string
	// Name is the parameter's name as in its ARN, with the slash that hierarchies
	// begin with, or the secret's with the characters that AWS adds.
	Name string
	// Key, Stage and Version choose from a secret.
	Key, Stage, Version string
}

// ParseValueFrom reads the valueFrom of a secret.
func ParseValueFrom(text string) (ValueFrom, error) {
	if !strings.HasPrefix(text, "arn:") {
		return parameterName(text)
	}
	a, err := parseARN(text)
	if err != nil {
		return ValueFrom{}, err
	}
	v := ValueFrom{Service: Service(a.service), Partition: a.partition, Region: a.region, Account: a.account}
	if v.Region == "" || !isAccount(v.Account) {
		return ValueFrom{}, errors.New("the ARN has no region, or no account of 12 digits")
	}
	switch v.Service {
	case ParameterStore:
		name, ok := strings.CutPrefix(a.resource, "parameter/")
		if !ok || name == "" {
			return ValueFrom{}, errors.New("the ARN is no parameter's, which ends with :parameter/NAME")
		}
		named, err := parameterName(name)
		v.Name = named.Name
		return v, err
	case SecretsManager:
		return v.chosen(a.resource)
	}
	return ValueFrom{}, fmt.Errorf("the ARN is one of %s, and not of a parameter (ssm) or secret (secretsmanager)", a.service)
}

// parameterName reads the name of a parameter
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html:
// "a.-zA-Z0-9_", hierarchies by slashes). In an ARN the first slash is missing.
func parameterName(name string) (ValueFrom, error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/"
	plain, version, versioned := strings.Cut(name, ":")
	if plain == "" || strings.Trim(plain, letters) != "" || len(plain) > 2048 ||
		strings.HasSuffix(plain, "/") || strings.Contains(plain, "//") || versioned && (version == "" || strings.Contains(version, ":")) {
		return ValueFrom{}, errors.New("it is neither the name of a parameter nor an ARN")
	}
	return ValueFrom{Service: ParameterStore, Name: name}, nil
}

// chosen reads secret:NAME and what may follow.
func (v ValueFrom) chosen(resource string) (ValueFrom, error) {
	parts := strings.Split(resource, ":")
	if parts[0] != "secret" || len(parts) < 2 || parts[1] == "" {
		return ValueFrom{}, errors.New("the ARN is no secret's, which goes on with :secret:NAME-AbCdEf")
	}
	v.Name = parts[1]
	switch len(parts) {
	case 2:
		return v, nil
	case 5:
		v.Key, v.Stage, v.Version = parts[2], parts[3], parts[4]
	default:
		return ValueFrom{}, fmt.Errorf("after the secret's name there are %d colons, and either none or three belong there: NAME:json-key:version-stage:version-id", len(parts)-2)
	}
	if v.Stage != "" && v.Version != "" {
		return ValueFrom{}, errors.New("it names a stage and a version: leave one of them empty")
	}
	return v, nil
}

// ARN is that of the parameter or secret itself, in the region and account of
// a task where it names none.
func (v ValueFrom) ARN(partition, region, account string) string {
	if v.Region != "" {
		partition, region, account = v.Partition, v.Region, v.Account
	}
	prefix := "arn:" + partition + ":" + string(v.Service) + ":" + region + ":" + account + ":"
	if v.Service == SecretsManager {
		return prefix + "secret:" + v.Name
	}
	name, _, _ := strings.Cut(v.Name, ":")
	return prefix + "parameter/" + strings.TrimPrefix(name, "/")
}

// Role is the role of a definition: its ARN, or its name alone.
type Role struct {
	Partition, Account string // of the ARN; empty with a name alone
	// Name is without the path.
	Name string
}

// ParseRole reads taskRoleArn or executionRoleArn.
func ParseRole(text string) (Role, error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-"
	r := Role{Name: text}
	if strings.HasPrefix(text, "arn:") {
		a, err := parseARN(text)
		if err != nil {
			return Role{}, err
		}
		path, ok := strings.CutPrefix(a.resource, "role/")
		if a.service != "iam" || a.region != "" || !isAccount(a.account) || !ok {
			return Role{}, errors.New("the ARN is no role's")
		}
		r = Role{Partition: a.partition, Account: a.account, Name: path[strings.LastIndexByte(path, '/')+1:]}
	}
	if r.Name == "" || len(r.Name) > 64 || strings.Trim(r.Name, letters) != "" {
		return Role{}, errors.New("it is no name of a role")
	}
	return r, nil
}

// arn is an ARN in its parts
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
type arn struct {
	partition, service, region, account, resource string
}

func parseARN(text string) (arn, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || !strings.HasPrefix(parts[1], "aws") || parts[2] == "" || parts[5] == "" || strings.ContainsAny(text, " \t\r\n*") {
		return arn{}, errors.New("it is no ARN, which is written arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE")
	}
	return arn{parts[1], parts[2], parts[3], parts[4], parts[5]}, nil
}

func isAccount(text string) bool { return len(text) == 12 && strings.Trim(text, "0123456789") == "" }
