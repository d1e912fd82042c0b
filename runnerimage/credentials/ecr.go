package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// earlier is how long before its end a token is no longer handed out: a
	// pull that starts now wants to finish with it.
	earlier = 5 * time.Minute
	// failureLasts is how long a failure is the answer without asking again, so
	// that a public image is not slowed down at every request.
	failureLasts = time.Minute
	// asking bounds everything one answer takes, for networks in which AWS's
	// APIs are a black hole.
	asking = 30 * time.Second
)

// ecrToken is the answer for one ECR endpoint. The buffered channel is its
// lock, which waits for a context, too.
type ecrToken struct {
	lock  chan struct{}
	login authn.AuthConfig
	err   error
	until time.Time
}

// login returns the credentials of a registry: the answer of the last minutes
// or hours, or else that of one ecr:GetAuthorizationToken. Callers for the
// same endpoint wait for each other.
func (a *awsIdentity) login(ctx context.Context, reg ecrHost) (authn.AuthConfig, error) {
	endpoint := a.endpoint("AWS_ENDPOINT_URL_ECR", reg.ecrEndpoint())
	token := a.token(endpoint + " " + reg.region)
	select {
	case token.lock <- struct{}{}:
		defer func() { <-token.lock }()
	case <-ctx.Done():
		return authn.AuthConfig{}, ctx.Err()
	}
	if a.now().Before(token.until) {
		return token.login, token.err
	}
	bounded, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	login, expires, err := a.getAuthorizationToken(bounded, endpoint, reg)
	if ctx.Err() != nil {
		return authn.AuthConfig{}, ctx.Err() // this caller's end, not an answer for the others
	}
	token.login, token.err, token.until = login, err, expires.Add(-earlier)
	if err != nil {
		token.until = a.now().Add(failureLasts)
	}
	return login, err
}

func (a *awsIdentity) token(key string) *ecrToken {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tokens[key]
	if t == nil {
		t = &ecrToken{lock: make(chan struct{}, 1)}
		a.tokens[key] = t
	}
	return t
}

// ECRLogin asks for the login of one ECR registry, as the AWS identity that
// s.Env and s.Files describe. Unlike Login it also knows the public registry,
// which gives more to those who log in, and it says why there is no login.
func ECRLogin(ctx context.Context, s Settings, host string) (authn.AuthConfig, error) {
	host = NormalizeHost(host)
	reg, ok := parseECRHost(host)
	if host == publicECR {
		reg, ok = ecrHost{region: "us-east-1", domain: "amazonaws.com", public: true}, true
	}
	if !ok {
		return authn.AuthConfig{}, fmt.Errorf("%w: %s is no registry of Amazon ECR", ErrSettings, host)
	}
	return newAWSIdentity(s, newKeychain(s)).login(ctx, reg)
}

// getAuthorizationToken is the one signed request that ECR needs.
//
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
// https://docs.aws.amazon.com/AmazonECRPublic/latest/APIReference/API_GetAuthorizationToken.html
func (a *awsIdentity) getAuthorizationToken(ctx context.Context, endpoint string, reg ecrHost) (authn.AuthConfig, time.Time, error) {
	source, keys, err := a.keys(ctx, reg)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("%s: %w", source, err)
	}
	body, service, target := []byte("{}"), "ecr", "AmazonEC2ContainerRegistry_V20150921"
	if reg.public {
		service, target = "ecr-public", "SpencerFrontendService"
	}
	answer, err := a.send(ctx, a.api, func() (*http.Request, error) {
		req, err := newRequest(ctx, http.MethodPost, endpoint, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", target+".GetAuthorizationToken")
		signV4(req, body, keys, reg.region, service, a.now())
		return req, nil
	})
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("%s: %s:GetAuthorizationToken in %s: %w%s", source, service, reg.region, err, hint(source, service, err))
	}
	login, expires, err := parseAuthorization(answer)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("%s: %s:GetAuthorizationToken in %s: %w", source, service, reg.region, err)
	}
	a.keychain.keepLogin(login)
	return login, expires, nil
}

// hint says what to grant where ECR knows the identity but denies it: on ECS
// the grants usually sit on the other role.
func hint(source, service string, err error) string {
	var refused *refusal
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.code, "AccessDenied") {
		return ""
	}
	if service == "ecr-public" {
		return " (allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken to this identity)"
	}
	if source == sourceContainer {
		return " (allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to the task role; the execution role's rights do not count here)"
	}
	return " (allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to this identity)"
}

// parseAuthorization reads the answer of the private ECR, a list, and that of
// the public one, which is not.
func parseAuthorization(answer []byte) (authn.AuthConfig, time.Time, error) {
	type authorization struct {
		AuthorizationToken string  `json:"authorizationToken"`
		ExpiresAt          float64 `json:"expiresAt"` // seconds since 1970
	}
	var out struct {
		AuthorizationData json.RawMessage `json:"authorizationData"`
	}
	var list [1]authorization // what follows the first is not read
	if json.Unmarshal(answer, &out) != nil ||
		json.Unmarshal(out.AuthorizationData, &list) != nil && json.Unmarshal(out.AuthorizationData, &list[0]) != nil {
		return authn.AuthConfig{}, time.Time{}, errors.New("the answer holds no authorizationData")
	}
	data := list[0]
	b, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	user, password, ok := strings.Cut(string(b), ":")
	if err != nil || !ok || user == "" || password == "" {
		return authn.AuthConfig{}, time.Time{}, errors.New("the answer's authorizationToken is not base64 of user:password")
	}
	return authn.AuthConfig{Username: user, Password: password}, time.UnixMilli(int64(data.ExpiresAt * 1000)), nil
}
