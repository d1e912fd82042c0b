package rules

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

const (
	secretDoc        = api + "Secret.html"
	secretManagerDoc = guide + "secrets-envvar-secrets-manager.html"
	executionRoleDoc = guide + "task_execution_IAM_role.html"
)

// secretRules are about environment, secrets and the role that reads them.
var secretRules = []Rule{
	{ID: "environment-name", Severity: Error, Stage: Register, Doc: api + "KeyValuePair.html", check: checkEnvironment,
		Quote:  "For environment variables, this is the name of the environment variable.",
		Remedy: "give every variable a name, without ="},
	{ID: "environment-twice", Severity: Warning, Stage: Run, Doc: containerDoc, check: checkTwice,
		Quote:  "The environment variables to pass to a container. This parameter maps to Env in the docker container create command and the --env option to docker run.",
		Remedy: "set it once: which of them counts is not documented"},
	{ID: "environment-file", Severity: Error, Stage: Register, Doc: containerDoc, check: checkEnvironmentFiles,
		Quote:  "You can specify up to ten environment files. The file must have a .env file extension.",
		Remedy: `name at most ten as {"type": "s3", "value": "arn:aws:s3:::BUCKET/FILE.env"}`},
	{ID: "secret-name", Severity: Error, Stage: Register, Doc: containerDoc, check: checkSecretNames,
		Quote:  "The secrets to pass to the container.",
		Remedy: "keep the variable in secrets alone"},
	{ID: "secret-reference", Severity: Error, Stage: Start, Doc: secretDoc, check: checkSecretReferences,
		Quote:  "The supported values are either the full ARN of the Secrets Manager secret or the full ARN of the parameter in the SSM Parameter Store.",
		Remedy: "write a parameter's name or ARN, or a secret's ARN, with :json-key:version-stage:version-id in full (" + secretManagerDoc + ")"},
	{ID: "repository-credentials", Severity: Error, Stage: Register, Doc: api + "RepositoryCredentials.html", check: checkRepositoryCredentials,
		Quote:  "The Amazon Resource Name (ARN) of the secret containing the private repository credentials.",
		Remedy: "name the secret's ARN; parameters are for `ecs render --credentials`"},
	{ID: "execution-role", Severity: Error, Stage: Register, Doc: executionRoleDoc, check: checkExecutionRole,
		Quote:  "The task execution IAM role is required depending on the requirements of your task.",
		Remedy: "set executionRoleArn to a role that ecs-tasks.amazonaws.com may assume"},
}

// secretLists are where secrets stand.
var secretLists = []string{"containerDefinitions[].secrets[]", "containerDefinitions[].logConfiguration.secretOptions[]"}

// EachSecret visits every secret of a definition.
func EachSecret(def *ecs.Definition, visit func(path, name, valueFrom string)) {
	for _, pattern := range secretLists {
		each(def, pattern, func(path string, value any) {
			if secret, ok := value.(*ecs.Object); ok {
				visit(path, secret.Text("name"), secret.Text("valueFrom"))
			}
		})
	}
}

func checkEnvironment(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		eachEntry(c, "environment", func(path string, variable *ecs.Object) {
			switch name := variable.Text("name"); {
			case name == "":
				tell(path+".name", "it is missing")
			case strings.ContainsAny(name, "=\x00"):
				tell(path+".name", "no variable can have this name")
			}
		})
	}
}

func checkTwice(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		seen := map[string]bool{}
		eachEntry(c, "environment", func(path string, variable *ecs.Object) {
			name := variable.Text("name")
			if seen[name] {
				tell(path, "%s is set twice", name)
			}
			seen[name] = true
		})
	}
}

func checkEnvironmentFiles(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		if n := len(c.List("environmentFiles")); n > 10 {
			tell(c.Path+".environmentFiles", "they are %d", n)
		}
		eachEntry(c, "environmentFiles", func(path string, file *ecs.Object) {
			a, err := parseARN(file.Text("value"))
			switch {
			case file.Text("type") != string(types.EnvironmentFileTypeS3):
				tell(path+".type", "%q is not s3", file.Text("type"))
			case err != nil || a.service != "s3" || !strings.Contains(a.resource, "/"):
				tell(path+".value", "it is no ARN of an object on S3")
			case !strings.HasSuffix(a.resource, ".env"):
				tell(path+".value", "the name does not end with .env")
			}
		})
	}
}

func checkSecretNames(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		seen := map[string]bool{}
		eachEntry(c, "secrets", func(path string, secret *ecs.Object) {
			name := secret.Text("name")
			if _, shared := c.Env(name); shared || seen[name] {
				tell(path+".name", "%s is set twice, there or in environment", name).Answer =
					"The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '" + name + "'."
			}
			if name == "" {
				tell(path+".name", "it is missing")
			}
			seen[name] = true
		})
	}
}

func checkSecretReferences(def *ecs.Definition, tell tell) {
	EachSecret(def, func(path, _, valueFrom string) {
		if _, err := ParseValueFrom(valueFrom); err != nil {
			tell(path+".valueFrom", "%v", err)
		}
	})
}

func checkRepositoryCredentials(def *ecs.Definition, tell tell) {
	eachText(def, "containerDefinitions[].repositoryCredentials.credentialsParameter", func(path, text string) {
		if !strings.HasPrefix(text, "arn:") {
			return // the name of a secret
		}
		if v, err := ParseValueFrom(text); err != nil || v.Service != SecretsManager {
			tell(path, "it is no secret's ARN")
		}
	})
}

// checkExecutionRole: every reason to need one has an answer of its own.
func checkExecutionRole(def *ecs.Definition, tell tell) {
	if def.Root().Text("executionRoleArn") != "" {
		return
	}
	for _, c := range def.Containers() {
		ref, err := oci.ParseReference(c.Text("image"))
		switch {
		case len(c.List("secrets")) > 0 || len(c.Object.Object("logConfiguration").List("secretOptions")) > 0:
			tell("executionRoleArn", "%s has secrets, and no role may read them", c.Name()).Answer = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
		case c.Object.Object("repositoryCredentials").Text("credentialsParameter") != "":
			tell("executionRoleArn", "%s has repositoryCredentials, and no role may read them", c.Name()).Answer = "Private repository authentication requires that the task definition specify a value for executionRoleArn."
		case fargate(def) && err == nil && isECR(ref.Host()):
			tell("executionRoleArn", "the image of %s is in Amazon ECR, and no role may pull it", c.Name()).Answer = "Fargate requires task definition to have execution role ARN to support ECR images."
		case fargate(def) && c.Object.Object("logConfiguration").Text("logDriver") == "awslogs":
			tell("executionRoleArn", "%s logs to CloudWatch, and no role may write there", c.Name()).Answer = "Fargate requires task definition to have execution role ARN to support log driver awslogs."
		default:
			continue
		}
		return
	}
}

// isECR says whether a host is a private registry of Amazon ECR.
func isECR(host string) bool {
	account, rest, _ := strings.Cut(host, ".dkr.ecr")
	return isAccount(account) && strings.Contains(rest, ".amazonaws.com")
}
