package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	ecrRegistry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	keyID       = "AKIDTASK"
	keySecret   = "key-s3cr3t"
	keyToken    = "session-s3cr3t-token"
	password    = "ecr-s3cr3t-password"
	agentToken  = "agent-s3cr3t"
	oidcToken   = "oidc-s3cr3t"
)

// fakeAWS is ECR, STS, the credentials endpoint of ECS and the instance
// metadata service in one server. It checks what it is asked as AWS would.
type fakeAWS struct {
	t *testing.T
	*httptest.Server
	now     func() time.Time
	session string // the session token that signed requests must carry

	ecrCalls atomic.Int32
	// refuse, if set, may answer a request to ECR in place of the token.
	refuse func(call int32, w http.ResponseWriter, r *http.Request) bool
}

func newFakeAWS(t *testing.T) *fakeAWS {
	f := &fakeAWS{t: t, now: time.Now, session: keyToken}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", f.api)
	mux.HandleFunc("GET /v2/credentials/{id}", f.container)
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, "imds-session")
	})
	mux.HandleFunc("GET /latest/meta-data/iam/security-credentials/{role...}", f.instance)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAWS) api(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	if r.Header.Get("X-Amz-Target") == "" {
		f.sts(w, string(body))
		return
	}
	call := f.ecrCalls.Add(1)
	if f.refuse != nil && f.refuse(call, w, r) {
		return
	}
	if fault := f.checkSignature(r, body); fault != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"__type":"InvalidSignatureException","message":%q}`, fault)
		return
	}
	if r.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" || string(body) != "{}" {
		f.t.Errorf("ECR was asked %s %s", r.Header.Get("X-Amz-Target"), body)
	}
	fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d.5,"proxyEndpoint":"https://%s"}]}`,
		b64("AWS:"+password), f.now().Add(12*time.Hour).Unix(), ecrRegistry)
}

// checkSignature recomputes the signature from what arrived, independently of
// the code that signed, and says what is wrong.
func (f *fakeAWS) checkSignature(r *http.Request, body []byte) string {
	var credential, signed, signature string
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			signed = value
		case "Signature":
			signature = value
		}
	}
	date := r.Header.Get("X-Amz-Date")
	when, err := time.Parse("20060102T150405Z", date)
	if err != nil || when.Sub(f.now()).Abs() > 5*time.Minute {
		return "Signature expired"
	}
	scope := date[:8] + "/eu-west-1/ecr/aws4_request"
	if credential != keyID+"/"+scope {
		return "wrong credential " + credential
	}
	if r.Header.Get("X-Amz-Security-Token") != f.session {
		return "wrong session token"
	}
	if want := "content-type;host;x-amz-date;x-amz-target"; strings.ReplaceAll(signed, "x-amz-security-token;", "") != want ||
		strings.Contains(signed, "x-amz-security-token") != (f.session != "") {
		return "signed headers are " + signed
	}
	canonical := r.Method + "\n" + r.URL.Path + "\n\n"
	for name := range strings.SplitSeq(signed, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += fmt.Sprintf("\n%s\n%x", signed, sha256.Sum256(body))
	key := []byte("AWS4" + keySecret)
	for _, s := range []string{date[:8], "eu-west-1", "ecr", "aws4_request",
		fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", date, scope, sha256.Sum256([]byte(canonical)))} {
		h := hmac.New(sha256.New, key)
		fmt.Fprint(h, s)
		key = h.Sum(nil)
	}
	if signature != hex.EncodeToString(key) {
		return "The Canonical String for this request should have been " + canonical
	}
	return ""
}

func (f *fakeAWS) sts(w http.ResponseWriter, form string) {
	for _, want := range []string{"Action=AssumeRoleWithWebIdentity", "Version=2011-06-15", "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr", "RoleSessionName=clipper-runner", "WebIdentityToken=" + oidcToken} {
		if !strings.Contains(form, want) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "<ErrorResponse><Error><Code>ValidationError</Code><Message>no %s in %s</Message></Error></ErrorResponse>", want, form)
			return
		}
	}
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
		<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken></Credentials>
		</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, keyID, keySecret, keyToken)
}

func (f *fakeAWS) container(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("id") {
	case "open":
	case "guarded":
		if r.Header.Get("Authorization") != agentToken {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"code":"AccessDenied","message":"token %s is wrong"}`, r.Header.Get("Authorization"))
			return
		}
	case "elsewhere":
		http.Redirect(w, r, "/v2/credentials/open", http.StatusFound)
		return
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	f.writeKeys(w)
}

func (f *fakeAWS) instance(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-aws-ec2-metadata-token") != "imds-session":
		w.WriteHeader(http.StatusUnauthorized)
	case r.PathValue("role") == "":
		fmt.Fprint(w, "node-role\n")
	case r.PathValue("role") == "node-role":
		f.writeKeys(w)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fakeAWS) writeKeys(w io.Writer) {
	fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":"2030-01-01T00:00:00Z"}`, keyID, keySecret, keyToken)
}

// keychain makes one that finds these variables and, by default, this AWS.
func (f *fakeAWS) keychain(t *testing.T, env map[string]string) *Keychain {
	all := map[string]string{"AWS_ENDPOINT_URL": f.URL + "/", "AWS_EC2_METADATA_SERVICE_ENDPOINT": f.URL + "/"}
	maps.Copy(all, env)
	k, err := New(Settings{
		Image: ecrRegistry, Env: func(name string) string { return all[name] }, Now: f.now,
		Files: fstest.MapFS{
			"var/run/oidc":  {Data: []byte(oidcToken + "\n")},
			"var/run/agent": {Data: []byte(agentToken + "\n")},
			"var/run/big":   {Data: make([]byte, maxTokenFile+1)},
			"var/run/lines": {Data: []byte(agentToken + "\r\nX: y\n")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.aws.pause = time.Millisecond
	return k
}

// TestAmbientECR is the table of identities: each row has the variables of one
// place and what comes of them.
func TestAmbientECR(t *testing.T) {
	var (
		static    = map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret, "AWS_SESSION_TOKEN": keyToken}
		web       = map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/oidc", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}
		container = func(id string, more ...string) map[string]string {
			env := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v2/credentials/" + id}
			for i := 0; i < len(more); i += 2 {
				env[more[i]] = more[i+1]
			}
			return env
		}
	)
	tests := []struct {
		name string
		env  map[string]string
		note string // empty: credentials come
	}{
		{"static keys", static, ""},
		{"static keys before all others", map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret, "AWS_SESSION_TOKEN": keyToken,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/", "AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "x"}, ""},
		{"half of static keys", map[string]string{"AWS_ACCESS_KEY_ID": keyID}, "AWS_SECRET_ACCESS_KEY is missing"},
		{"wrong static keys", map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": "wrong-s3cr3t", "AWS_SESSION_TOKEN": keyToken}, "InvalidSignatureException"},

		{"web identity", web, ""},
		{"web identity: no file", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "x"}, "web identity: AWS_WEB_IDENTITY_TOKEN_FILE: open none: file does not exist"},
		{"web identity: huge file", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/big", "AWS_ROLE_ARN": "x"}, "too large"},
		{"web identity: refused", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/oidc", "AWS_ROLE_ARN": "other"}, "sts:AssumeRoleWithWebIdentity: status 400 ValidationError"},

		{"container", container("open"), ""},
		{"container: token", container("guarded", "AWS_CONTAINER_AUTHORIZATION_TOKEN", agentToken), ""},
		{"container: token file wins", container("guarded", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "old", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/agent"), ""},
		{"container: token refused", container("guarded", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong-s3cr3t"), "status 401 AccessDenied: token *** is wrong"},
		{"container: token with lines", container("guarded", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/lines"), "line break"},
		{"container: no such task", container("gone"), "ECS task role: status 404"},
		{"container: nobody there", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/s3cr3t"}, "ECS task role: 127.0.0.1:1: dial tcp"},
		{"container: redirects are not followed", container("elsewhere"), "status 302"},
		{"container: any host in the clear", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/s3cr3t"}, "must be asked by https"},
		{"container: other schemes", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "file:///s3cr3t"}, "not an http or https URL"},
		{"container: user information", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:s3cr3t@192.0.2.1/"}, "not an http or https URL"},
		{"container: relative without slash", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@192.0.2.1/s3cr3t"}, "must begin with a slash"},

		{"instance", nil, ""},
		{"instance: switched off", map[string]string{"AWS_EC2_METADATA_DISABLED": "True"}, "AWS_EC2_METADATA_DISABLED"},
		{"instance: nobody there", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "instance metadata service does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeAWS(t)
			env := maps.Clone(tt.env)
			for name, value := range env {
				env[name] = strings.Replace(value, "SERVER", f.URL, 1)
			}
			k := f.keychain(t, env)
			got, err := k.Login(t.Context(), ecrRegistry, "app")
			if err != nil {
				t.Fatal(err)
			}
			want := basic("AWS", password)
			if tt.note != "" {
				want = authn.AuthConfig{}
			}
			notes := strings.Join(k.Notes(), "\n")
			if got != want || !strings.Contains(notes, tt.note) || (tt.note == "") != (notes == "") {
				t.Errorf("got %+v with notes %q; want %+v, %q", got, notes, want, tt.note)
			}
			if strings.Contains(notes, secret) {
				t.Errorf("a note shows a secret: %s", notes)
			}
			if tt.note == "" && !strings.Contains(strings.Join(k.Secrets(), " "), password) {
				t.Error("the password of ECR is not among the secrets")
			}
		})
	}
}

// TestLongLivedKeys have no session token, and nothing stands in for it.
func TestLongLivedKeys(t *testing.T) {
	f := newFakeAWS(t)
	f.session = ""
	k := f.keychain(t, map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret})
	if got, err := k.Login(t.Context(), ecrRegistry, ""); got != basic("AWS", password) || err != nil {
		t.Errorf("got %+v, %v, notes %q", got, err, k.Notes())
	}
}

// TestTaskRoleAddress checks the address that ECS's relative URI is bound to,
// which only a dialer can lead to a test.
func TestTaskRoleAddress(t *testing.T) {
	f := newFakeAWS(t)
	k := f.keychain(t, map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/open", "HTTP_PROXY": "http://192.0.2.1"})
	var dialed atomic.Value
	k.aws.metadata.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed.Store(addr)
		return new(net.Dialer).DialContext(ctx, network, f.Listener.Addr().String())
	}
	got, err := k.Login(t.Context(), ecrRegistry, "")
	if got != basic("AWS", password) || err != nil || dialed.Load() != "169.254.170.2:80" {
		t.Errorf("got %+v, %v from %v, notes %q", got, err, dialed.Load(), k.Notes())
	}
}

// TestAmbientIsForItsHostsOnly asks for hosts that look like ECR's or GitHub's.
// AWS itself fails the test when it is asked.
func TestAmbientIsForItsHostsOnly(t *testing.T) {
	f := newFakeAWS(t)
	env := map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret, "AWS_SESSION_TOKEN": keyToken, "GITHUB_TOKEN": "ghs_x\n"}
	k := f.keychain(t, env)
	for _, host := range []string{
		"docker.io", "public.ecr.aws", "evil.example", ecrRegistry + ".evil.example", ecrRegistry + ":5000", "localhost:5000",
		"ghcr.io.evil.example", "x.ghcr.io", "ghcr.io:443", "docker.pkg.github.com",
	} {
		if got, err := k.Login(t.Context(), host, "a/b"); got != (authn.AuthConfig{}) || err != nil {
			t.Errorf("%s gets %+v, %v", host, got, err)
		}
	}
	if n := f.ecrCalls.Load(); n != 0 {
		t.Errorf("ECR was asked %d times", n)
	}
	if got, err := k.Login(t.Context(), "GHCR.io", "a/b"); got != basic("x-access-token", "ghs_x") || err != nil {
		t.Errorf("ghcr.io gets %+v, %v", got, err)
	}

	for _, value := range []string{"-", "tok", "a:b", `{"auths":{}}`} {
		k, err := New(Settings{Value: value, Image: "quay.io", Env: func(name string) string { return env[name] }})
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{ecrRegistry, "ghcr.io"} {
			if got, err := k.Login(t.Context(), host, "a/b"); got != (authn.AuthConfig{}) || err != nil {
				t.Errorf("CLIPPER_CREDENTIALS=%s: %s gets the ambient %+v, %v", value, host, got, err)
			}
		}
	}
}

func TestGitHubToken(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want authn.AuthConfig
		note string
	}{
		{map[string]string{"GITHUB_TOKEN": "t", "GITHUB_ACTOR": "octocat"}, basic("octocat", "t"), ""},
		{map[string]string{"GITHUB_TOKEN": "t", "GITHUB_ACTOR": "a:b"}, basic("x-access-token", "t"), ""},
		{map[string]string{"GITHUB_TOKEN": " "}, authn.AuthConfig{}, "ghcr.io: no ambient credentials: GITHUB_TOKEN is not set"},
	} {
		k, err := New(Settings{Image: "ghcr.io", Env: func(name string) string { return tt.env[name] }})
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Login(t.Context(), "ghcr.io", "a/b")
		if got != tt.want || err != nil || strings.Join(k.Notes(), "") != tt.note {
			t.Errorf("%v: got %+v, %v, notes %q", tt.env, got, err, k.Notes())
		}
	}
}

// clock is a time that tests set, in reach of the server's goroutines.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// TestTokenIsKept until five minutes before its end, for everyone at once.
func TestTokenIsKept(t *testing.T) {
	f := newFakeAWS(t)
	c := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.now = c.now
	k := f.keychain(t, nil)

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := k.Login(t.Context(), ecrRegistry, "app"); got != basic("AWS", password) || err != nil {
				t.Errorf("got %+v, %v, notes %q", got, err, k.Notes())
			}
		})
	}
	wg.Wait()
	for _, step := range []struct {
		pass  time.Duration
		calls int32
	}{{0, 1}, {11*time.Hour + 54*time.Minute, 1}, {2 * time.Minute, 2}, {time.Hour, 2}} {
		c.add(step.pass)
		if _, err := k.Login(t.Context(), ecrRegistry, "app"); err != nil {
			t.Fatal(err)
		}
		// The other account's registry in the region is served by the same token.
		if _, err := k.Login(t.Context(), "999999999999.dkr.ecr.eu-west-1.amazonaws.com", "app"); err != nil {
			t.Fatal(err)
		}
		if n := f.ecrCalls.Load(); n != step.calls {
			t.Errorf("%s later ECR has been asked %d times, want %d", step.pass, n, step.calls)
		}
	}
}

func TestFailures(t *testing.T) {
	f := newFakeAWS(t)
	c := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.now = c.now

	t.Run("an overloaded API is asked again", func(t *testing.T) {
		f.ecrCalls.Store(0)
		f.refuse = func(call int32, w http.ResponseWriter, _ *http.Request) bool {
			switch call {
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 2:
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"__type":"com.amazonaws#ThrottlingException"}`)
			}
			return call < 3
		}
		k := f.keychain(t, nil)
		if got, err := k.Login(t.Context(), ecrRegistry, ""); got != basic("AWS", password) || err != nil {
			t.Errorf("got %+v, %v, notes %q", got, err, k.Notes())
		}
	})

	t.Run("a refusal stands for a minute and says what to grant", func(t *testing.T) {
		f.ecrCalls.Store(0)
		denied := true
		f.refuse = func(_ int32, w http.ResponseWriter, _ *http.Request) bool {
			if denied {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"__type":"AccessDeniedException","message":"User: arn:aws:sts::1:assumed-role/r is not authorized"}`)
			}
			return denied
		}
		k := f.keychain(t, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": f.URL + "/v2/credentials/open"})
		for range 3 {
			if got, err := k.Login(t.Context(), ecrRegistry, ""); got != (authn.AuthConfig{}) || err != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		want := ecrRegistry + ": no ambient credentials: ECS task role: ecr:GetAuthorizationToken in eu-west-1: status 400 AccessDeniedException: " +
			"User: arn:aws:sts::1:assumed-role/r is not authorized (allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to the task role; the execution role's rights do not count here)"
		if notes := k.Notes(); len(notes) != 1 || notes[0] != want {
			t.Errorf("notes %q\nwant  %q", notes, want)
		}
		if n := f.ecrCalls.Load(); n != 1 {
			t.Errorf("ECR was asked %d times", n)
		}
		denied = false
		c.add(failureLasts)
		if got, err := k.Login(t.Context(), ecrRegistry, ""); got != basic("AWS", password) || err != nil || len(k.Notes()) != 0 {
			t.Errorf("a minute later: got %+v, %v, notes %q", got, err, k.Notes())
		}
	})

	t.Run("an error that quotes the request shows no secret", func(t *testing.T) {
		f.refuse = func(_ int32, w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			// Long enough for the cut of the message to fall into the token.
			pad := strings.Repeat("x", 300-len(keyToken)/2)
			fmt.Fprintf(w, `{"__type":"InvalidSignatureException","message":"%s%s %s"}`, pad, r.Header.Get("X-Amz-Security-Token"), keySecret)
			return true
		}
		k := f.keychain(t, nil)
		if _, err := k.Login(t.Context(), ecrRegistry, ""); err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(k.Notes(), "\n")
		if !strings.Contains(notes, "InvalidSignature") || strings.Contains(notes, "s3cr3t") || strings.Contains(notes, keyToken[:5]) {
			t.Errorf("notes: %s", notes)
		}
	})

	t.Run("answers that are none", func(t *testing.T) {
		for _, answer := range []string{"", "{}", "<html>s3cr3t", `{"authorizationData":[{"authorizationToken":"s3cr3t!"}]}`, `{"authorizationData":[{"authorizationToken":"QVdTOg=="}]}`} {
			f.refuse = func(_ int32, w http.ResponseWriter, _ *http.Request) bool {
				fmt.Fprint(w, answer)
				return true
			}
			k := f.keychain(t, nil)
			got, err := k.Login(t.Context(), ecrRegistry, "")
			notes := strings.Join(k.Notes(), "\n")
			if got != (authn.AuthConfig{}) || err != nil || !strings.Contains(notes, "the answer") || strings.Contains(notes, secret) {
				t.Errorf("%q: got %+v, %v, notes %q", answer, got, err, notes)
			}
		}
	})

	t.Run("the end of the caller's context is an error and no answer", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f.refuse = func(_ int32, w http.ResponseWriter, _ *http.Request) bool {
			cancel()
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		k := f.keychain(t, nil)
		if _, err := k.Login(ctx, ecrRegistry, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		f.refuse = nil
		if got, err := k.Login(t.Context(), ecrRegistry, ""); got != basic("AWS", password) || err != nil {
			t.Errorf("the next caller got %+v, %v, notes %q", got, err, k.Notes())
		}
	})
}

// FuzzAnswers feeds the readers of what AWS answers.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"authorizationData":[{"authorizationToken":"QVdTOnB3","expiresAt":1e9}]}`))
	f.Add([]byte(`{"__type":"a#b","message":"c"}`))
	f.Add([]byte(`<Error><Code>a</Code><Message>b</Message></Error>`))
	f.Add([]byte(`{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if login, _, err := parseAuthorization(answer); err == nil && (login.Username == "" || login.Password == "") {
			t.Errorf("half a login: %+v", login)
		}
		if keys, err := parseKeys(answer); err == nil && (keys.id == "" || keys.secret == "") {
			t.Errorf("half of the keys: %+v", keys)
		}
		text := parseRefusal(400, answer, func(s string) string { return s }).Error()
		if len(text) > 400 || strings.ContainsAny(text, "\n\r\x1b\x00") {
			t.Errorf("a message not fit for a log: %q", text)
		}
	})
}

func TestECRLogin(t *testing.T) {
	fake := newFakeAWS(t)
	fake.session = ""
	env := map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret, "AWS_ENDPOINT_URL": fake.URL}
	var masked []string
	s := Settings{Env: func(name string) string { return env[name] }, Mask: func(secret string) { masked = append(masked, secret) }}
	login, err := ECRLogin(t.Context(), s, strings.ToUpper(ecrRegistry))
	if err != nil || login != (authn.AuthConfig{Username: "AWS", Password: password}) {
		t.Errorf("%v, %v", login, err)
	}
	for _, secret := range []string{keySecret, password, b64("AWS:" + password)} {
		if !slices.Contains(masked, secret) {
			t.Errorf("%s is not masked", secret)
		}
	}
	if _, err := ECRLogin(t.Context(), s, "ghcr.io"); !errors.Is(err, ErrSettings) {
		t.Errorf("another registry: %v", err)
	}
	env["AWS_SECRET_ACCESS_KEY"] = "wrong"
	if _, err := ECRLogin(t.Context(), s, ecrRegistry); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("refused: %v", err)
	}
}
