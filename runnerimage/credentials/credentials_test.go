package credentials

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func basic(user, password string) authn.AuthConfig {
	return authn.AuthConfig{Username: user, Password: password}
}

// TestLogin is the table of what a person may give and who gets it. Each row
// is a question to a keychain without ambient identity.
func TestLogin(t *testing.T) {
	anonymous := authn.AuthConfig{}
	config := `{"auths":{
		"https://index.docker.io/v1/": {"auth":"` + b64("hub:hub-pw") + `"},
		"ghcr.io": {"username":"u","password":"p:w"},
		"https://Quay.io/v2/": {"auth":"` + strings.TrimRight(b64("q:pw"), "=") + `"},
		"quay.io/team": {"username":"team","password":"team-pw"},
		"quay.io/team/app": {"username":"app","password":"app-pw"},
		"azure.example": {"auth":"` + b64("00000000-0000-0000-0000-000000000000:") + `","identitytoken":"idt"},
		"bearer.example": {"registrytoken":"rt"},
		"http://localhost:5000": {"auth":"` + b64("local:pw\x00") + `","username":"ignored","password":"ignored"},
		"[::1]:5000": {"username":"six","password":"pw"},
		"*.wild.example": {"username":"w","password":"pw"},
		"empty.example": {}
	}, "HttpHeaders": {"x":"y"}}`

	tests := []struct {
		name                string
		value, registry     string
		image               string // default ghcr.io
		host, repository    string
		want                authn.AuthConfig
		wantNote, noteAbout string
	}{
		{name: "nothing", value: "", host: "ghcr.io"},
		{name: "blank", value: " \n", host: "ghcr.io"},
		{name: "none", value: "-", host: "ghcr.io", want: anonymous, wantNote: "means none"},
		{name: "token", value: "clp_abc", host: "ghcr.io", want: basic("clipper", "clp_abc")},
		{name: "token with newline", value: "\n clp_abc\r\n", host: "ghcr.io", want: basic("clipper", "clp_abc")},
		{name: "token with BOM", value: "\ufeffclp_abc\n", host: "ghcr.io", want: basic("clipper", "clp_abc")},
		{name: "token: other host", value: "clp_abc", host: "quay.io", want: anonymous, wantNote: "is for ghcr.io only"},
		{name: "token: sub domain is another host", value: "t", host: "x.ghcr.io", want: anonymous},
		{name: "token: other port is another host", value: "t", host: "ghcr.io:444", want: anonymous},
		{name: "token: chosen registry", value: "t", registry: "quay.io", host: "quay.io", want: basic("clipper", "t")},
		{name: "token: chosen registry shuts out the image's", value: "t", registry: "quay.io", host: "ghcr.io", want: anonymous},
		{name: "token: registry as URL", value: "t", registry: " https://Quay.io/v2/ ", host: "quay.io", want: basic("clipper", "t")},
		{name: "token: registry with port", value: "t", registry: "localhost:5000", host: "LOCALHOST:5000", want: basic("clipper", "t")},
		{name: "token: upper case", value: "t", image: "GHCR.io", host: "ghcr.io", want: basic("clipper", "t")},
		{name: "token: hub aliases", value: "t", image: "docker.io", host: "registry-1.docker.io", want: basic("clipper", "t")},
		{name: "token: hub aliases chosen", value: "t", registry: "registry-1.docker.io", host: "index.docker.io", want: basic("clipper", "t")},
		{name: "token: hub's other hosts", value: "t", image: "docker.io", host: "auth.docker.io", want: anonymous},

		{name: "token for ECR", value: "t", image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", want: basic("AWS", "t")},
		{name: "token for ECR China", value: "t", image: "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", host: "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", want: basic("AWS", "t")},
		{name: "token for public ECR", value: "t", image: "public.ecr.aws", host: "public.ecr.aws", want: basic("AWS", "t")},
		{name: "token for GCR", value: "t", image: "gcr.io", host: "gcr.io", want: basic("oauth2accesstoken", "t")},
		{name: "token for GCR Europe", value: "t", image: "eu.gcr.io", host: "eu.gcr.io", want: basic("oauth2accesstoken", "t")},
		{name: "token for Artifact Registry", value: "t", image: "europe-west3-docker.pkg.dev", host: "europe-west3-docker.pkg.dev", want: basic("oauth2accesstoken", "t")},
		{name: "token for ACR", value: "t", image: "team.azurecr.io", host: "team.azurecr.io", want: basic("00000000-0000-0000-0000-000000000000", "t")},
		{name: "token for a look-alike of GCR", value: "t", image: "notgcr.io", host: "notgcr.io", want: basic("clipper", "t")},
		{name: "token for a look-alike of ECR", value: "t", image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", want: basic("clipper", "t")},

		{name: "pair", value: "me:pw", host: "ghcr.io", want: basic("me", "pw")},
		{name: "pair: first colon splits", value: "me:p:w:", host: "ghcr.io", want: basic("me", "p:w:")},
		{name: "pair: spaces within stay", value: " me:a b\n", host: "ghcr.io", want: basic("me", "a b")},
		{name: "pair: Google key", value: "_json_key:{\n\"a\": 1\n}\n", host: "ghcr.io", want: basic("_json_key", "{\n\"a\": 1\n}")},
		{name: "pair: other host", value: "me:pw", host: "quay.io", want: anonymous},
		{name: "JSON pair", value: ` {"username":"me","password":"a:b"} `, host: "ghcr.io", want: basic("me", "a:b")},
		{name: "JSON pair with more fields", value: `{"username":"me","password":"pw","note":[1]}`, host: "ghcr.io", want: basic("me", "pw")},
		{name: "JSON pair: other host", value: `{"username":"me","password":"pw"}`, host: "quay.io", want: anonymous},

		{name: "config: hub", value: config, host: "docker.io", repository: "library/nginx", want: basic("hub", "hub-pw")},
		{name: "config: host", value: config, host: "ghcr.io", repository: "a/b", want: basic("u", "p:w")},
		{name: "config: other host", value: config, host: "gcr.io", want: anonymous, wantNote: "has no credentials for it"},
		{name: "config: chosen registry changes nothing", value: config, registry: "gcr.io", host: "gcr.io", want: anonymous},
		{name: "config: whole host", value: config, host: "quay.io", repository: "other/app", want: basic("q", "pw")},
		{name: "config: path", value: config, host: "quay.io", repository: "team/tool", want: basic("team", "team-pw")},
		{name: "config: longest path", value: config, host: "quay.io", repository: "team/app", want: basic("app", "app-pw")},
		{name: "config: below the longest path", value: config, host: "quay.io", repository: "team/app/x", want: basic("app", "app-pw")},
		{name: "config: paths end at a slash", value: config, host: "quay.io", repository: "team/apple", want: basic("team", "team-pw")},
		{name: "config: identity token", value: config, host: "azure.example", want: authn.AuthConfig{Username: "00000000-0000-0000-0000-000000000000", IdentityToken: "idt"}},
		{name: "config: registry token", value: config, host: "bearer.example", want: authn.AuthConfig{RegistryToken: "rt"}},
		{name: "config: auth wins, zero byte cut", value: config, host: "localhost:5000", want: basic("local", "pw")},
		{name: "config: port matters", value: config, host: "localhost:5001", want: anonymous},
		{name: "config: IPv6", value: config, host: "[::1]:5000", want: basic("six", "pw")},
		{name: "config: no wildcards", value: config, host: "a.wild.example", want: anonymous},
		{name: "config: empty entry", value: config, host: "empty.example", want: anonymous},
		{name: "config: empty", value: `{"auths":{}}`, host: "ghcr.io", want: anonymous},
		{name: "config: plain host before URL", value: `{"auths":{"https://ghcr.io":{"username":"b","password":"b"},"ghcr.io":{"username":"a","password":"a"}}}`, host: "ghcr.io", want: basic("a", "a")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.image == "" {
				tt.image = "ghcr.io"
			}
			k, err := New(Settings{Value: tt.value, Registry: tt.registry, Image: tt.image})
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.Login(t.Context(), tt.host, tt.repository)
			if err != nil || got != tt.want {
				t.Errorf("Login(%q, %q) = %+v, %v; want %+v", tt.host, tt.repository, got, err, tt.want)
			}
			notes := strings.Join(k.Notes(), "\n")
			if !strings.Contains(notes, tt.wantNote) || (got != anonymous && notes != "") {
				t.Errorf("notes %q, want %q", notes, tt.wantNote)
			}
		})
	}
}

// secret stands in every malformed value below and must be in no error.
const secret = "s3cr3t"

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name, value, registry, want string
	}{
		{"token with a space", secret + " " + secret, "", "white space"},
		{"two lines", secret + "\n" + secret, "", "white space"},
		{"control character", secret + "\x00" + secret, "", "white space"},
		{"no user", ":" + secret, "", "empty user name"},
		{"no password", secret + ":", "", "empty user name or password"},
		{"broken JSON", `{"username":"me","password":"` + secret, "", "not valid JSON (byte "},
		{"secret as JSON", `{` + secret + `}`, "", "not valid JSON (byte 2)"},
		{"more after JSON", `{"username":"me","password":"` + secret + `"}` + secret, "", "not valid JSON"},
		{"wrong type", `{"username":"me","password":["` + secret + `"]}`, "", "wrong type"},
		{"wrong type in config", `{"auths":{"` + secret + `":"` + secret + `"}}`, "", "wrong type"},
		{"JSON without anything", `{"` + secret + `":1}`, "", `"username" and "password" or "auths"`},
		{"JSON without user", `{"password":"` + secret + `"}`, "", `"username" and "password"`},
		{"JSON with colon in user", `{"username":"` + secret + `:b","password":"p"}`, "", "colon"},
		{"pair and config", `{"username":"a","password":"` + secret + `","auths":{}}`, "", "both"},
		{"not base64", `{"auths":{"ghcr.io":{"auth":"` + secret + `%%"}}}`, "", "entry 1 of 1 (shortest name first) has an \"auth\" that is not base64"},
		{"no colon in auth", `{"auths":{"a":{},"ghcr.io":{"auth":"` + b64(secret) + `"}}}`, "", "entry 2 of 2"},
		{"credsStore", `{"auths":{"ghcr.io":{}},"credsStore":"` + secret + `"}`, "", "helper programs cannot run here"},
		{"credHelpers", `{"credHelpers":{"gcr.io":"` + secret + `"}}`, "", "helper programs cannot run here"},
		{"no host", secret, "", "set CLIPPER_CREDENTIALS_REGISTRY"},
		{"registry with path", secret, "ghcr.io/org", "one registry host"},
		{"registry with user", secret, "https://" + secret + "@ghcr.io", "one registry host"},
		{"registry with another scheme", secret, "oci://ghcr.io", "one registry host"},
		{"two registries", secret, "ghcr.io,quay.io", "one registry host"},
		{"registry with a bad port", secret, "ghcr.io:99999", "one registry host"},
		{"registry with an empty label", secret, "ghcr..io", "one registry host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(Settings{Value: tt.value, Registry: tt.registry})
			if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want ErrSettings with %q", err, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), secret) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	k, err := New(Settings{Image: "x", Value: `{"auths":{
		"a":{"username":"user","password":"pw"},
		"b":{"username":"user","password":"pw-and-more"},
		"c":{"identitytoken":"idt","registrytoken":"rt"}}}`})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{b64("user:pw-and-more"), b64("user:pw"), "pw-and-more", "idt", "pw", "rt"}
	if got := k.Secrets(); !slices.Equal(got, want) {
		t.Errorf("Secrets() = %q, want %q", got, want)
	}
	if got := k.Redact("see pw-and-more, pw and user"); got != "see ***, *** and user" {
		t.Errorf("Redact: %q", got)
	}
}

func TestReadValue(t *testing.T) {
	if v, err := ReadValue(strings.NewReader("tok\n")); v != "tok\n" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	if _, err := ReadValue(strings.NewReader(strings.Repeat("x", maxValue+1))); !errors.Is(err, ErrSettings) {
		t.Errorf("a file of any size is read: %v", err)
	}
}

func TestECRRegion(t *testing.T) {
	tests := []struct {
		host, region, ecr, sts string
	}{
		{"123456789012.dkr.ecr.us-east-1.amazonaws.com", "us-east-1", "https://api.ecr.us-east-1.amazonaws.com", "https://sts.us-east-1.amazonaws.com"},
		{"123456789012.DKR.ecr.us-east-1.amazonaws.com", "us-east-1", "https://api.ecr.us-east-1.amazonaws.com", "https://sts.us-east-1.amazonaws.com"},
		{"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "https://ecr-fips.us-gov-west-1.amazonaws.com", "https://sts.us-gov-west-1.amazonaws.com"},
		{"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "https://api.ecr.cn-north-1.amazonaws.com.cn", "https://sts.cn-north-1.amazonaws.com.cn"},
		{"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "https://api.ecr.eusc-de-east-1.amazonaws.eu", "https://sts.eusc-de-east-1.amazonaws.eu"},
		{"123456789012.dkr-ecr.us-east-1.on.aws", "us-east-1", "https://ecr.us-east-1.api.aws", "https://sts.us-east-1.api.aws"},
		{"123456789012.dkr-ecr-fips.us-east-1.on.aws", "us-east-1", "https://ecr-fips.us-east-1.api.aws", "https://sts.us-east-1.api.aws"},
		{"123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", "https://ecr.cn-north-1.api.amazonwebservices.com.cn", "https://sts.cn-north-1.api.amazonwebservices.com.cn"},

		{host: ""},
		{host: "public.ecr.aws"},
		{host: "12345678901.dkr.ecr.us-east-1.amazonaws.com"},
		{host: "1234567890123.dkr.ecr.us-east-1.amazonaws.com"},
		{host: "12345678901a.dkr.ecr.us-east-1.amazonaws.com"},
		{host: "123456789012.dkr.ecr.us-east-1.amazonaws.com:443"},
		{host: "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example"},
		{host: "evil.example.123456789012.dkr.ecr.us-east-1.amazonaws.com"},
		{host: "123456789012.dkr.ecr.us-east-1.evil.example"},
		{host: "123456789012.dkr.ecr.evil.example.us-east-1.amazonaws.com"},
		{host: "123456789012.dkr.ecr..amazonaws.com"},
		{host: "123456789012.dkr.ecr.amazonaws.com"},
		{host: "123456789012.dkr.ecr.-x.amazonaws.com"},
		{host: "123456789012.dkr.ecr.a/b.amazonaws.com"},
		{host: "123456789012.dkr.ecrx.us-east-1.amazonaws.com"},
		{host: "123456789012.dkr.ecr.us-east-1.on.aws"},
		{host: "123456789012.dkr-ecr.us-east-1.amazonaws.com"},
		{host: "123456789012.dkr_ecr.us-east-1.on.aws"},
	}
	for _, tt := range tests {
		region, ok := ECRRegion(tt.host)
		if region != tt.region || ok != (tt.region != "") {
			t.Errorf("ECRRegion(%q) = %q, %v; want %q", tt.host, region, ok, tt.region)
		}
		if !ok {
			continue
		}
		h, _ := parseECRHost(NormalizeHost(tt.host))
		if h.ecrEndpoint() != tt.ecr || h.stsEndpoint("") != tt.sts {
			t.Errorf("%s: endpoints %s and %s; want %s and %s", tt.host, h.ecrEndpoint(), h.stsEndpoint(""), tt.ecr, tt.sts)
		}
	}
}

// FuzzNew looks for panics, for errors without the sentinel and for an answer
// to a host that was not meant.
func FuzzNew(f *testing.F) {
	for _, s := range []string{
		"", "-", "clp_abc", "a:b", ":", `{"username":"u","password":"p"}`, `{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}`,
		`{"auths":{"[::1]:5000/x":{"identitytoken":"i"}},"credHelpers":{}}`, `{"credsStore":"x"}`, `{"auths":{"a":{"auth":"YQ"}}}`, "{", "\ufeff-",
	} {
		f.Add(s, "ghcr.io")
		f.Add(s, "https://docker.io/v1/")
	}
	f.Fuzz(func(t *testing.T, value, registry string) {
		k, err := New(Settings{Value: value, Registry: registry, Image: "image.example"})
		if err != nil {
			if !errors.Is(err, ErrSettings) {
				t.Errorf("error without ErrSettings: %v", err)
			}
			return
		}
		got, err := k.Login(t.Context(), "never-named.example", "a/b")
		if err != nil {
			t.Error(err)
		}
		named := strings.Contains(strings.ToLower(value+registry), "never-named.example") || strings.Contains(value, `\`) // JSON may escape the name
		if got != (authn.AuthConfig{}) && !named {
			t.Errorf("credentials for a host that nobody named")
		}
	})
}
