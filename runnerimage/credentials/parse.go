package credentials

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/authn"
)

// form is the way CLIPPER_CREDENTIALS was written.
type form uint8

const (
	formNone      form = iota // nothing given
	formAnonymous             // "-"
	formToken                 // a bare token
	formBasic                 // user:password or {"username","password"}
	formConfig                // docker config.json
)

// given is what a person gave; form says which field holds it.
type given struct {
	form    form
	token   string
	basic   authn.AuthConfig
	entries []entry
}

// entry is one "auths" entry of a config.json: for a host, and for the
// repositories beneath path if there is one.
type entry struct {
	host, path string
	login      authn.AuthConfig
}

// parse reads any form of CLIPPER_CREDENTIALS. Its errors wrap ErrSettings and
// quote nothing of the value.
func parse(value string) (given, error) {
	value = strings.TrimSpace(strings.TrimPrefix(value, "\ufeff"))
	switch {
	case value == "":
		return given{form: formNone}, nil
	case value == "-":
		return given{form: formAnonymous}, nil
	case strings.HasPrefix(value, "{"):
		return parseJSON(value)
	}
	if user, password, ok := strings.Cut(value, ":"); ok {
		if user == "" || password == "" {
			return given{}, settingsError("has an empty user name or password; write user:password, or a token alone")
		}
		return given{form: formBasic, basic: authn.AuthConfig{Username: user, Password: password}}, nil
	}
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return given{}, settingsError("is a token with white space in it; was more than the token copied?")
	}
	return given{form: formToken, token: value}, nil
}

func settingsError(what string) error {
	return fmt.Errorf("%w: CLIPPER_CREDENTIALS %s", ErrSettings, what)
}

// secretJSON is the shape of both JSON forms: the {"username","password"} that
// ECS keeps for repositoryCredentials, and docker's config.json.
type secretJSON struct {
	Username    string               `json:"username"`
	Password    string               `json:"password"`
	Auths       map[string]authEntry `json:"auths"`
	CredsStore  string               `json:"credsStore"`
	CredHelpers map[string]string    `json:"credHelpers"`
}

type authEntry struct {
	Auth          string `json:"auth"` // base64(user:password); wins over the two below, as in Docker
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func parseJSON(value string) (given, error) {
	var s secretJSON
	if err := json.Unmarshal([]byte(value), &s); err != nil {
		return given{}, settingsError("starts like JSON but " + jsonFault(err))
	}
	switch {
	case s.CredsStore != "" || len(s.CredHelpers) > 0:
		return given{}, settingsError("is a docker config.json with credsStore or credHelpers, but credential helper programs cannot run here; " +
			"give user:password or a token instead, or a config.json whose auths hold the credentials themselves (docker login writes it where no credsStore is set)")
	case s.Auths != nil && (s.Username != "" || s.Password != ""):
		return given{}, settingsError("has both username/password and auths; give one of them")
	case s.Auths != nil:
		entries, err := configEntries(s.Auths)
		return given{form: formConfig, entries: entries}, err
	case s.Username == "" || s.Password == "":
		return given{}, settingsError(`is JSON without a "username" and "password" or "auths"; a Google service account key is written _json_key:{…}`)
	case strings.Contains(s.Username, ":"):
		return given{}, settingsError("has a colon in its user name, which a registry login cannot carry")
	}
	return given{form: formBasic, basic: authn.AuthConfig{Username: s.Username, Password: s.Password}}, nil
}

// jsonFault tells where JSON went wrong. The decoder's own words may quote the
// input, which is secret.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("is not valid JSON (byte %d)", syntax.Offset)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("has a value of the wrong type (byte %d)", kind.Offset)
	}
	return "cannot be read"
}

func configEntries(auths map[string]authEntry) ([]entry, error) {
	// Shortest key first, and the first of a host wins: two spellings of one
	// host give the same answer at every run.
	keys := slices.SortedFunc(maps.Keys(auths), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	var entries []entry
	for n, key := range keys {
		host, path, ok := splitKey(key)
		if !ok {
			continue // Docker ignores what is not a host, too
		}
		login, err := auths[key].login()
		if err != nil {
			return nil, settingsError(fmt.Sprintf("is a docker config.json whose entry %d of %d (shortest name first) %s", n+1, len(keys), err))
		}
		if login != (authn.AuthConfig{}) {
			entries = append(entries, entry{host, path, login})
		}
	}
	return entries, nil
}

func (a authEntry) login() (authn.AuthConfig, error) {
	login := authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if a.Auth == "" {
		return login, nil
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(a.Auth), "="))
	if err != nil {
		return authn.AuthConfig{}, errors.New(`has an "auth" that is not base64`)
	}
	user, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return authn.AuthConfig{}, errors.New(`has an "auth" that is not base64 of user:password`)
	}
	login.Username, login.Password = user, strings.Trim(password, "\x00")
	return login, nil
}

// lookUp finds the entry with the longest path that the repository lies in.
func lookUp(entries []entry, host, repository string) (authn.AuthConfig, bool) {
	best := -1
	for i, e := range entries {
		if e.host != host || !beneath(repository, e.path) {
			continue
		}
		if best < 0 || len(e.path) > len(entries[best].path) {
			best = i
		}
	}
	if best < 0 {
		return authn.AuthConfig{}, false
	}
	return entries[best].login, true
}

func beneath(repository, path string) bool {
	return path == "" || repository == path || strings.HasPrefix(repository, path+"/")
}
