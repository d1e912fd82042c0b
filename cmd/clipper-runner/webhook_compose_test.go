package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/clipperregistry/runner/webhook/serve"
)

// composeFile is as much of a file for Compose as is looked at.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Secrets     []string
		Volumes     []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck struct{ Test []string }
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

func readCompose(t *testing.T) (text string, c composeFile) {
	t.Helper()
	text = webhookFile(t, "compose.yml")
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return text, c
}

// TestCompose: what Compose starts is told by variables that the service knows,
// of a file that setup writes, and every part that one names is there.
func TestCompose(t *testing.T) {
	text, c := readCompose(t)
	known := serviceVariables()
	for name := range c.Services["webhook"].Environment {
		if !slices.Contains(known, name) && name != "SSL_CERT_FILE" && !strings.HasPrefix(name, "AWS_") {
			t.Errorf("the service knows no %s", name)
		}
	}
	written := append(known, "CLIPPER_IMAGE", "CLIPPER_USER", "SSL_CERT_FILE", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
	for _, found := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(written, found[1]) {
			t.Errorf("nobody sets %s", found[1])
		}
	}
	used := map[string]bool{}
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			used[secret] = true
			if c.Secrets[secret].File == "" {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for on, how := range s.DependsOn {
			if how.Condition != "service_healthy" || len(c.Services[on].Healthcheck.Test) == 0 {
				t.Errorf("%s waits for %s, which never is healthy", name, on)
			}
		}
		for _, v := range s.Volumes {
			volume, _, _ := strings.Cut(v, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s: there is no volume %s", name, volume)
			}
		}
		for variable, value := range s.Environment {
			if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, secret) {
				t.Errorf("%s: %s is a secret that it does not have", name, variable)
			}
		}
	}
	if all := slices.Sorted(maps.Keys(c.Secrets)); len(used) != len(all) {
		t.Errorf("of %q only %v are used", all, used)
	}
	if at := c.Services["webhook"].Environment["CLIPPER_WEBHOOK_DATABASE"]; !strings.HasPrefix(at, "postgres://clipper@postgres/clipper?") {
		t.Errorf("the database is %s", at)
	}
}

// aPart is a variable in a file for Compose, with what is there where it is not
// set or empty (:-), in its place where it is (:+), or that it has to be (:?)
// (https://docs.docker.com/reference/compose-file/interpolation/).
var aPart = regexp.MustCompile(`\$\{(\w+)(?::([-+?])([^}]*))?\}`)

// variablesOf are those that Compose gives to the service, set to what the map
// has.
func variablesOf(t *testing.T, set map[string]string) (variables []string) {
	t.Helper()
	_, c := readCompose(t)
	for name, value := range c.Services["webhook"].Environment {
		value = aPart.ReplaceAllStringFunc(value, func(part string) string {
			m := aPart.FindStringSubmatch(part)
			is := set[m[1]]
			switch {
			case m[2] == "+" && is != "":
				return m[3]
			case m[2] == "-" && is == "":
				return m[3]
			case m[2] == "?" && is == "":
				t.Errorf("%s has to be set", m[1])
			case m[2] == "+":
				return ""
			}
			return is
		})
		variables = append(variables, name, value)
	}
	return variables
}

// TestComposeTasks: with Compose, the service has what runs on ECS need, and what
// nobody has set counts as not set, for AWS's own library as well.
func TestComposeTasks(t *testing.T) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "CLIPPER_") {
			without(t, name)
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for variable, text := range map[string]string{
		"AWS_CONFIG_FILE":             "[default]\nregion = eu-west-1\n",
		"AWS_SHARED_CREDENTIALS_FILE": "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = file\n",
	} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(variable, file)
	}
	least := map[string]string{"CLIPPER_GITHUB_APP_ID": "7", "CLIPPER_WEBHOOK_SECRETS": "hunter2-hunter2"}
	all := maps.Clone(least)
	maps.Copy(all, map[string]string{
		"CLIPPER_WEBHOOK_IMAGE": "acme/webhook", "CLIPPER_RUNNER_IMAGE": "acme/runner", "CLIPPER_WEBHOOK_RUNNERS": "./runners.yml",
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDSET", "AWS_SECRET_ACCESS_KEY": "set", "AWS_SESSION_TOKEN": "token",
	})
	for _, tt := range []struct {
		set                                       map[string]string
		image, runner, runners, region, id, token string
	}{
		{least, "", "", "", "eu-west-1", "AKIDFILE", ""},
		{all, "acme/webhook", "acme/runner", "/run/secrets/runners", "eu-central-1", "AKIDSET", "token"},
	} {
		variables := variablesOf(t, tt.set)
		s := settingsOf(t, variables...)
		if s.Image != tt.image || s.RunnerImage != tt.runner || s.Runners != tt.runners {
			t.Errorf("the images are %q and %q, the runners %q", s.Image, s.RunnerImage, s.Runners)
		}
		for i := 0; i < len(variables); i += 2 {
			t.Setenv(variables[i], variables[i+1])
		}
		aws, err := serve.LoadAWS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found, err := aws.Credentials.Retrieve(t.Context())
		if err != nil || aws.Region != tt.region || found.AccessKeyID != tt.id || found.SessionToken != tt.token {
			t.Errorf("AWS is %s, %s of %s, %v", aws.Region, found.AccessKeyID, found.Source, err)
		}
	}
}
