package ecsfake

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// PutObject puts an object into S3, which has nothing but what tasks read at
// their start. Its ARN is arn:aws:s3:::BUCKET/KEY.
func (f *Fake) PutObject(arn, content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[arn] = content
}

// readEnvironmentFiles reads a container's environment files as the execution
// role may
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EnvironmentFile.html: "If multiple environment files are
// specified that contain the same variable, they're processed from the top down"; of one name
// the first value counts: ecs-agent, agent/api/container, MergeEnvironmentVariablesFromEnvfiles).
// A run has its own
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerOverride.html: "A list of files containing the
// environment variables to pass to a container, instead of the value from the container definition.").
func (f *Fake) readEnvironmentFiles(execution *principal, c *container) error {
	c.files = map[string]string{}
	files := c.definition.EnvironmentFiles
	if len(c.override.EnvironmentFiles) > 0 {
		files = c.override.EnvironmentFiles
	}
	for _, file := range files {
		arn := aws.ToString(file.Value)
		fail := func(why any) error {
			return fmt.Errorf("ResourceInitializationError: failed to download env files: file download command: non empty error stream: service call has been retried 1 time(s): %v", why)
		}
		if execution == nil {
			return fail("the task has no execution role")
		}
		f.traffic.counts["task:GetObject"]++
		if err := f.authorize(execution, "s3:GetObject", arn, nil); err != nil {
			return fail(err)
		}
		content, ok := f.objects[arn]
		if !ok {
			return fail("NoSuchKey: The specified key does not exist.")
		}
		for name, value := range variables(content) {
			if _, known := c.files[name]; !known {
				c.files[name] = value
			}
		}
	}
	return nil
}

// variables are those of an environment file, whose quotation marks are part of
// the values
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EnvironmentFile.html: "Each line in an environment file
// should contain an environment variable in VARIABLE=VALUE format.", "Lines beginning with # are
// treated as comments and are ignored.").
func variables(content string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(content) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if _, known := values[name]; ok && name != "" && !strings.HasPrefix(line, "#") && !known {
			values[name] = value
		}
	}
	return values
}
