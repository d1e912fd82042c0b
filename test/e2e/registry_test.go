package e2e

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"

	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
)

// testName is a host name that is not the loopback's and leads there.
const testName = "registry.test"

var atTestName = []string{"--add-host", testName + ":127.0.0.1", "--add-host", "other.test:127.0.0.1"}

// The accounts of the registries that want a login. A bare token is sent with
// the user name clipper.
const (
	account  = "alice"
	password = "s3cret:with:colons"
	token    = "clp_0123456789abcdefghij"
	// accounts is a file of htpasswd -B -C 4 with both.
	accounts = account + ":$2y$04$abcdefghijklmnopqrstuu/RcPheG5Bboq6i7MyIjQPaaSOeR71ra\nclipper:$2y$04$abcdefghijklmnopqrstuuOwFgKHyBsu41.Qa/Jba4rFlvzYw9ane\n"
)

// registries are real registries over one storage, each with a door of its own.
type registries struct {
	dir string
	// Each is a host:port.
	plain, secure, basic, secureBasic, token string
	tokens                                   *tokenServer
	// ca and otherCA are files with a certificate; only the first has signed.
	ca, otherCA string
}

// openRegistries starts them with the images acme/app:e2e, which runs here,
// and acme/index:e2e, an index of it.
func openRegistries(t *testing.T) *registries {
	t.Helper()
	r := &registries{dir: lab.Scratch(t)}
	r.plain = r.start(t, "", "")
	r.fill(t)

	ca := newAuthority(t)
	r.ca = r.write(t, "ca.pem", ca.pem())
	r.otherCA = r.write(t, "other.pem", newAuthority(t).pem())
	certificate, key := ca.issue(t, testName, "localhost")
	tls := fmt.Sprintf("tls: {certificate: %q, key: %q}", r.write(t, "server.pem", certificate), r.write(t, "server.key", key))
	r.secure = r.start(t, tls, "")

	htpasswd := fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}", r.write(t, "htpasswd", []byte(accounts)))
	r.basic = r.start(t, "", htpasswd)
	r.secureBasic = r.start(t, tls, htpasswd)

	r.tokens = startTokenServer(t)
	r.token = r.start(t, "", fmt.Sprintf("auth: {token: {realm: %q, service: test-registry, issuer: test-issuer, rootcertbundle: %q}}",
		r.tokens.url, r.write(t, "issuer.pem", r.tokens.certificate)))
	r.token = strings.Replace(r.token, "127.0.0.1", "localhost", 1)
	return r
}

func (r *registries) write(t *testing.T, base string, content []byte) string {
	t.Helper()
	file := filepath.Join(r.dir, base)
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// start starts docker-registry over the common storage and returns its
// host:port.
func (r *registries) start(t *testing.T, tls, auth string) string {
	t.Helper()
	config := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp:\n  addr: 127.0.0.1:0\n  %s\n%s\n",
		filepath.Join(r.dir, "data"), tls, auth)
	digest := sha256.Sum256([]byte(config))
	daemon := exec.Command("docker-registry", "serve", r.write(t, fmt.Sprintf("registry-%x.yml", digest[:4]), []byte(config)))
	log, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatalf("start docker-registry (run `make test`, which installs it): %v", err)
	}
	addr := make(chan string, 1)
	var said strings.Builder
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if match := listening.FindStringSubmatch(lines.Text()); match != nil && len(addr) == 0 {
				addr <- match[1]
			}
			said.WriteString(lines.Text() + "\n")
		}
	}()
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		<-ended
		_ = daemon.Wait() // killed, so its status says nothing
	})
	select {
	case found := <-addr:
		return found
	case <-ended:
		t.Fatalf("docker-registry ended:\n%s", said.String())
	}
	return ""
}

// fill pushes the images through the plain registry.
func (r *registries) fill(t *testing.T) {
	t.Helper()
	from, err := name.ParseReference(lab.Push(t, "access/app", probeImage(t, func(c *v1.Config) { c.Cmd = []string{"probe", "wait"} })), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(from, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	to := func(repository string) name.Reference {
		ref, err := name.ParseReference(r.plain+"/acme/"+repository+":e2e", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	if err := remote.Write(to("app"), image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := remote.WriteIndex(to("index"), index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key: key, certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority " + rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) pem() []byte { return pemOf("CERTIFICATE", a.certificate.Raw) }

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// issue makes a server's certificate for these names and its key.
func (a authority) issue(t *testing.T, names ...string) (certificate, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.certificate, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", private)
}

// tokenServer issues the tokens that docker-registry wants: see
// https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/.
type tokenServer struct {
	url         string
	certificate []byte
	der         []byte
	key         *rsa.PrivateKey

	mu     sync.Mutex
	issued []string
}

// refreshToken is an identity token, as `docker login` gets from some hosts.
const refreshToken = "refresh-0123456789abcdef"

func startTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "token issuer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := &tokenServer{der: der, certificate: pemOf("CERTIFICATE", der), key: key}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/token"
	return s
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, secret, given := r.BasicAuth()
	scope := r.FormValue("scope")
	switch {
	case r.Method == http.MethodPost && r.FormValue("refresh_token") == refreshToken:
	case !given:
		scope = "" // a token that opens nothing
	case user != account || secret != password:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	issued, err := s.issue(scope)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": issued, "access_token": issued, "expires_in": 300})
}

// issue makes a token for a scope such as repository:acme/app:pull.
func (s *tokenServer) issue(scope string) (string, error) {
	access := []map[string]any{}
	if parts := strings.Split(scope, ":"); len(parts) == 3 {
		access = append(access, map[string]any{"type": parts[0], "name": parts[1], "actions": strings.Split(parts[2], ",")})
	}
	now := time.Now().Unix()
	var parts []string
	for _, part := range []any{
		map[string]any{"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(s.der)}},
		map[string]any{"iss": "test-issuer", "aud": "test-registry", "sub": account, "nbf": now - 60, "iat": now, "exp": now + 300, "jti": rand.Text(), "access": access},
	} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	digest := sha256.Sum256([]byte(strings.Join(parts, ".")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	encoded := base64.RawURLEncoding.EncodeToString(signature)
	s.mu.Lock()
	s.issued = append(s.issued, encoded)
	s.mu.Unlock()
	return strings.Join(append(parts, encoded), "."), nil
}

// secrets is everything that must be nowhere: what the tests log in with, in
// the forms that it travels in.
func (r *registries) secrets() []string {
	all := []string{password, token, refreshToken, base64.StdEncoding.EncodeToString([]byte(account + ":" + password)), base64.StdEncoding.EncodeToString([]byte("clipper:" + token))}
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	return append(all, r.tokens.issued...)
}

// accessCase is a way to ask a registry for an image.
type accessCase struct {
	name  string
	image string
	env   []string
	flags []string
	// exit is the runner's code; 0: the program runs.
	exit int
	// says is what the error's line says, in part.
	says string
}

// credentials is a case's variable.
func credentials(value string) []string { return []string{"CLIPPER_CREDENTIALS=" + value} }

// fromFile makes a case's credentials file.
func (r *registries) fromFile(t *testing.T, base, content string, mode os.FileMode) (env, flags []string) {
	t.Helper()
	file := r.write(t, base, []byte(content))
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return []string{"CLIPPER_CREDENTIALS_FILE=/run/secrets/login"}, []string{"--volume", file + ":/run/secrets/login:ro"}
}

// config is a docker config.json.
func config(host string, fields ...string) string {
	entry := map[string]string{}
	for i := 0; i < len(fields); i += 2 {
		entry[fields[i]] = fields[i+1]
	}
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: entry}, "HttpHeaders": map[string]string{"x": "y"}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

func (r *registries) cases(t *testing.T) []accessCase {
	const app, index = "/acme/app:e2e", "/acme/index:e2e"
	byName := func(addr string) string {
		_, port, _ := strings.Cut(addr, ":")
		return testName + ":" + port
	}
	bindCA := func(file string) []string {
		return append([]string{"--volume", file + ":/ca/ca.crt:ro"}, atTestName...)
	}
	basicAuth := base64.StdEncoding.EncodeToString([]byte(account + ":" + password))
	cases := []accessCase{
		// TLS.
		{name: "CA as a file", image: byName(r.secure) + app, env: []string{"CLIPPER_CA_CERTS=/ca/ca.crt"}, flags: bindCA(r.ca)},
		{name: "CA as a directory", image: byName(r.secure) + app, env: []string{"CLIPPER_CA_CERTS=/ca"}, flags: bindCA(r.ca)},
		{name: "CA where Debian has it", image: byName(r.secure) + app, flags: append([]string{"--volume", r.ca + ":/usr/local/share/ca-certificates/own.crt:ro"}, atTestName...)},
		{name: "CA at the loopback", image: strings.Replace(r.secure, "127.0.0.1", "localhost", 1) + app, env: []string{"CLIPPER_CA_CERTS=/ca"}, flags: bindCA(r.ca)},
		{name: "no CA", image: byName(r.secure) + app, flags: atTestName, exit: 85, says: "CLIPPER_CA_CERTS adds one"},
		{name: "no CA at the loopback", image: strings.Replace(r.secure, "127.0.0.1", "localhost", 1) + app, exit: 85, says: "CLIPPER_CA_CERTS adds one"},
		{name: "wrong CA", image: byName(r.secure) + app, env: []string{"CLIPPER_CA_CERTS=/ca/ca.crt"}, flags: bindCA(r.otherCA), exit: 85, says: "signed by a known CA"},
		{name: "insecure does not mean unverified", image: byName(r.secure) + app, env: []string{"CLIPPER_INSECURE_REGISTRIES=" + byName(r.secure)}, flags: atTestName, exit: 85, says: "CLIPPER_CA_CERTS adds one"},
		{name: "certificate for another name", image: strings.Replace(byName(r.secure), testName, "other.test", 1) + app, env: []string{"CLIPPER_CA_CERTS=/ca/ca.crt"}, flags: bindCA(r.ca), exit: 85, says: "other.test"},
		{name: "CA file that is missing", image: byName(r.secure) + app, env: []string{"CLIPPER_CA_CERTS=/nowhere.crt"}, flags: atTestName, exit: 87, says: "CLIPPER_CA_CERTS"},
		{name: "CA file without a certificate", image: byName(r.secure) + app, env: []string{"CLIPPER_CA_CERTS=/ca/ca.crt"}, flags: bindCA(r.write(t, "empty.pem", []byte("nothing\n"))), exit: 87, says: "CLIPPER_CA_CERTS"},

		// Basic.
		{name: "user:password", image: r.basic + app, env: credentials(account + ":" + password)},
		{name: "user:password, as init", image: r.basic + app, env: append(credentials(account+":"+password), "CLIPPER_INIT=always")},
		{name: "user:password with --user", image: r.basic + app, env: credentials(account + ":" + password), flags: []string{"--user", "1000"}},
		{name: "username and password in JSON", image: r.basic + app, env: credentials(`{"username":"` + account + `","password":"` + password + `"}`)},
		{name: "config.json with auth", image: r.basic + app, env: credentials(config(r.basic, "auth", basicAuth))},
		{name: "config.json with username and password", image: r.basic + app, env: credentials(config("http://"+r.basic, "username", account, "password", password))},
		{name: "bare token", image: r.basic + app, env: credentials(token)},
		{name: "registry named", image: r.basic + app, env: append(credentials(token), "CLIPPER_CREDENTIALS_REGISTRY="+r.basic)},
		{name: "over TLS", image: byName(r.secureBasic) + app, env: append(credentials(account+":"+password), "CLIPPER_CA_CERTS=/ca"), flags: bindCA(r.ca)},
		{name: "registry named is another", image: r.basic + app, env: append(credentials(token), "CLIPPER_CREDENTIALS_REGISTRY=ghcr.io"), exit: 81, says: "set CLIPPER_CREDENTIALS_REGISTRY to it"},
		{name: "config.json of another host", image: r.basic + app, env: credentials(config("ghcr.io", "auth", basicAuth)), exit: 81, says: "has no credentials for it"},
		{name: "none", image: r.basic + app, exit: 81, says: "set CLIPPER_CREDENTIALS"},
		{name: "none, said so", image: r.basic + app, env: credentials("-"), exit: 81, says: "which means none"},
		{name: "wrong password", image: r.basic + app, env: credentials(account + ":wrong-" + password), exit: 81, says: "the credentials do not fit"},
		{name: "wrong user", image: r.basic + app, env: credentials("bob:" + password), exit: 81, says: "the credentials do not fit"},
		{name: "wrong token", image: r.basic + app, env: credentials("x" + token), exit: 81, says: "the credentials do not fit"},
		{name: "credentials, but no such image", image: r.basic + "/acme/none:e2e", env: credentials(token), exit: 82, says: "check the name"},
		{name: "no password", image: r.basic + app, env: credentials(account + ":"), exit: 87, says: "empty user name or password"},
		{name: "JSON that is broken", image: r.basic + app, env: credentials(`{"username":"` + account + `","password":"` + password), exit: 87, says: "CLIPPER_CREDENTIALS"},
		{name: "credential helper", image: r.basic + app, env: credentials(`{"credsStore":"desktop"}`), exit: 87, says: "credential helper"},

		// Token.
		{name: "token service", image: r.token + app, env: credentials(account + ":" + password)},
		{name: "token service and identity token", image: r.token + app, env: credentials(config(r.token, "identitytoken", refreshToken))},
		{name: "token service, anonymous", image: r.token + app, exit: 81, says: "set CLIPPER_CREDENTIALS"},
		{name: "token service, wrong password", image: r.token + app, env: credentials(account + ":wrong-" + password), exit: 81, says: "the credentials do not fit"},
		{name: "token service, but no such image", image: r.token + "/acme/none:e2e", env: credentials(account + ":" + password), exit: 82, says: "check the name"},

		// What is there.
		{name: "index", image: r.plain + index},
		{name: "no such repository", image: r.plain + "/acme/none:e2e", exit: 82, says: "check the name, the tag and the digest"},
		{name: "no such tag", image: r.plain + "/acme/app:none", exit: 82, says: "check the name, the tag and the digest"},
		{name: "no such digest", image: r.plain + "/acme/app@sha256:" + strings.Repeat("0", 64), exit: 82, says: "check the name, the tag and the digest"},
		{name: "no such platform", image: r.plain + index, env: []string{"CLIPPER_PLATFORM=linux/s390x"}, exit: 83, says: "linux/amd64"},

		// Whom to talk to.
		{name: "nobody at the port", image: testName + ":9" + app, flags: atTestName, exit: 85, says: "refused"},
		{name: "nobody at localhost", image: "localhost:9" + app, exit: 85, says: "localhost is this container"},
		{name: "no such host", image: "nowhere.invalid" + app, exit: 85, says: "check the host's name"},
		{name: "plain HTTP", image: byName(r.plain) + app, flags: atTestName, exit: 87, says: "CLIPPER_INSECURE_REGISTRIES"},
		{name: "plain HTTP with credentials", image: byName(r.basic) + app, env: credentials(token), flags: atTestName, exit: 87, says: "CLIPPER_INSECURE_REGISTRIES"},
		{name: "plain HTTP, listed", image: byName(r.basic) + app, env: append(credentials(token), "CLIPPER_INSECURE_REGISTRIES=a.test,"+byName(r.basic)), flags: atTestName},
		{name: "mirror down", image: r.plain + app, env: []string{"CLIPPER_MIRRORS=127.0.0.1:9"}},
		{name: "mirror that has nothing", image: r.plain + app, env: []string{"CLIPPER_MIRRORS=" + r.plain + "/nothing/here"}},
		{name: "mirrors down, and the registry", image: testName + ":9" + app, env: []string{"CLIPPER_MIRRORS=127.0.0.1:9"}, flags: atTestName, exit: 85, says: "mirror 127.0.0.1:9"},
		{name: "mirror of a registry that is down", image: "nowhere.invalid" + app, env: []string{"CLIPPER_MIRRORS=nowhere.invalid=" + r.plain}},
	}
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		env, flags    []string
		exit          int
		says          string
	}{
		{name: "token in a file", content: token + "\n", mode: 0o600},
		{name: "user:password in a file", content: account + ":" + password + "\r\n", mode: 0o600},
		{name: "config.json in a file", content: config(r.basic, "auth", basicAuth), mode: 0o600},
		{name: "file that the user may read", content: token, mode: 0o644, flags: []string{"--user", "1000"}},
		{name: "file that the user may not read", content: token, mode: 0o600, flags: []string{"--user", "1000"}, exit: 87, says: "CLIPPER_CREDENTIALS_FILE"},
		{name: "file and variable", content: token, mode: 0o600, env: credentials(token), exit: 87, says: "both set"},
	} {
		env, flags := r.fromFile(t, "login-"+slug(c.name), c.content, c.mode)
		cases = append(cases, accessCase{name: c.name, image: r.basic + app, env: append(env, c.env...), flags: append(flags, c.flags...), exit: c.exit, says: c.says})
	}
	return cases
}

// TestRegistryAccess: who gets in and who does not, and that what opened the
// door is nowhere afterwards.
func TestRegistryAccess(t *testing.T) {
	r := openRegistries(t)
	for _, c := range r.cases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			container := lab.Start(t, stack.RunSpec{Image: c.image, Via: stack.Runner, RunnerEnv: c.env, Env: []string{"CLIPPER_OTHER=stays", "AWS_SECRET_ACCESS_KEY=stays"}, Flags: c.flags})
			if c.exit == 0 {
				container.AwaitLog(t, "ready\n", 1)
				r.checkProgram(t, container)
			} else {
				if code := container.Wait(t); code != fmt.Sprint(c.exit) {
					t.Errorf("exit %s, want %d", code, c.exit)
				}
				checkRefusal(t, c.exit, container.Logs(t))
			}
			logs := container.Logs(t)
			if !strings.Contains(logs.Stderr, c.says) {
				t.Errorf("want words on %q: %s", c.says, logs.Stderr)
			}
			r.checkSecrets(t, "standard output", logs.Stdout)
			r.checkSecrets(t, "standard error", logs.Stderr)
			r.checkSecrets(t, "the container's tree", container.Do(t, "export"))
		})
	}
}

// checkProgram checks the environment of the running program.
func (r *registries) checkProgram(t *testing.T, container *stack.Container) {
	t.Helper()
	// Of every process: the runner may stay as the first one.
	environs := container.Exec(t, "/.clipper-runner/exec", "sh", "-c", "cat /proc/[0-9]*/environ; cat /proc/[0-9]*/cmdline")
	if environs.Exit != 0 {
		t.Fatalf("read environments: exit %d: %s", environs.Exit, environs.Stderr)
	}
	r.checkSecrets(t, "an environment", environs.Stdout)
	if strings.Contains(environs.Stdout, "CLIPPER_CREDENTIALS") || strings.Contains(environs.Stdout, "CLIPPER_MAGIC_IMAGE") {
		t.Errorf("settings of the runner are in an environment: %q", environs.Stdout)
	}
	if !strings.Contains(environs.Stdout, "CLIPPER_OTHER=stays") || !strings.Contains(environs.Stdout, "AWS_SECRET_ACCESS_KEY=stays") {
		t.Errorf("what is not the runner's is not in the environment: %q", environs.Stdout)
	}
}

func (r *registries) checkSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range r.secrets() {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s holds the secret %q, after %q", where, secret, text[max(0, at-80):at])
		}
	}
}

// TestCredentialsStayHome: credentials go to the registry and to nobody else,
// neither to a mirror nor to where the registry redirects.
func TestCredentialsStayHome(t *testing.T) {
	// The proxies ask for a login and do not look at it.
	challenge := faultproxy.Rule{Kind: faultproxy.Ping, Fault: faultproxy.Status(401, "WWW-Authenticate", `Basic realm="test"`)}
	origin := lab.Proxy(t, challenge, faultproxy.Rule{Kind: faultproxy.Blob, Fault: faultproxy.Redirect(2)})
	mirror := lab.Proxy(t, challenge, faultproxy.Rule{Kind: faultproxy.Manifest, Fault: faultproxy.Status(404)}, faultproxy.Rule{Kind: faultproxy.Blob, Skip: 1, Fault: faultproxy.Status(404)})
	ref := lab.Push(t, "access/home", probeImage(t, nil))
	got := lab.Run(t, stack.RunSpec{Image: origin.Through(ref), Via: stack.Runner, RunnerEnv: append(credentials(account+":"+password), "CLIPPER_MIRRORS="+mirror.Addr), Args: []string{"true"}})
	if got.Exit != 0 {
		t.Fatalf("exit %d: %s", got.Exit, got.Stderr)
	}
	sent, redirected := 0, 0
	for _, request := range origin.Requests() {
		switch {
		case request.Redirected && request.Authorization != "":
			t.Errorf("the credentials went where the registry redirects: %+v", request)
		case request.Redirected:
			redirected++
		case request.Authorization != "":
			sent++
		}
	}
	if sent == 0 || redirected == 0 {
		t.Errorf("%d requests with credentials and %d that were redirected: the test is without effect", sent, redirected)
	}
	if len(mirror.Requests()) < 2 {
		t.Errorf("the mirror was not asked: %+v", mirror.Requests())
	}
	for _, request := range mirror.Requests() {
		if request.Authorization != "" {
			t.Errorf("the credentials went to the mirror: %+v", request)
		}
	}
}

// TestMirror: while the mirror has what is wanted, the registry is not asked.
func TestMirror(t *testing.T) {
	origin, mirror := lab.Proxy(t), lab.Proxy(t)
	ref := lab.Push(t, "access/mirror", probeImage(t, nil))
	got := lab.Run(t, stack.RunSpec{Image: origin.Through(ref), Via: stack.Runner, RunnerEnv: []string{"CLIPPER_MIRRORS=127.0.0.1:9," + mirror.Addr}, Args: []string{"true"}})
	if got.Exit != 0 {
		t.Fatalf("exit %d: %s", got.Exit, got.Stderr)
	}
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
	if manifests, blobs := mirror.Counts(); manifests != 1 || blobs == 0 {
		t.Errorf("the mirror was asked for %d manifests and %d blobs", manifests, blobs)
	}
}

// TestHTTPProxy: proxies are taken from the environment, for TLS too.
func TestHTTPProxy(t *testing.T) {
	r := openRegistries(t)
	plain := faultproxy.Start(t, "http://"+r.plain)
	tunnel := startTunnel(t, r.secure)
	for _, c := range []struct {
		name  string
		image string
		env   []string
		flags []string
		asked func() bool
	}{
		{"HTTP", "far.test/acme/app:e2e", []string{"http_proxy=http://" + plain.Addr, "https_proxy=http://127.0.0.1:9", "CLIPPER_INSECURE_REGISTRIES=far.test"}, nil, func() bool { return len(plain.Requests()) > 0 }},
		{"HTTPS", testName + "/acme/app:e2e", []string{"HTTPS_PROXY=" + tunnel.url, "CLIPPER_CA_CERTS=/ca/ca.crt"}, []string{"--volume", r.ca + ":/ca/ca.crt:ro"}, tunnel.asked},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := lab.Run(t, stack.RunSpec{Image: c.image, Via: stack.Runner, RunnerEnv: c.env, Flags: c.flags, Args: []string{"true"}})
			if got.Exit != 0 || !c.asked() {
				t.Errorf("exit %d, proxy asked: %t: %s", got.Exit, c.asked(), got.Stderr)
			}
		})
	}
}

// tunnel is a proxy that answers CONNECT for the name registry.test.
type tunnel struct {
	url    string
	server string
	mu     sync.Mutex
	count  int
}

func startTunnel(t *testing.T, to string) *tunnel {
	t.Helper()
	p := &tunnel{server: to}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *tunnel) asked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count > 0
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != testName+":443" {
		http.Error(w, "only CONNECT "+testName, http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.count++
	p.mu.Unlock()
	far, err := net.Dial("tcp", p.server)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	w.WriteHeader(http.StatusOK)
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	go func() { _, _ = io.Copy(far, near) }()
	_, _ = io.Copy(near, far)
}
