package action

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/action/oidc"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/test/cloud"
)

func TestParseInputs(t *testing.T) {
	in, err := ParseInputs(map[string]string{
		"INPUT_IMAGE":         " ghcr.io/acme/app:1\n",
		"CLIPPER_MAGIC_IMAGE": "debian:12",
		"INPUT_CREDENTIALS":   "robot:s3cr3t",
		"INPUT_REGISTRY":      "ghcr.io",
		"INPUT_PLATFORM":      "linux/arm64",
		"INPUT_ENTRYPOINT":    `["/bin/sh","-c"]`,
		"INPUT_USER":          "app",
		"CLIPPER_WORKDIR":     "/srv",
		"INPUT_MIRRORS":       "",
		"INPUT_RUN":           "make\n  test\n",
		"INPUT_SHELL":         "bash",
		"INPUT_ENV":           "# comment\nA=1=2\n\n  TOKEN\nNONE\nEMPTY=\n",
		"TOKEN":               "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := in.Settings
	if s.Image.String() != "ghcr.io/acme/app:1" || s.Credentials != "robot:s3cr3t" || s.CredentialsRegistry != "ghcr.io" ||
		s.Platform.String() != "linux/arm64" || !slices.Equal(s.Entrypoint, []string{"/bin/sh", "-c"}) || s.User != "app" || s.WorkDir != "/srv" {
		t.Errorf("settings: %+v", s)
	}
	if in.Run != "make\n  test\n" || in.Shell != "bash" || !slices.Equal(in.Env, []Pair{{"A", "1=2"}, {"TOKEN", "x"}, {"EMPTY", ""}}) {
		t.Errorf("run: %+v", in)
	}
	if in.Identity != (oidc.Identity{}) {
		t.Errorf("identity: %+v", in.Identity)
	}
}

func TestInputNames(t *testing.T) {
	names := InputNames()
	for _, name := range names {
		if strings.ToLower(name) != name || strings.Contains(name, "_") {
			t.Errorf("%s is not spelled as inputs are", name)
		}
		// Both spellings of its variable are read.
		for _, variable := range []string{"INPUT_" + strings.ToUpper(name), "INPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))} {
			if got := Input(map[string]string{variable: "x"}, name); got != "x" {
				t.Errorf("%s is not read from %s", name, variable)
			}
		}
	}
	for _, name := range oidc.Names() {
		input := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "CLIPPER_"), "_", "-"))
		if !slices.Contains(names, input) {
			t.Errorf("%s is no input", name)
		}
	}
}

func TestBadInputs(t *testing.T) {
	for _, tt := range []struct {
		name string
		job  map[string]string
		want error
		says string
	}{
		{"nothing", nil, runnerimage.ErrSettings, `write "with: image: debian:12" in the step`},
		{"image", map[string]string{"INPUT_IMAGE": "https://ghcr.io/a"}, runnerimage.ErrSettings, "input image: bad settings: CLIPPER_MAGIC_IMAGE: "},
		{"image variable", map[string]string{"CLIPPER_MAGIC_IMAGE": "A B"}, runnerimage.ErrSettings, "CLIPPER_MAGIC_IMAGE: "},
		{"platform", map[string]string{"INPUT_IMAGE": "a", "INPUT_PLATFORM": "linux"}, runnerimage.ErrSettings, "input platform: "},
		{"entrypoint", map[string]string{"INPUT_IMAGE": "a", "INPUT_ENTRYPOINT": "sh"}, runnerimage.ErrSettings, "is not a JSON array of strings"},
		{"args", map[string]string{"INPUT_IMAGE": "a", "INPUT_ARGS": "make test"}, runnerimage.ErrSettings, `input args is not a JSON array of strings such as ["make", "test"]`},
		{"no args", map[string]string{"INPUT_IMAGE": "a", "INPUT_ARGS": "[]"}, runnerimage.ErrSettings, "input args"},
		{"run and args", map[string]string{"INPUT_IMAGE": "a", "INPUT_ARGS": `["a"]`, "INPUT_RUN": "b"}, runnerimage.ErrSettings, "both given"},
		{"shell alone", map[string]string{"INPUT_IMAGE": "a", "INPUT_SHELL": "bash"}, runnerimage.ErrSettings, "shell is given without run"},
		{"env", map[string]string{"INPUT_IMAGE": "a", "INPUT_ENV": "A=1\nB: 2"}, runnerimage.ErrSettings, "input env, line 2: "},
		{"role", map[string]string{"INPUT_IMAGE": "a", "INPUT_AWS-ROLE-ARN": "puller"}, credentials.ErrSettings, "CLIPPER_AWS_ROLE_ARN must be a role's ARN"},
		{"two credentials", map[string]string{"INPUT_IMAGE": "a", "CLIPPER_CREDENTIALS": "s3cr3t", "CLIPPER_CREDENTIALS_FILE": "/x"}, runnerimage.ErrSettings, "both set"},
	} {
		if _, err := ParseInputs(tt.job); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.says)
		}
	}
}

func TestWhoAsks(t *testing.T) {
	for _, tt := range []struct {
		name        string
		job         map[string]string
		credentials string
		identity    bool
	}{
		{"an identity", nil, "", true},
		{"a step before left none", map[string]string{"CLIPPER_CREDENTIALS": "-"}, "", true},
		{"the step wants none", map[string]string{"INPUT_CREDENTIALS": "-"}, "-", false},
		{"the step has its own", map[string]string{"INPUT_CREDENTIALS": "clp_x", "CLIPPER_CREDENTIALS": "-"}, "clp_x", false},
		{"the step's, over a file", map[string]string{"INPUT_CREDENTIALS": "clp_x", "CLIPPER_CREDENTIALS_FILE": "/x"}, "clp_x", false},
		{"the container's", map[string]string{"CLIPPER_CREDENTIALS": "clp_y"}, "clp_y", false},
		{"a file", map[string]string{"CLIPPER_CREDENTIALS_FILE": "/x"}, "", false},
		{"none, and the identity is for others", map[string]string{"CLIPPER_CREDENTIALS": "-", "INPUT_IMAGE": "ghcr.io/a/b"}, "-", false},
	} {
		job := map[string]string{"INPUT_IMAGE": cloud.ECR + "/app", "INPUT_AWS_ROLE_ARN": cloud.Role}
		maps.Copy(job, tt.job)
		in, err := ParseInputs(job)
		if err != nil || in.Settings.Credentials != tt.credentials || (in.Identity != oidc.Identity{}) != tt.identity {
			t.Errorf("%s: %q, %+v, %v", tt.name, in.Settings.Credentials, in.Identity, err)
		}
	}
}

func TestLogIn(t *testing.T) {
	c := cloud.New()
	job := c.Env()
	job["INPUT_IMAGE"], job["INPUT_AWS-ROLE-ARN"] = cloud.ECR+"/team/app:1", cloud.Role
	in, err := ParseInputs(job)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := in.LogIn(t.Context(), job, NewLog(&out), &http.Client{Transport: c}); err != nil {
		t.Fatal(err)
	}
	// The settings are what the credentials room reads.
	keychain, err := credentials.New(credentials.Settings{Value: in.Settings.Credentials, Registry: in.Settings.CredentialsRegistry, Image: in.Settings.Image.Host()})
	if err != nil {
		t.Fatal(err)
	}
	login, err := keychain.Login(t.Context(), cloud.ECR, "team/app")
	if err != nil || !c.Accepts(cloud.ECR, login.Username, login.Password) {
		t.Errorf("the registry does not accept the login of %q: %v", login.Username, err)
	}
	for line := range strings.Lines(out.String()) {
		for _, secret := range c.Secrets() {
			if strings.Contains(line, secret) && line != "::add-mask::"+secret+"\n" {
				t.Errorf("a secret stands in %q", line)
			}
		}
	}
	if !strings.Contains(out.String(), "asking AWS for credentials of "+cloud.ECR+"\n") {
		t.Errorf("the log is %q", out.String())
	}
}

func TestNobodyIsAsked(t *testing.T) {
	for _, tt := range []struct{ name, image, registry, credentials string }{
		{"another registry", "ghcr.io/a/b", "", ""},
		{"credentials are for another registry", cloud.ECR + "/app", "registry.example", ""},
		{"credentials are there", cloud.ECR + "/app", "", "clp_x"},
	} {
		c := cloud.New()
		job := c.Env()
		maps.Copy(job, map[string]string{"INPUT_IMAGE": tt.image, "INPUT_AWS_ROLE_ARN": cloud.Role, "INPUT_REGISTRY": tt.registry, "INPUT_CREDENTIALS": tt.credentials})
		in, err := ParseInputs(job)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.LogIn(t.Context(), job, NewLog(&bytes.Buffer{}), &http.Client{Transport: c}); err != nil || len(c.Calls()) > 0 || in.Settings.Credentials != tt.credentials {
			t.Errorf("%s: %v; asked %q", tt.name, err, c.Calls())
		}
	}
}

func TestLogInRefused(t *testing.T) {
	c := cloud.New()
	job := map[string]string{"INPUT_IMAGE": cloud.ECR + "/app", "INPUT_AWS_ROLE_ARN": cloud.Role}
	in, err := ParseInputs(job)
	if err != nil {
		t.Fatal(err)
	}
	err = in.LogIn(t.Context(), job, NewLog(&bytes.Buffer{}), &http.Client{Transport: c})
	if !errors.Is(err, credentials.ErrSettings) || !strings.Contains(err.Error(), "id-token: write") || in.Settings.Credentials != "" {
		t.Errorf("without the permission: %v", err)
	}
}
