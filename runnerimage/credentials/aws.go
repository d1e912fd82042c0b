package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// awsIdentity is the AWS identity of the place the runner stands in.
type awsIdentity struct {
	keychain *Keychain
	env      func(string) string
	files    fs.FS
	now      func() time.Time
	api      *http.Client // ECR and STS
	metadata *http.Client // what is link-local: never through a proxy
	pause    time.Duration

	mu     sync.Mutex
	tokens map[string]*ecrToken
}

const (
	sourceStatic      = "AWS_ACCESS_KEY_ID"
	sourceWebIdentity = "web identity"
	sourceContainer   = "ECS task role"
	sourceEC2         = "EC2 instance role"

	taskEndpoint = "http://169.254.170.2" // of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
	imdsEndpoint = "http://169.254.169.254"

	// imdsWaits is short: outside EC2 nobody answers at the address at all, and
	// inside a container often no answer comes back (hop limit 1).
	imdsWaits = 2 * time.Second

	maxAnswer    = 1 << 20
	maxTokenFile = 64 << 10
	attempts     = 3
)

func newAWSIdentity(s Settings, k *Keychain) *awsIdentity {
	a := &awsIdentity{
		keychain: k, env: s.Env, files: s.Files, now: s.Now,
		api:    &http.Client{Timeout: 30 * time.Second},
		pause:  300 * time.Millisecond,
		tokens: map[string]*ecrToken{},
	}
	if s.HTTP != nil {
		a.api = new(*s.HTTP)
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.metadata = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	// A redirect would carry a token to another host.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a.api.CheckRedirect, a.metadata.CheckRedirect = stay, stay
	return a
}

// keys finds the keys to sign with. The first source that is configured
// decides, in the order of the AWS SDKs; the EC2 instance is asked only where
// none is.
func (a *awsIdentity) keys(ctx context.Context, reg ecrHost) (source string, keys awsKeys, err error) {
	switch {
	case a.env("AWS_ACCESS_KEY_ID") != "":
		source = sourceStatic
		keys, err = a.staticKeys()
	case a.env("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && a.env("AWS_ROLE_ARN") != "":
		source = sourceWebIdentity
		keys, err = a.webIdentityKeys(ctx, reg)
	case a.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || a.env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		source = sourceContainer
		keys, err = a.containerKeys(ctx)
	case strings.EqualFold(a.env("AWS_EC2_METADATA_DISABLED"), "true"):
		source = "AWS"
		err = errors.New("no variables of an identity are set, and AWS_EC2_METADATA_DISABLED is true")
	default:
		source = sourceEC2
		keys, err = a.instanceKeys(ctx)
	}
	a.keychain.keepSecret(keys.secret, keys.token)
	return source, keys, err
}

func (a *awsIdentity) staticKeys() (awsKeys, error) {
	keys := awsKeys{a.env("AWS_ACCESS_KEY_ID"), a.env("AWS_SECRET_ACCESS_KEY"), a.env("AWS_SESSION_TOKEN")}
	if keys.secret == "" {
		return awsKeys{}, errors.New("AWS_SECRET_ACCESS_KEY is missing")
	}
	return keys, nil
}

// containerKeys asks the credentials endpoint of ECS (or of EKS Pod Identity).
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func (a *awsIdentity) containerKeys(ctx context.Context) (awsKeys, error) {
	endpoint, err := a.containerEndpoint()
	if err != nil {
		return awsKeys{}, err
	}
	authorization := a.env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := a.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		if authorization, err = a.readFile(file); err != nil {
			return awsKeys{}, fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
		}
	}
	a.keychain.keepSecret(authorization)
	if strings.ContainsAny(authorization, "\r\n") {
		return awsKeys{}, errors.New("the container authorization token has a line break in it")
	}
	answer, err := a.send(ctx, a.metadata, func() (*http.Request, error) {
		req, err := newRequest(ctx, http.MethodGet, endpoint, nil)
		if err == nil && authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		return req, err
	})
	if err != nil {
		return awsKeys{}, err
	}
	return parseKeys(answer)
}

// containerEndpoint refuses to send the authorization token in the clear to
// anything but this machine and the two agents' addresses.
func (a *awsIdentity) containerEndpoint() (string, error) {
	if relative := a.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		// Without the slash, "@host" would turn the address into user information.
		if !strings.HasPrefix(relative, "/") {
			return "", errors.New("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with a slash")
		}
		return taskEndpoint + relative, nil
	}
	full := a.env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return "", errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is not an http or https URL")
	}
	if u.Scheme == "http" && !nearby(u.Hostname()) {
		return "", errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that must be asked by https (plain http is for loopback, 169.254.170.2, 169.254.170.23 and fd00:ec2::23)")
	}
	return full, nil
}

func nearby(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	switch addr.String() {
	case "169.254.170.2", "169.254.170.23", "fd00:ec2::23":
		return true
	}
	return addr.IsLoopback()
}

// instanceKeys asks the metadata service of EC2, version 2 only.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
func (a *awsIdentity) instanceKeys(ctx context.Context) (awsKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, imdsWaits)
	defer cancel()
	base := imdsEndpoint
	if e := a.env("AWS_EC2_METADATA_SERVICE_ENDPOINT"); e != "" {
		base = strings.TrimRight(e, "/")
	}
	get := func(method, where, header, value string) ([]byte, error) {
		return a.sendOnce(a.metadata, func() (*http.Request, error) {
			req, err := newRequest(ctx, method, base+where, nil)
			if err == nil {
				req.Header.Set(header, value)
			}
			return req, err
		})
	}
	session, err := get(http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "300")
	if err != nil {
		return awsKeys{}, fmt.Errorf("no variables of an identity are set, and the instance metadata service does not answer: %w", err)
	}
	const header, roles = "X-aws-ec2-metadata-token", "/latest/meta-data/iam/security-credentials/"
	a.keychain.keepSecret(string(session))
	list, err := get(http.MethodGet, roles, header, string(session))
	if err != nil {
		return awsKeys{}, fmt.Errorf("the instance has no role: %w", err)
	}
	role, _, _ := strings.Cut(strings.TrimSpace(string(list)), "\n")
	answer, err := get(http.MethodGet, roles+url.PathEscape(role), header, string(session))
	if err != nil {
		return awsKeys{}, err
	}
	return parseKeys(answer)
}

// parseKeys reads the form that the endpoints of ECS and EC2 share.
func parseKeys(answer []byte) (awsKeys, error) {
	var out struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
	}
	if json.Unmarshal(answer, &out) != nil || out.AccessKeyID == "" || out.SecretAccessKey == "" {
		return awsKeys{}, errors.New("the answer holds no keys")
	}
	return awsKeys{out.AccessKeyID, out.SecretAccessKey, out.Token}, nil
}

// webIdentityKeys trades an OIDC token for keys by one unsigned call.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (a *awsIdentity) webIdentityKeys(ctx context.Context, reg ecrHost) (awsKeys, error) {
	token, err := a.readFile(a.env("AWS_WEB_IDENTITY_TOKEN_FILE"))
	if err != nil {
		return awsKeys{}, fmt.Errorf("AWS_WEB_IDENTITY_TOKEN_FILE: %w", err)
	}
	a.keychain.keepSecret(token)
	region := a.env("AWS_REGION")
	if region == "" {
		region = a.env("AWS_DEFAULT_REGION")
	}
	session := a.env("AWS_ROLE_SESSION_NAME")
	if session == "" {
		session = "clipper-runner"
	}
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {a.env("AWS_ROLE_ARN")}, "RoleSessionName": {session}, "WebIdentityToken": {token},
	}
	answer, err := a.send(ctx, a.api, func() (*http.Request, error) {
		req, err := newRequest(ctx, http.MethodPost, a.endpoint("AWS_ENDPOINT_URL_STS", reg.stsEndpoint(region)), []byte(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return req, err
	})
	if err != nil {
		return awsKeys{}, fmt.Errorf("sts:AssumeRoleWithWebIdentity: %w", err)
	}
	keys := awsKeys{element(answer, "AccessKeyId"), element(answer, "SecretAccessKey"), element(answer, "SessionToken")}
	if keys.id == "" || keys.secret == "" || keys.token == "" {
		return awsKeys{}, errors.New("sts:AssumeRoleWithWebIdentity: the answer holds no keys")
	}
	return keys, nil
}

// element finds the text of an XML element. Those read here hold base64 and
// plain words, never an escape, so an XML parser (100 kB in the binary) would
// add nothing.
func element(xml []byte, name string) string {
	_, rest, _ := strings.Cut(string(xml), "<"+name+">")
	text, _, found := strings.Cut(rest, "</"+name+">")
	if !found {
		return ""
	}
	return strings.TrimSpace(text)
}

// readFile reads a small token file with the rights of the person.
func (a *awsIdentity) readFile(name string) (string, error) {
	if a.files == nil {
		return "", errors.New("token files cannot be read here")
	}
	f, err := a.files.Open(strings.TrimLeft(path.Clean("/"+name), "/"))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxTokenFile {
		return "", errors.New("the token file is too large")
	}
	return strings.TrimSpace(string(b)), nil
}

// endpoint lets the variables of the AWS SDKs replace an API's address.
func (a *awsIdentity) endpoint(variable, standard string) string {
	for _, name := range []string{variable, "AWS_ENDPOINT_URL"} {
		if e := a.env(name); e != "" {
			return strings.TrimRight(e, "/")
		}
	}
	return standard
}

func newRequest(ctx context.Context, method, address string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the address is not a URL") // the error would quote it
	}
	return req, nil
}

// refusal is an answer other than 200.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("status %d", r.status)
	if r.code != "" {
		s += " " + r.code
	}
	if r.message != "" {
		s += ": " + r.message
	}
	return s
}

func (r *refusal) Is(target error) bool { return target == ErrRefused }

func (r *refusal) temporary() bool {
	return r.status >= 500 || r.status == http.StatusTooManyRequests || strings.Contains(r.code, "Throttl")
}

// send asks a few times where waiting may help. build makes each attempt anew:
// a signature is bound to its time.
func (a *awsIdentity) send(ctx context.Context, client *http.Client, build func() (*http.Request, error)) ([]byte, error) {
	for n := 1; ; n++ {
		answer, err := a.sendOnce(client, build)
		var refused *refusal
		if err == nil || n == attempts || (errors.As(err, &refused) && !refused.temporary()) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(a.pause << (n - 1)):
		}
	}
}

func (a *awsIdentity) sendOnce(client *http.Client, build func() (*http.Request, error)) ([]byte, error) {
	req, err := build()
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		// The URL's path may be what opens a task role to its neighbours.
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err
		}
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, parseRefusal(resp.StatusCode, answer, a.keychain.Redact)
	}
	return answer, nil
}

// parseRefusal reads the error of the JSON APIs, of the credentials endpoints
// and of STS. Some quote the request with its session token, so the message is
// redacted, and before it is shortened: half a secret could not be found.
func parseRefusal(status int, answer []byte, redact func(string) string) *refusal {
	var body struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	r := &refusal{status: status}
	if json.Unmarshal(answer, &body) == nil {
		r.code, r.message = body.Type, body.Message
		if r.code == "" {
			r.code = body.Code
		}
		if i := strings.LastIndexByte(r.code, '#'); i >= 0 {
			r.code = r.code[i+1:]
		}
	} else {
		r.code, r.message = element(answer, "Code"), element(answer, "Message")
	}
	r.code, r.message = Printable(redact(r.code), 60), Printable(redact(r.message), 300)
	return r
}

// Printable makes a stranger's text fit for a log: one line, bounded, no
// control characters.
func Printable(s string, most int) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
