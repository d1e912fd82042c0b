package publish

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/authn"
)

// keychain hands credentials to go-containerregistry, and remembers what no
// error may show. It is safe for concurrent use.
type keychain struct {
	inner registry.Keychain // may be nil

	mu      sync.Mutex
	logins  map[string]bool // hosts that there were credentials for
	secrets []string
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (k *keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if k.inner == nil {
		return authn.Anonymous, nil
	}
	host := target.RegistryStr()
	login, err := k.inner.Login(ctx, host, strings.TrimPrefix(target.String(), host+"/"))
	if err != nil {
		return nil, fmt.Errorf("%w: credentials for %s: %w", registry.ErrDenied, host, err)
	}
	if login == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	k.keep(host, login)
	return authn.FromConfig(login), nil
}

func (k *keychain) keep(host string, login authn.AuthConfig) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.logins == nil {
		k.logins = map[string]bool{}
	}
	k.logins[host] = true
	basic := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
	for _, secret := range []string{login.Password, login.Auth, login.IdentityToken, login.RegistryToken, basic} {
		if len(secret) >= 4 { // shorter ones would blot out ordinary words
			k.secrets = append(k.secrets, secret)
		}
	}
}

func (k *keychain) hasLogin(host string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.logins[host]
}

func (k *keychain) redact(text string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, secret := range k.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}
