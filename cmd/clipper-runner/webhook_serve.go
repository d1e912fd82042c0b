package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/webhook/serve"
	"github.com/clipperregistry/runner/webhook/task"
)

// databaseFlag says where the service keeps what it remembers.
type databaseFlag struct {
	Database string `env:"CLIPPER_WEBHOOK_DATABASE" default:"clipper-webhook.db" placeholder:"FILE|URL" help:"SQLite file on a local disk, or postgres:// URL; default: clipper-webhook.db."`
}

// appFlags say which GitHub App the service is. Secrets are variables only: in
// flags, every process could read them.
type appFlags struct {
	AppID            string `name:"app-id" env:"CLIPPER_GITHUB_APP_ID" placeholder:"ID" help:"GitHub App's ID. Its webhook secrets, with commas between, are CLIPPER_WEBHOOK_SECRETS, and a PEM key CLIPPER_GITHUB_PRIVATE_KEY."`
	PrivateKeyFile   string `env:"CLIPPER_GITHUB_PRIVATE_KEY_FILE" placeholder:"FILE" help:"Its private key, PEM."`
	PrivateKeyKMS    string `name:"private-key-kms" env:"CLIPPER_GITHUB_PRIVATE_KEY_KMS" placeholder:"ARN" help:"Its private key in AWS KMS, an ARN or alias."`
	PrivateKeySecret string `env:"CLIPPER_GITHUB_PRIVATE_KEY_SECRET" placeholder:"ARN" help:"Its private key in AWS Secrets Manager."`
	APIURL           string `name:"api-url" env:"CLIPPER_GITHUB_API_URL" placeholder:"URL" help:"GitHub's API; default: https://api.github.com. An Enterprise Server's is https://HOST/api/v3."`
	GitHubURL        string `name:"github-url" env:"CLIPPER_GITHUB_URL" placeholder:"URL" help:"Where people sign in; default: by the API's."`
	ClientID         string `name:"client-id" env:"CLIPPER_GITHUB_CLIENT_ID" placeholder:"ID" help:"Its OAuth client, for pages; with CLIPPER_GITHUB_CLIENT_SECRET."`
	Apps             string `env:"CLIPPER_WEBHOOK_APPS" placeholder:"FILE" help:"YAML file of several Apps, instead of all that is about one."`
}

// Variables with secrets.
const (
	envSecrets      = "CLIPPER_WEBHOOK_SECRETS"
	envPrivateKey   = "CLIPPER_GITHUB_PRIVATE_KEY"
	envClientSecret = "CLIPPER_GITHUB_CLIENT_SECRET"
	envCookieKey    = "CLIPPER_WEBHOOK_COOKIE_KEY"
)

// apps are the Apps that flags and variables say.
func (f appFlags) apps() ([]serve.App, error) {
	a := serve.App{
		Secrets: commas(os.Getenv(envSecrets)), Key: serve.Key{PEM: os.Getenv(envPrivateKey), File: f.PrivateKeyFile, KMS: f.PrivateKeyKMS, Secret: f.PrivateKeySecret},
		APIURL: f.APIURL, GitHubURL: f.GitHubURL, ClientID: f.ClientID, ClientSecret: os.Getenv(envClientSecret),
	}
	if f.Apps != "" {
		if f.AppID != "" || len(a.Secrets) > 0 || a.Key != (serve.Key{}) {
			return nil, fmt.Errorf("%w: CLIPPER_WEBHOOK_APPS is there instead of CLIPPER_GITHUB_… and CLIPPER_WEBHOOK_SECRETS: put that App into the file, too", serve.ErrSettings)
		}
		return serve.ReadApps(f.Apps)
	}
	if f.AppID == "" {
		return nil, fmt.Errorf("%w: there is no GitHub App: set CLIPPER_GITHUB_APP_ID to its ID, or CLIPPER_WEBHOOK_APPS to a file; clipper-runner webhook setup makes one", serve.ErrSettings)
	}
	var err error
	if a.ID, err = strconv.ParseInt(f.AppID, 10, 64); err != nil {
		return nil, fmt.Errorf("%w: CLIPPER_GITHUB_APP_ID: %q is no App's ID, which is a number", serve.ErrSettings, f.AppID)
	}
	return []serve.App{a}, nil
}

// commas are the words of a list.
func commas(list string) []string {
	var words []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// period is a time. A variable that is there and empty, as Compose files and
// task definitions pass on what nobody has set, leaves the default.
type period time.Duration

// Decode reads it.
func (p *period) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil || text == "" {
		return err
	}
	d, err := time.ParseDuration(text)
	*p = period(d)
	return err
}

// choice is true or false, and false if it is empty.
type choice bool

// IsBool says that it needs no value.
func (*choice) IsBool() bool { return true }

// Decode reads it.
func (c *choice) Decode(ctx *kong.DecodeContext) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		*c = true
		return nil
	}
	text := fmt.Sprint(ctx.Scan.Pop().Value)
	if text == "" {
		return nil
	}
	is, err := strconv.ParseBool(text)
	*c = choice(is)
	return err
}

// webhookServe is the service.
type webhookServe struct {
	Listen      string `env:"CLIPPER_WEBHOOK_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Public address; default: 127.0.0.1:8080. Empty is none, with --pull."`
	AdminListen string `env:"CLIPPER_WEBHOOK_ADMIN_LISTEN" default:"127.0.0.1:8081" placeholder:"ADDRESS" help:"Address of /readyz and /metrics; default: 127.0.0.1:8081. Empty is none."`
	databaseFlag
	appFlags
	URL         string `name:"url" env:"CLIPPER_WEBHOOK_URL" placeholder:"URL" help:"Where people reach the public address; the pages need it, and CLIPPER_WEBHOOK_COOKIE_KEY, 32 bytes or more."`
	Policy      string `env:"CLIPPER_WEBHOOK_POLICY" placeholder:"FILE" help:"The operator's policy; default: workflows of all repositories that the App is in, and nothing on ECS."`
	Runners     string `env:"CLIPPER_WEBHOOK_RUNNERS" placeholder:"FILE" help:"Sets of self-hosted runners of GitHub Actions on ECS; default: none."`
	Pull        choice `env:"CLIPPER_WEBHOOK_PULL" help:"Fetch deliveries, often: GitHub cannot call."`
	Reconcile   period `env:"CLIPPER_WEBHOOK_RECONCILE" placeholder:"TIME" help:"How often GitHub's list of deliveries is compared; default: 1m, with --pull 10s."`
	Watch       period `env:"CLIPPER_WEBHOOK_WATCH" placeholder:"TIME" help:"How often the truth about a run is asked for; default: 15s."`
	Report      period `env:"CLIPPER_WEBHOOK_REPORT" placeholder:"TIME" help:"How often a run's check changes at most; default: 10s."`
	Lease       period `env:"CLIPPER_WEBHOOK_LEASE" placeholder:"TIME" help:"How long the start of a run may take; default: 1m."`
	Search      period `env:"CLIPPER_WEBHOOK_SEARCH" placeholder:"TIME" help:"How long a run is looked for whose start may have been lost, until a person has to say; default: 5m."`
	Networks    string `env:"CLIPPER_WEBHOOK_NETWORKS" placeholder:"CIDR,…" help:"Where deliveries may come from; default: anywhere, with a signature."`
	Proxies     string `env:"CLIPPER_WEBHOOK_PROXIES" placeholder:"CIDR,…" help:"Whose X-Forwarded-For is believed; default: private networks."`
	Image       string `env:"CLIPPER_WEBHOOK_IMAGE" placeholder:"REF" help:"The service's own image, with which tasks check sources out; default: such runs are refused."`
	RunnerImage string `env:"CLIPPER_RUNNER_IMAGE" placeholder:"REF" help:"Runner image of tasks; default: clipperregistry/runner."`
	askFlags
}

func (c *webhookServe) Run(*int) error {
	ctx, stop := untilSignal()
	defer stop()
	settings, err := c.settings()
	if err == nil {
		err = serve.Run(ctx, settings)
	}
	if errors.Is(err, serve.ErrSettings) {
		return badArguments{err}
	}
	return err
}

func (c *webhookServe) settings() (serve.Settings, error) {
	s := serve.Settings{
		Listen: c.Listen, Admin: c.AdminListen, Database: c.Database, URL: c.URL, CookieKeys: commas(os.Getenv(envCookieKey)), Policy: c.Policy, Runners: c.Runners,
		Pull: bool(c.Pull), Reconcile: time.Duration(c.Reconcile), Watch: time.Duration(c.Watch), Report: time.Duration(c.Report), Lease: time.Duration(c.Lease), Search: time.Duration(c.Search), Image: c.Image, RunnerImage: c.RunnerImage,
		Traces: traces(), Log: os.Stderr, JSON: os.Getenv("CLIPPER_LOG") == string(runnerimage.LogJSON), Version: version,
	}
	if c.Resolve {
		s.Resolve = c.resolve
	}
	var err error
	if s.Networks, err = prefixes("CLIPPER_WEBHOOK_NETWORKS", c.Networks); err != nil {
		return s, err
	}
	if s.Proxies, err = prefixes("CLIPPER_WEBHOOK_PROXIES", c.Proxies); err != nil {
		return s, err
	}
	s.Apps, err = c.apps()
	return s, err
}

// traces says whether OpenTelemetry's variables name somebody who wants spans
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
func traces() bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || cmp.Or(os.Getenv("OTEL_TRACES_EXPORTER"), "otlp") != "otlp" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func prefixes(name, list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, word := range commas(list) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %q is no network, as in 192.0.2.0/24", serve.ErrSettings, name, word)
		}
		all = append(all, p)
	}
	return all, nil
}

// resolve asks a registry. What the registry says for good, a task need not try.
func (c *webhookServe) resolve(ctx context.Context, ref oci.Reference, platform oci.Platform) (ecs.Image, error) {
	image, err := c.ask(ctx, ref, platform)
	forGood := []error{registry.ErrNotFound, registry.ErrDenied, credentials.ErrRefused, oci.ErrNoPlatform, registry.ErrTooLarge, registry.ErrUnsupported}
	if slices.ContainsFunc(forGood, func(target error) bool { return errors.Is(err, target) }) {
		err = fmt.Errorf("%w: %w", task.ErrRefused, err)
	}
	return image, err
}
