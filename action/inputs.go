package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/action/oidc"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
)

// Inputs is what a step was asked to do.
type Inputs struct {
	// Settings are the runner's.
	Settings runnerimage.Settings
	// Identity is who asks for credentials; nobody, where credentials were
	// given.
	Identity oidc.Identity

	// Run is a script to run in the image, and Shell the program that reads it;
	// Args are a command in place of it. Neither: the image is laid out and
	// nothing is run.
	Run, Shell string
	Args       []string
	// Env are further variables of what is run.
	Env []Pair
	// Options are flags of `clipper-runner run`, as a person writes them, and
	// Cache says that the Actions cache is used. Both are for a job without a
	// container of ours: there the runner has made the container already, and
	// its steps have no token for the cache.
	Options string
	Cache   bool

	values map[string]string // of the settings, by their variables
}

// settingInputs are the inputs of the action that are settings of the runner
// under another name.
var settingInputs = []struct{ name, variable string }{
	{"image", envImage},
	{"credentials", envCredentials},
	{"registry", "CLIPPER_CREDENTIALS_REGISTRY"},
	{"platform", "CLIPPER_PLATFORM"},
	{"pull-policy", "CLIPPER_PULL_POLICY"},
	{"user", "CLIPPER_USER"},
	{"workdir", "CLIPPER_WORKDIR"},
	{"entrypoint", "CLIPPER_ENTRYPOINT"},
	{"store", "CLIPPER_STORE"},
	{"store-max", "CLIPPER_STORE_MAX"},
	{"toc", "CLIPPER_TOC"},
	{"mirrors", "CLIPPER_MIRRORS"},
	{"insecure-registries", "CLIPPER_INSECURE_REGISTRIES"},
	{"ca-certs", "CLIPPER_CA_CERTS"},
	{"aws-role-arn", "CLIPPER_AWS_ROLE_ARN"},
	{"gcp-provider", "CLIPPER_GCP_PROVIDER"},
	{"gcp-service-account", "CLIPPER_GCP_SERVICE_ACCOUNT"},
	{"azure-client-id", "CLIPPER_AZURE_CLIENT_ID"},
	{"azure-tenant-id", "CLIPPER_AZURE_TENANT_ID"},
	{"oidc-url", "CLIPPER_OIDC_URL"},
	{"oidc-audience", "CLIPPER_OIDC_AUDIENCE"},
}

const (
	envImage           = "CLIPPER_MAGIC_IMAGE"
	envCredentialsFile = "CLIPPER_CREDENTIALS_FILE"

	inputRun     = "run"
	inputShell   = "shell"
	inputArgs    = "args"
	inputEnv     = "env"
	inputOptions = "options"
	inputCache   = "cache"
)

// InputNames are the names of all inputs of the action.
func InputNames() []string {
	names := []string{inputRun, inputShell, inputArgs, inputEnv, inputOptions, inputCache}
	for _, in := range settingInputs {
		names = append(names, in.name)
	}
	return names
}

// Input is the value of an input, "" if it was not given. The runner keeps the
// dashes of a name; a composite action's own env: must not, since some shells
// drop variables that have them.
func Input(job map[string]string, name string) string {
	variable := "INPUT_" + strings.ToUpper(name)
	for _, v := range []string{variable, strings.ReplaceAll(variable, "-", "_")} {
		if value := job[v]; strings.TrimSpace(value) != "" {
			return value
		}
	}
	return ""
}

// ParseInputs reads what a step was asked from its environment: inputs win over
// the variables of the same meaning. Its errors wrap runnerimage.ErrSettings or
// credentials.ErrSettings, name the input or its variable, and show no secret.
func ParseInputs(job map[string]string) (in Inputs, err error) {
	values := maps.Clone(job)
	for _, s := range settingInputs {
		value := strings.TrimSpace(Input(job, s.name))
		if value == "" {
			continue
		}
		values[s.variable] = value
		if err := checkInput(s.variable, value); err != nil {
			return Inputs{}, fmt.Errorf("input %s: %w", s.name, err)
		}
	}
	if in.Identity, err = oidc.Parse(func(name string) string { return values[name] }); err != nil {
		return Inputs{}, err
	}
	given := Input(job, "credentials") != ""
	if given {
		delete(values, envCredentialsFile)
	}
	if in.Settings, err = runnerimage.ParseSettings(entries(values), nil); errors.Is(err, runnerimage.ErrNoImage) {
		return Inputs{}, fmt.Errorf("%w: no image is named: write \"with: image: debian:12\" in the step, or %s: debian:12 in the env: of the job's container", runnerimage.ErrSettings, envImage)
	} else if err != nil {
		return Inputs{}, err
	}
	_, useful := in.Identity.For(in.Settings.Image.Host())
	switch {
	case !given && useful && in.Settings.Credentials == noCredentials:
		// Left by a step before this one, so that a container's token is not
		// used (see NewPlan).
		in.Settings.Credentials = ""
	case in.Settings.Credentials != "" || in.Settings.CredentialsFile != "":
		in.Identity = oidc.Identity{}
	}
	in.values = values
	if in.Cache, err = parseSwitch(Input(job, inputCache)); err != nil {
		return Inputs{}, fmt.Errorf("%w: input cache: %w", runnerimage.ErrSettings, err)
	}
	in.Options = Input(job, inputOptions)
	return in, in.parseRun(job)
}

// machineOnly are the inputs that mean nothing in a job's container: what they
// would set was decided by the workflow when the container was made.
var machineOnly = []string{inputArgs, inputEnv, inputOptions, inputCache, "user", "workdir", "entrypoint"}

// idle are those of the inputs given that mean nothing in a job's container.
func idle(job map[string]string) []string {
	return slices.DeleteFunc(slices.Clone(machineOnly), func(name string) bool {
		value := Input(job, name)
		return value == "" || name == inputCache && strings.TrimSpace(value) == "false"
	})
}

// parseSwitch reads what YAML calls a boolean; "" is false.
func parseSwitch(value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, fmt.Errorf("%.80q is neither true nor false", value)
}

// Environ are the settings as entries that runnerimage.ParseSettings reads.
func (in Inputs) Environ() []string {
	values := maps.Clone(in.values)
	values[envCredentials], values["CLIPPER_CREDENTIALS_REGISTRY"] = in.Settings.Credentials, in.Settings.CredentialsRegistry
	var environ []string
	for _, name := range runnerimage.OwnNames() {
		if value := values[name]; value != "" {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

// checkInput parses one setting alone, to know which one is wrong.
func checkInput(variable, value string) error {
	if _, err := runnerimage.ParseSettings([]string{envImage + "=any", variable + "=" + value}, nil); err != nil {
		return err
	}
	return nil
}

func entries(values map[string]string) []string {
	var environ []string
	for name, value := range values {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// parseRun reads the inputs that say what to run.
func (in *Inputs) parseRun(job map[string]string) error {
	in.Run, in.Shell = Input(job, inputRun), strings.TrimSpace(Input(job, inputShell))
	if args := Input(job, inputArgs); args != "" {
		if err := json.Unmarshal([]byte(args), &in.Args); err != nil || len(in.Args) == 0 {
			return fmt.Errorf(`%w: input args is not a JSON array of strings such as ["make", "test"]`, runnerimage.ErrSettings)
		}
	}
	switch {
	case in.Run != "" && in.Args != nil:
		return fmt.Errorf("%w: the inputs run and args are both given: give one of them", runnerimage.ErrSettings)
	case in.Run == "" && in.Shell != "":
		return fmt.Errorf("%w: the input shell is given without run", runnerimage.ErrSettings)
	}
	for n, line := range strings.Split(Input(job, inputEnv), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, set := strings.Cut(line, "=")
		if name == "" || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("%w: input env, line %d: it is neither NAME=value nor NAME", runnerimage.ErrSettings, n+1)
		}
		if !set {
			if value, set = job[name]; !set {
				continue // as docker run --env NAME
			}
		}
		in.Env = append(in.Env, Pair{name, value})
	}
	return nil
}

// LogIn asks for credentials of the image's registry where an identity is set
// that it accepts, and puts them into the settings. They are masked in log
// before that. client may be nil.
func (in *Inputs) LogIn(ctx context.Context, job map[string]string, log *Log, client *http.Client) error {
	host := in.Settings.Image.Host()
	only := in.Settings.CredentialsRegistry
	service, ok := in.Identity.For(host)
	if !ok || only != "" && credentials.NormalizeHost(only) != host {
		return nil
	}
	fmt.Fprintf(log.Text(), "asking %s for credentials of %s\n", service, host)
	c := oidc.Client{Identity: in.Identity, Env: func(name string) string { return job[name] }, Mask: log.Mask, HTTP: client}
	login, err := c.Login(ctx, host)
	if err != nil {
		return err
	}
	// Strings always marshal.
	value, _ := json.Marshal(map[string]string{"username": login.Username, "password": login.Password})
	in.Settings.Credentials, in.Settings.CredentialsRegistry = string(value), host
	return nil
}
