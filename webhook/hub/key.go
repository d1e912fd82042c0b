package hub

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// Signer has an App's private key, or knows who has it.
type Signer interface {
	// Sign signs a SHA-256 digest by RSASSA-PKCS1-v1_5.
	Sign(ctx context.Context, digest []byte) (signature []byte, err error)
}

// ParseKey reads a private key as GitHub hands it out: PEM, of PKCS #1; PKCS #8
// is as good. No error has a part of it.
func ParseKey(text []byte) (Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the App's private key is not PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return rsaKey{key}, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the App's private key is neither PKCS #1 nor PKCS #8")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the App's private key is not an RSA key")
	}
	return rsaKey{key}, nil
}

// rsaKey hides the key from %v.
type rsaKey struct{ key *rsa.PrivateKey }

// Sign signs here and now.
func (k rsaKey) Sign(_ context.Context, digest []byte) ([]byte, error) {
	return rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, digest)
}

// String is for logs.
func (rsaKey) String() string { return "RSA key" }

// GoString is for logs.
func (rsaKey) GoString() string { return "RSA key" }

// A JSON Web Token begins a minute ago, in case that GitHub's servers differ,
// and must not last ten minutes; it is used for five.
const (
	jwtBefore = time.Minute
	jwtAfter  = 9 * time.Minute
	jwtUse    = 5 * time.Minute
	// signTimeout is for a key that is elsewhere.
	signTimeout = 10 * time.Second
)

// identity says who the App is. It is the signer of ghinstallation's too.
type identity struct {
	app    int64
	signer Signer
	now    func() time.Time // GitHub's

	mu    sync.Mutex
	token string
	until time.Time
}

// Sign is asked by ghinstallation with claims by this machine's clock, and
// makes its own.
func (i *identity) Sign(jwt.Claims) (string, error) { return i.jwt(context.Background()) }

// jwt is a JSON Web Token: a signature of a key that is elsewhere has a price,
// so one serves for a while.
func (i *identity) jwt(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	if i.token != "" && now.Before(i.until) && now.After(i.until.Add(-jwtUse-jwtBefore)) {
		return i.token, nil
	}
	claims, err := json.Marshal(map[string]any{
		"iss": strconv.FormatInt(i.app, 10), "iat": now.Add(-jwtBefore).Unix(), "exp": now.Add(jwtAfter).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	digest := sha256.Sum256([]byte(signed))
	signature, err := i.signer.Sign(ctx, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign as App %d: %w", i.app, err)
	}
	i.token, i.until = signed+"."+base64.RawURLEncoding.EncodeToString(signature), now.Add(jwtUse)
	return i.token, nil
}

// current is the token that was used last, to forget it.
func (i *identity) current() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.token
}

// forget has another token made in place of one that GitHub does not take.
func (i *identity) forget(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token == token {
		i.token = ""
	}
}
