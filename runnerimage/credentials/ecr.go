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

// getAuthorizationToken is the one signed request that private ECR needs.
//
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
func (a *awsIdentity) getAuthorizationToken(ctx context.Context, endpoint string, reg ecrHost) (authn.AuthConfig, time.Time, error) {
	source, keys, err := a.keys(ctx, reg)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("%s: %w", source, err)
	}
	body := []byte("{}")
	answer, err := a.send(ctx, a.api, func() (*http.Request, error) {
		req, err := newRequest(ctx, http.MethodPost, endpoint, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
		signV4(req, body, keys, reg.region, "ecr", a.now())
		return req, nil
	})
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("%s: ecr:GetAuthorizationToken in %s: %w%s", source, reg.region, err, hint(source, err))
	}
	login, expires, err := parseAuthorization(answer)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("%s: ecr:GetAuthorizationToken in %s: %w", source, reg.region, err)
	}
	a.keychain.keepLogin(login)
	return login, expires, nil
}

// hint says what to grant where ECR knows the identity but denies it: on ECS
// the grants usually sit on the other role.
func hint(source string, err error) string {
	var refused *refusal
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.code, "AccessDenied") {
		return ""
	}
	if source == sourceContainer {
		return " (allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to the task role; the execution role's rights do not count here)"
	}
	return " (allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to this identity)"
}

func parseAuthorization(answer []byte) (authn.AuthConfig, time.Time, error) {
	var out struct {
		AuthorizationData []struct {
			AuthorizationToken string  `json:"authorizationToken"`
			ExpiresAt          float64 `json:"expiresAt"` // seconds since 1970
		} `json:"authorizationData"`
	}
	if json.Unmarshal(answer, &out) != nil || len(out.AuthorizationData) == 0 {
		return authn.AuthConfig{}, time.Time{}, errors.New("the answer holds no authorizationData")
	}
	data := out.AuthorizationData[0]
	b, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	user, password, ok := strings.Cut(string(b), ":")
	if err != nil || !ok || user == "" || password == "" {
		return authn.AuthConfig{}, time.Time{}, errors.New("the answer's authorizationToken is not base64 of user:password")
	}
	return authn.AuthConfig{Username: user, Password: password}, time.UnixMilli(int64(data.ExpiresAt * 1000)), nil
}
