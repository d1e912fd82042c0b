package runnerimage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// LogFormat is the form in which a run reports on standard error.
type LogFormat string

const (
	LogText  LogFormat = "text"
	LogJSON  LogFormat = "json"
	LogQuiet LogFormat = "quiet"
)

// PullPolicy says when the registry is asked.
type PullPolicy string

const (
	// PullAlways asks for the manifest once per container, with the
	// credentials of this run, so that a shared store hands nobody an image
	// that he may not pull. Where the registry is out of reach, what is stored
	// is taken, with a warning.
	PullAlways PullPolicy = "always"
	// PullIfNotPresent asks only for what is not stored.
	PullIfNotPresent PullPolicy = "if-not-present"
	// PullNever asks nobody.
	PullNever PullPolicy = "never"
)

// TOCPolicy says whether a published table of contents is believed.
type TOCPolicy string

const (
	// TOCAuto starts from a layer's published table where that saves bytes.
	TOCAuto TOCPolicy = "auto"
	// TOCNever reads every layer whole.
	TOCNever TOCPolicy = "never"
)

// Settings is everything a person may set, parsed and checked.
type Settings struct {
	// Image is the image to become.
	Image oci.Reference
	// Credentials is a token, user:password, a JSON object, a docker
	// config.json, or "-" for none; CredentialsFile is a file that holds the
	// same.
	Credentials     string
	CredentialsFile string
	// CredentialsRegistry is the only host that credentials without a host of
	// their own are sent to; the image's host when empty.
	CredentialsRegistry string
	// Platform to choose from an index.
	Platform oci.Platform

	// Entrypoint, when not nil, replaces the image's ENTRYPOINT and drops its
	// CMD. User and WorkDir replace the image's when not empty.
	Entrypoint []string
	User       string
	WorkDir    string
	// CapDrop are capabilities to drop just before the program starts.
	CapDrop []string
	// Hosts are names for the program, at addresses.
	Hosts []HostName
	// Init says whether the runner stays as PID 1.
	Init process.InitMode

	// Pull says when the registry is asked, TOC whether published tables of
	// contents are believed.
	Pull PullPolicy
	TOC  TOCPolicy
	// Store is the directory that keeps content between runs; when empty, the
	// volume at StorePath, if there is one. StoreMax is how many bytes it may
	// take, 0 for no limit.
	Store    string
	StoreMax int64

	// Mirrors are asked before the image's own registry.
	Mirrors []registry.Mirror
	// Insecure are registries that may be asked over plain HTTP.
	Insecure []string
	// CACerts is a file or directory with further CA certificates.
	CACerts string

	// Log is the form of the reports on standard error.
	Log LogFormat
	// Backoff says whether a start that failed keeps its container for a while.
	Backoff BackoffPolicy
}

// ErrSettings says that a setting is missing or cannot be used.
var ErrSettings = errors.New("bad settings")

// ErrNoImage is the ErrSettings of somebody who named no image.
var ErrNoImage = fmt.Errorf("%w: %s is not set: name the image to become, as in -e %s=debian:12", ErrSettings, envImage, envImage)

// The names of the settings. Exactly these are the runner's own and are taken
// out of the environment of the image's program.
const (
	envImage               = "CLIPPER_MAGIC_IMAGE"
	envCredentials         = "CLIPPER_CREDENTIALS"
	envCredentialsFile     = "CLIPPER_CREDENTIALS_FILE"
	envCredentialsRegistry = "CLIPPER_CREDENTIALS_REGISTRY"
	envPlatform            = "CLIPPER_PLATFORM"
	envEntrypoint          = "CLIPPER_ENTRYPOINT"
	envUser                = "CLIPPER_USER"
	envWorkDir             = "CLIPPER_WORKDIR"
	envCapDrop             = "CLIPPER_CAP_DROP"
	envHosts               = "CLIPPER_HOSTS"
	envInit                = "CLIPPER_INIT"
	envPull                = "CLIPPER_PULL_POLICY"
	envTOC                 = "CLIPPER_TOC"
	envStore               = "CLIPPER_STORE"
	envStoreMax            = "CLIPPER_STORE_MAX"
	envMirrors             = "CLIPPER_MIRRORS"
	envInsecure            = "CLIPPER_INSECURE_REGISTRIES"
	envCACerts             = "CLIPPER_CA_CERTS"
	envLog                 = "CLIPPER_LOG"
	envBackoff             = "CLIPPER_BACKOFF"

	// Who a GitHub job is at the clouds; only github-init reads them.
	envAWSRole           = "CLIPPER_AWS_ROLE_ARN"
	envGCPProvider       = "CLIPPER_GCP_PROVIDER"
	envGCPServiceAccount = "CLIPPER_GCP_SERVICE_ACCOUNT"
	envAzureClientID     = "CLIPPER_AZURE_CLIENT_ID"
	envAzureTenantID     = "CLIPPER_AZURE_TENANT_ID"
	envOIDCURL           = "CLIPPER_OIDC_URL"
	envOIDCAudience      = "CLIPPER_OIDC_AUDIENCE"
)

// OwnNames are the variables that are the runner's own. Every other variable,
// other CLIPPER_ ones too, passes to the image's program.
func OwnNames() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.name
	}
	return names
}

// setting is one row of the table of settings: how its text becomes a value.
type setting struct {
	name  string
	parse func(s *Settings, value string) error
}

// text makes the parser of a setting that takes any text.
func text(field func(*Settings) *string) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		*field(s) = value
		return nil
	}
}

// list makes the parser of a setting that takes names separated by commas.
func list(field func(*Settings) *[]string) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*field(s) = append(*field(s), item)
			}
		}
		return nil
	}
}

// choice makes the parser of a setting that takes one of a few words.
func choice[T ~string](field func(*Settings) *T, words ...T) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		if !slices.Contains(words, T(value)) {
			return fmt.Errorf("%q is none of %s", value, join(words))
		}
		*field(s) = T(value)
		return nil
	}
}

func join[T ~string](words []T) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = string(word)
	}
	return strings.Join(all, ", ")
}

// settings is the table, the log's form and the back-off first: they decide
// how a mistake in the others is told, and what comes after it.
var settings = []setting{
	{envLog, choice(func(s *Settings) *LogFormat { return &s.Log }, LogText, LogJSON, LogQuiet)},
	{envBackoff, choice(func(s *Settings) *BackoffPolicy { return &s.Backoff }, BackoffAuto, BackoffNever)},
	{envImage, parseImage},
	{envCredentials, text(func(s *Settings) *string { return &s.Credentials })},
	{envCredentialsFile, text(func(s *Settings) *string { return &s.CredentialsFile })},
	{envCredentialsRegistry, text(func(s *Settings) *string { return &s.CredentialsRegistry })},
	{envPlatform, parsePlatform},
	{envEntrypoint, parseEntrypoint},
	{envUser, text(func(s *Settings) *string { return &s.User })},
	{envWorkDir, text(func(s *Settings) *string { return &s.WorkDir })},
	{envCapDrop, list(func(s *Settings) *[]string { return &s.CapDrop })},
	{envHosts, parseHosts},
	{envInit, parseInit},
	{envPull, choice(func(s *Settings) *PullPolicy { return &s.Pull }, PullAlways, PullIfNotPresent, PullNever)},
	{envTOC, choice(func(s *Settings) *TOCPolicy { return &s.TOC }, TOCAuto, TOCNever)},
	{envStore, parseStore},
	{envStoreMax, parseStoreMax},
	{envMirrors, parseMirrors},
	{envInsecure, list(func(s *Settings) *[]string { return &s.Insecure })},
	{envCACerts, text(func(s *Settings) *string { return &s.CACerts })},
	{envAWSRole, identity}, {envGCPProvider, identity}, {envGCPServiceAccount, identity},
	{envAzureClientID, identity}, {envAzureTenantID, identity}, {envOIDCURL, identity}, {envOIDCAudience, identity},
}

// identity is the parser of what package oidc reads, where there is a job.
func identity(*Settings, string) error { return nil }

// ParseSettings reads the settings from environ ("NAME=value"), over the
// values of file, the content of a runner.env. An empty value counts as not
// given. The error wraps ErrSettings and never shows a value that may be
// secret; what could be read until then is returned with it, so that the
// error can be told in the form that was asked for.
func ParseSettings(environ []string, file io.Reader) (Settings, error) {
	s := Settings{Platform: oci.HostPlatform(""), Log: LogText, Pull: PullAlways, TOC: TOCAuto, Backoff: BackoffAuto}
	values, err := ReadFile(file)
	if err != nil {
		return s, err
	}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			values[name] = value
		}
	}
	for _, setting := range settings {
		value := values[setting.name]
		if value == "" {
			continue
		}
		if err := setting.parse(&s, value); err != nil {
			return s, fmt.Errorf("%w: %s: %w", ErrSettings, setting.name, err)
		}
	}
	if values[envImage] == "" {
		return s, ErrNoImage
	}
	if s.Credentials != "" && s.CredentialsFile != "" {
		return s, fmt.Errorf("%w: %s and %s are both set: give one of them", ErrSettings, envCredentials, envCredentialsFile)
	}
	return s, nil
}

// ReadFile reads the NAME=value lines of a runner.env; empty lines and lines that start with #
// are skipped. A derived image bakes its settings this way, so a name that is
// no setting is a mistake worth stopping for.
func ReadFile(file io.Reader) (map[string]string, error) {
	values := map[string]string{}
	if file == nil {
		return values, nil
	}
	own := OwnNames()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%w: runner.env line %d is not of the form NAME=value", ErrSettings, n)
		}
		if !slices.Contains(own, name) {
			return nil, fmt.Errorf("%w: runner.env line %d: %q is not a setting of the runner", ErrSettings, n, name)
		}
		values[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: runner.env: %w", ErrSettings, err)
	}
	return values, nil
}

func parseImage(s *Settings, value string) (err error) {
	s.Image, err = oci.ParseReference(value)
	return err
}

func parsePlatform(s *Settings, value string) (err error) {
	s.Platform, err = oci.ParsePlatform(value)
	return err
}

func parseEntrypoint(s *Settings, value string) error {
	s.Entrypoint = []string{}
	if err := json.Unmarshal([]byte(value), &s.Entrypoint); err != nil {
		return fmt.Errorf(`%q is not a JSON array of strings such as ["/bin/sh","-c"]`, value)
	}
	return nil
}

func parseInit(s *Settings, value string) error {
	modes := map[string]process.InitMode{"auto": process.InitAuto, "always": process.InitAlways, "never": process.InitNever}
	mode, known := modes[value]
	if !known {
		return fmt.Errorf("%q is none of auto, always, never", value)
	}
	s.Init = mode
	return nil
}

func parseMirrors(s *Settings, value string) (err error) {
	s.Mirrors, err = registry.ParseMirrors(value)
	return err
}

// parseStore wants an absolute path: the runner's own directory is nobody's.
func parseStore(s *Settings, value string) error {
	if !filepath.IsAbs(value) {
		return fmt.Errorf("%q is not an absolute path", value)
	}
	s.Store = filepath.Clean(value)
	return nil
}

func parseStoreMax(s *Settings, value string) (err error) {
	s.StoreMax, err = ParseSize(value)
	return err
}
