package ecsfake

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// prepare gets what a task needs before its first container: its roles, files
// and secrets, the groups of its logs. An error is why the task never starts.
func (f *Fake) prepare(t *task) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	execution, err := f.assume(t, t.executionRole())
	if err != nil {
		return err
	}
	taskRole := t.definition.TaskRoleArn
	if t.Overrides.TaskRoleArn != nil {
		taskRole = t.Overrides.TaskRoleArn
	}
	session, err := f.assume(t, taskRole)
	if err != nil {
		return err
	}
	if session != nil {
		t.credentials = f.uuid()
		f.taskCredentials[t.credentials] = session
	}
	for _, c := range t.containers {
		c.endpoint = f.uuid()
		f.endpoints[c.endpoint] = c
		if err := f.readEnvironmentFiles(execution, c); err != nil {
			return err
		}
		if err := f.resolveSecrets(execution, c); err != nil {
			return err
		}
		if err := f.prepareLog(t, execution, c); err != nil {
			return err
		}
	}
	return f.prepareRouter(t)
}

func (t *task) executionRole() *string {
	if t.Overrides.ExecutionRoleArn != nil {
		return t.Overrides.ExecutionRoleArn
	}
	return t.definition.ExecutionRoleArn
}

// assume makes a session of a task's role; none for no role
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html:
// "ECS was unable to assume the role").
func (f *Fake) assume(t *task, arn *string) (*principal, error) {
	if aws.ToString(arn) == "" {
		return nil, nil
	}
	r, err := f.roleOf(*arn)
	if err != nil || !assumable(r) {
		return nil, fmt.Errorf("ECS was unable to assume the role '%s' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role", *arn)
	}
	return f.session(f, r, t.id()), nil
}

// unable is the beginning of what ECS says where secrets fail
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html).
const unable = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "

// resolveSecrets reads a container's secrets as the execution role may.
func (f *Fake) resolveSecrets(execution *principal, c *container) error {
	c.secrets = map[string]string{}
	for _, s := range c.definition.Secrets {
		value, err := f.resolveSecret(execution, aws.ToString(s.ValueFrom))
		if err != nil {
			return err
		}
		c.secrets[aws.ToString(s.Name)] = value
	}
	return nil
}

// resolveSecret reads one, by the ARN of a secret with JSON key, stage and
// version behind it, or by the name or ARN of a parameter
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html: "If the SSM
// Parameter Store parameter exists in the same Region as the task you're launching, then you
// can use either the full ARN or name of the parameter").
func (f *Fake) resolveSecret(execution *principal, from string) (string, error) {
	if execution == nil {
		return "", fmt.Errorf("%sunable to retrieve secrets: the task has no execution role", unable)
	}
	if strings.HasPrefix(from, "arn:") && strings.Split(from, ":")[2] == "secretsmanager" {
		value, err := f.resolveStoredSecret(execution, from)
		if err != nil {
			return "", fmt.Errorf("%sunable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret %s from secrets manager: %w", unable, from, err)
		}
		return value, nil
	}
	// The agent asks for all of a task at once, with decryption
	// (https://github.com/aws/amazon-ecs-agent, agent/ssm/ssm.go).
	region := f.config.Region
	arn := f.parameterARN(region, from)
	f.traffic.counts["task:GetParameters"]++
	if err := f.authorize(execution, "ssm:GetParameters", arn, nil); err != nil {
		return "", fmt.Errorf("%sunable to retrieve secrets from ssm: service call has been retried 1 time(s): %w", unable, err)
	}
	p := f.parameterFor(region, from)
	if p == nil {
		return "", fmt.Errorf("%sunable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: %s", unable, from)
	}
	read, err := f.read(execution, p, true)
	if err != nil {
		return "", fmt.Errorf("%sunable to retrieve secrets from ssm: service call has been retried 1 time(s): %w", unable, err)
	}
	return *read.Value, nil
}

func (f *Fake) resolveStoredSecret(execution *principal, from string) (string, error) {
	parts := strings.Split(from, ":")
	if len(parts) != 7 && len(parts) != 10 {
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
		return "", fmt.Errorf("unexpected ARN format with parameters when trying to retrieve ASM secret")
	}
	id := strings.Join(parts[:7], ":")
	s := f.secretFor(f.config.Region, &id)
	arn := id
	if s != nil {
		arn = s.arn
	}
	f.traffic.counts["task:GetSecretValue"]++
	if err := f.authorize(execution, "secretsmanager:GetSecretValue", arn, nil); err != nil {
		return "", err
	}
	if s == nil {
		return "", secretNotFound()
	}
	if err := f.decrypt(execution, s.key); err != nil {
		return "", err
	}
	key := ""
	var stage, version *string
	if len(parts) == 10 {
		key = parts[7]
		if parts[8] != "" {
			stage = &parts[8]
		}
		if parts[9] != "" {
			version = &parts[9]
		}
	}
	value, _, err := s.value(version, stage)
	if err != nil || key == "" {
		return value, err
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(value), &members); err != nil {
		return "", fmt.Errorf("invalid character in the secret: it is no JSON, but the key %s is asked for", key)
	}
	member, ok := members[key]
	if !ok {
		return "", fmt.Errorf("retrieved secret from Secrets Manager did not contain json key %s", key)
	}
	return fmt.Sprint(member), nil
}

// logOf is where a container's lines go: group and stream, none if not to
// CloudWatch Logs (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html:
// "prefix-name/container-name/ecs-task-id").
func (c *container) logOf() (group, stream string) {
	l := c.definition.LogConfiguration
	if l == nil || l.LogDriver != types.LogDriverAwslogs {
		return "", ""
	}
	if prefix := l.Options["awslogs-stream-prefix"]; prefix != "" {
		return l.Options["awslogs-group"], prefix + "/" + c.name() + "/" + c.task.id()
	}
	return l.Options["awslogs-group"], c.task.id() + "-" + c.name() // on EC2: the container's id
}

// prepareLog makes a container's log stream, as the execution role may, and the
// group if awslogs-create-group says so
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html:
// "failed to validate logger args").
func (f *Fake) prepareLog(t *task, execution *principal, c *container) error {
	group, stream := c.logOf()
	if group == "" {
		return nil
	}
	fail := func(what string, err error) error {
		return fmt.Errorf("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log %s: %w : exit status 1", what, err)
	}
	may := func(action string) error {
		// On EC2 the instance's role writes, which may here.
		if execution == nil || t.LaunchType != types.LaunchTypeFargate {
			return nil
		}
		return f.authorize(execution, action, f.logGroupARN(group), nil)
	}
	if f.logs[group] == nil && c.definition.LogConfiguration.Options["awslogs-create-group"] == "true" {
		if err := may("logs:CreateLogGroup"); err != nil {
			return fail("group", err)
		}
		f.logs[group] = &logGroup{name: group, arn: f.logGroupARN(group), created: t.CreatedAt.UnixMilli(), streams: map[string][]logEvent{}}
	}
	g, err := f.logGroup(&group)
	if err != nil {
		return fail("stream", err)
	}
	if err := may("logs:CreateLogStream"); err != nil {
		return fail("stream", err)
	}
	if err := may("logs:PutLogEvents"); err != nil {
		return fail("stream", err)
	}
	g.streams[stream] = nil
	return nil
}
