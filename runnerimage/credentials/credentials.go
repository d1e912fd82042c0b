// Package credentials answers one question: which credentials go to which
// registry host.
//
// In come the settings of a person (CLIPPER_CREDENTIALS in any of its forms)
// and the ambient identity of the place the runner stands in (an ECS task
// role, an EC2 instance role, static AWS variables, GITHUB_TOKEN). Out goes
// one authn.AuthConfig for a host and a repository; the zero AuthConfig means
// anonymous. How a registry is spoken to is not known here.
//
// It promises:
//   - Credentials without a host go to one host only, those of a docker
//     config.json to the host of their entry only, an ambient identity only to
//     hosts whose whole name is that of its service. Everyone else gets
//     anonymous.
//   - An ambient identity is looked for only when nothing was given, and only
//     when a host is asked for that could accept it.
//   - No error and no note contains a secret.
package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// ErrSettings is wrapped by every error about what a person has set.
var ErrSettings = errors.New("bad credential settings")

// ErrRefused says that a cloud answered, and would not give what it was asked.
var ErrRefused = errors.New("refused")

// maxValue bounds a credentials file; the largest docker config.json is far
// smaller.
const maxValue = 1 << 20

// Settings say what was given and where the keychain may look by itself.
type Settings struct {
	// Value is CLIPPER_CREDENTIALS or the content of CLIPPER_CREDENTIALS_FILE
	// (see ReadValue). Empty or blank: nothing was given. "-": anonymous
	// everywhere, no ambient identity.
	Value string
	// Registry is CLIPPER_CREDENTIALS_REGISTRY: the only host that credentials
	// without a host are sent to. Default: Image.
	Registry string
	// Image is the registry host of the magic image.
	Image string

	// Env looks up the variables of the ambient identity: AWS_*, GITHUB_TOKEN
	// and GITHUB_ACTOR. Default: none, and then no ambient identity at all.
	Env func(string) string
	// Files is the root directory as far as the person who started the runner
	// may read it; token files that AWS variables name are read through it. The
	// room opens no path itself, because the runner may be set-uid. Default:
	// such files are not read.
	Files fs.FS
	// HTTP is the client for the APIs of a cloud. Redirects are never followed,
	// and metadata services always get a client of their own without a proxy.
	// Default: http.DefaultTransport with a time-out.
	HTTP *http.Client
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Mask, where set, is called with every secret as soon as it is known, for
	// logs that are masked by somebody else. It may be called concurrently.
	Mask func(secret string)
}

// ReadValue reads a credentials file for Settings.Value.
func ReadValue(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxValue+1))
	if err != nil {
		return "", fmt.Errorf("read credentials file: %w", err)
	}
	if len(b) > maxValue {
		return "", fmt.Errorf("%w: the credentials file is larger than %d bytes; is it the right file?", ErrSettings, maxValue)
	}
	return string(b), nil
}

// Keychain holds the credentials of one run. It is safe for concurrent use.
type Keychain struct {
	given  given
	target string // the one host of credentials without a host

	aws *awsIdentity // nil: no ambient identity
	env func(string) string

	mask func(string)

	mu      sync.Mutex
	notes   map[string]string // host → why it is asked anonymously
	secrets map[string]bool
}

// New parses the settings. It does no I/O: an ambient identity is asked for by
// Login when its host is. Every error wraps ErrSettings.
func New(s Settings) (*Keychain, error) {
	g, err := parse(s.Value)
	if err != nil {
		return nil, err
	}
	k := newKeychain(s)
	k.given = g
	k.keepSecret(g.token)
	k.keepLogin(g.basic)
	for _, e := range g.entries {
		k.keepLogin(e.login)
	}
	k.target, err = targetHost(s)
	if err != nil {
		return nil, err
	}
	if k.target == "" && (g.form == formToken || g.form == formBasic) {
		return nil, fmt.Errorf("%w: CLIPPER_CREDENTIALS names no registry and there is no image to take it from; set CLIPPER_CREDENTIALS_REGISTRY", ErrSettings)
	}
	if g.form == formNone && s.Env != nil {
		k.env = s.Env
		k.aws = newAWSIdentity(s, k)
	}
	return k, nil
}

func newKeychain(s Settings) *Keychain {
	return &Keychain{mask: s.Mask, notes: map[string]string{}, secrets: map[string]bool{}}
}

// targetHost is the one host that credentials without a host may go to.
func targetHost(s Settings) (string, error) {
	if strings.TrimSpace(s.Registry) == "" {
		return NormalizeHost(s.Image), nil
	}
	host, path, ok := splitKey(s.Registry)
	if !ok || path != "" {
		return "", fmt.Errorf("%w: CLIPPER_CREDENTIALS_REGISTRY must be one registry host such as ghcr.io or registry.example.com:5000, without a path", ErrSettings)
	}
	return host, nil
}

// Login returns the credentials for a repository of a registry host; the zero
// AuthConfig is anonymous. Auth is left empty, the other fields say it all.
// An ambient identity that cannot be had is no error but a note: many images
// are public. ctx governs the calls for it; its end is the only error.
func (k *Keychain) Login(ctx context.Context, host, repository string) (authn.AuthConfig, error) {
	host = NormalizeHost(host)
	switch k.given.form {
	case formAnonymous:
		k.note(host, `CLIPPER_CREDENTIALS is "-", which means none`)
	case formToken, formBasic:
		if host != k.target {
			k.note(host, "CLIPPER_CREDENTIALS is for "+k.target+" only; if it is meant for this host, set CLIPPER_CREDENTIALS_REGISTRY to it")
			break
		}
		if k.given.form == formBasic {
			return k.given.basic, nil
		}
		return authn.AuthConfig{Username: tokenUser(host), Password: k.given.token}, nil
	case formConfig:
		if login, ok := lookUp(k.given.entries, host, repository); ok {
			return login, nil
		}
		k.note(host, "the docker config.json has no credentials for it")
	case formNone:
		return k.ambient(ctx, host)
	}
	return authn.AuthConfig{}, nil
}

// ambient finds what the surroundings offer for exactly this host.
func (k *Keychain) ambient(ctx context.Context, host string) (authn.AuthConfig, error) {
	if k.env == nil {
		return authn.AuthConfig{}, nil
	}
	if host == "ghcr.io" {
		return k.githubToken(), nil
	}
	reg, ok := parseECRHost(host)
	if !ok {
		return authn.AuthConfig{}, nil
	}
	login, err := k.aws.login(ctx, reg)
	if ctx.Err() != nil {
		return authn.AuthConfig{}, fmt.Errorf("ask AWS for credentials of %s: %w", host, ctx.Err())
	}
	if err != nil {
		k.note(host, "no ambient credentials: "+k.Redact(err.Error()))
		return authn.AuthConfig{}, nil
	}
	k.clearNote(host)
	return login, nil
}

// githubToken is the job's own token, which GitHub's registry accepts with any
// user name.
func (k *Keychain) githubToken() authn.AuthConfig {
	token := strings.TrimSpace(k.env("GITHUB_TOKEN"))
	if token == "" {
		k.note("ghcr.io", "no ambient credentials: GITHUB_TOKEN is not set")
		return authn.AuthConfig{}
	}
	user := k.env("GITHUB_ACTOR")
	if user == "" || strings.Contains(user, ":") {
		user = "x-access-token"
	}
	login := authn.AuthConfig{Username: user, Password: token}
	k.keepLogin(login)
	return login
}

// Notes says, host by host, why Login answered anonymous, for the message of a
// registry's later refusal. Notes hold no secrets.
func (k *Keychain) Notes() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	notes := make([]string, 0, len(k.notes))
	for host, why := range k.notes {
		notes = append(notes, host+": "+why)
	}
	slices.Sort(notes)
	return notes
}

// Secrets lists every secret known so far, longest first, for masking in logs:
// passwords, tokens and their Basic form. Login may add to it.
func (k *Keychain) Secrets() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]string, 0, len(k.secrets))
	for s := range k.secrets {
		all = append(all, s)
	}
	// Longest first: a secret that contains another must go first or its rest stays.
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return all
}

// Redact replaces every secret known so far in s by "***".
func (k *Keychain) Redact(s string) string {
	for _, secret := range k.Secrets() {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}

func (k *Keychain) note(host, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.notes[host] = why
}

func (k *Keychain) clearNote(host string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.notes, host)
}

func (k *Keychain) keepSecret(secrets ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range secrets {
		if s == "" || k.secrets[s] {
			continue
		}
		k.secrets[s] = true
		if k.mask != nil {
			k.mask(s)
		}
	}
}

func (k *Keychain) keepLogin(l authn.AuthConfig) {
	k.keepSecret(l.Password, l.IdentityToken, l.RegistryToken)
	if l.Password != "" {
		k.keepSecret(base64.StdEncoding.EncodeToString([]byte(l.Username + ":" + l.Password)))
	}
}
