package hub_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

// amazon answers as AWS KMS and Secrets Manager to requests that are right in
// every word, with a signature that the SDK's own signer makes of them again.
type amazon struct {
	pem  string // of the key
	fail int    // the status of the next answers
}

const keyARN = "arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"

var amazonKeys = aws.Credentials{AccessKeyID: "ASIAACMECI", SecretAccessKey: "secret-of-the-session", SessionToken: "session"}

func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	refuse := func(code, message string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
	}
	body, err := io.ReadAll(r.Body)
	target := r.Header.Get("X-Amz-Target")
	service := map[string]string{"TrentService.Sign": "kms", "secretsmanager.GetSecretValue": "secretsmanager"}[target]
	switch {
	case a.fail != 0:
		w.WriteHeader(a.fail)
		return
	case err != nil || r.Method != http.MethodPost || r.URL.Path != "/" || service == "" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
		refuse("UnknownOperationException", target)
		return
	case !signedRight(r, body, service):
		refuse("InvalidSignatureException", "The request signature we calculated does not match")
		return
	}
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	if service == "secretsmanager" {
		var in struct{ SecretId string }
		if strict.Decode(&in) != nil || in.SecretId != "clipper/key" {
			refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Name": "clipper/key", "SecretString": a.pem})
		return
	}
	var in struct {
		KeyId, MessageType, SigningAlgorithm string
		Message                              []byte
	}
	switch {
	case strict.Decode(&in) != nil || in.MessageType != "DIGEST" || in.SigningAlgorithm != "RSASSA_PKCS1_V1_5_SHA_256" || len(in.Message) != sha256.Size:
		refuse("ValidationException", "1 validation error detected")
	case in.KeyId != keyARN:
		refuse("NotFoundException", "Key '"+in.KeyId+"' does not exist")
	default:
		key, err := hub.ParseKey([]byte(a.pem))
		if err != nil {
			refuse("KMSInternalException", err.Error())
			return
		}
		signature, err := key.Sign(r.Context(), in.Message)
		if err != nil {
			refuse("KMSInternalException", err.Error())
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": keyARN, "Signature": signature, "SigningAlgorithm": in.SigningAlgorithm})
	}
}

// signedRight has the SDK sign what arrived.
func signedRight(r *http.Request, body []byte, service string) bool {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ := strings.Cut(rest, ",")
	again, err := http.NewRequest(r.Method, "http://"+r.Host+"/", bytes.NewReader(body))
	if err != nil {
		return false
	}
	again.ContentLength = 0
	for name := range strings.SplitSeq(names, ";") {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return false
	}
	sum := sha256.Sum256(body)
	if v4.NewSigner().SignHTTP(r.Context(), amazonKeys, again, hex.EncodeToString(sum[:]), service, "eu-west-1", when) != nil {
		return false
	}
	return again.Header.Get("Authorization") == r.Header.Get("Authorization")
}

func (a *amazon) config(t *testing.T) aws.Config {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return amazonKeys, nil }),
	}
}

// TestKMS has the App's tokens signed by a key that is not here.
func TestKMS(t *testing.T) {
	w := start(t, fakehub.Config{})
	a := &amazon{pem: w.app.PrivateKey}
	client := kms.NewFromConfig(a.config(t))
	h := w.hub(func(c *hub.Config) { c.Signer = hub.KMSKey(client, keyARN) })
	if app, err := h.App(t.Context()); err != nil || app.ID != w.app.ID {
		t.Errorf("%+v, %v", app, err)
	}
	if _, err := h.PutCheck(t.Context(), w.at, w.check()); err != nil {
		t.Error(err)
	}
	wrong := w.hub(func(c *hub.Config) { c.Signer = hub.KMSKey(client, keyARN[:len(keyARN)-1]+"0") })
	if _, err := wrong.App(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("with a key that is not there: %v", err)
	}
	a.fail = http.StatusInternalServerError
	if _, err := w.hub(func(c *hub.Config) { c.Signer = hub.KMSKey(client, keyARN) }).PutCheck(t.Context(), w.at, w.check()); kind(err) != "temporary" {
		t.Errorf("without KMS: %v, want it temporary", err)
	}
}

// TestSigning has one signature serve for many calls.
func TestSigning(t *testing.T) {
	w := start(t, fakehub.Config{})
	key, err := hub.ParseKey([]byte(w.app.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	counted := &counts{Signer: key}
	h := w.hub(func(c *hub.Config) { c.Signer = counted })
	for range 5 {
		if _, err := h.App(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Repository(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	if counted.n != 1 {
		t.Errorf("%d signatures", counted.n)
	}
}

type counts struct {
	hub.Signer
	n int
}

func (c *counts) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	c.n++
	return c.Signer.Sign(ctx, digest)
}

// TestWrongKey: GitHub does not take the key, and says nothing of it.
func TestWrongKey(t *testing.T) {
	w := start(t, fakehub.Config{})
	other := w.App(fakehub.AppConfig{Name: "other"})
	key, err := hub.ParseKey([]byte(other.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	h := w.hub(func(c *hub.Config) { c.Signer = key })
	if _, err := h.App(t.Context()); kind(err) != "temporary" || !strings.Contains(err.Error(), "is the key that of App") {
		t.Errorf("%v", err)
	}
	if _, err := h.PutCheck(t.Context(), w.at, w.check()); kind(err) != "temporary" {
		t.Errorf("%v", err)
	}
}

func TestSecretKey(t *testing.T) {
	w := start(t, fakehub.Config{})
	a := &amazon{pem: w.app.PrivateKey}
	client := secretsmanager.NewFromConfig(a.config(t))
	key, err := hub.SecretKey(t.Context(), client, "clipper/key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub(func(c *hub.Config) { c.Signer = key }).App(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := hub.SecretKey(t.Context(), client, "another"); err == nil {
		t.Error("a secret that is not there is read")
	}
	a.pem = ""
	if _, err := hub.SecretKey(t.Context(), client, "clipper/key"); err == nil {
		t.Error("an empty secret is a key")
	}
}

func TestParseKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	parsed, err := hub.ParseKey(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(parsed), fmt.Sprintf("%+v", parsed), fmt.Sprintf("%#v", parsed)} {
		if text != "RSA key" {
			t.Errorf("it says %s of itself", text)
		}
	}
	for _, bad := range []string{"", "key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8[:100]})), string(good[:200])} {
		if _, err := hub.ParseKey([]byte(bad)); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

func TestNew(t *testing.T) {
	key := &counts{}
	for _, c := range []hub.Config{
		{}, {App: 1}, {Signer: key}, {App: 1, Signer: key, URL: "github.com"}, {App: 1, Signer: key, URL: "ftp://github.com"},
		{App: 1, Signer: key, URL: "https://user:secret@github.com"}, {App: 1, Signer: key, URL: "https://github.com/?a=b"}, {App: 1, Signer: key, URL: ":"},
	} {
		if _, err := hub.New(c); err == nil {
			t.Errorf("%+v makes a hub", c)
		}
	}
}

// TestEndlessAnswer: an answer is not read for ever.
func TestEndlessAnswer(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"name":"`))
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	w := start(t, fakehub.Config{})
	h := w.hub(func(c *hub.Config) { c.URL = endless.URL })
	if _, err := h.App(t.Context()); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
}

// TestTokenSaysNothing of itself, and ends when it is revoked.
func TestTokenSaysNothing(t *testing.T) {
	w := start(t, fakehub.Config{Stateless: true})
	h := w.hub()
	token, err := h.CheckoutToken(t.Context(), w.at)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%+v", token), fmt.Sprintf("%#v", token), fmt.Sprintf("%v", &token)} {
		if strings.Contains(text, token.Reveal()) {
			t.Errorf("it says %s", text)
		}
	}
	if encoded, err := json.Marshal(token); err != nil || bytes.Contains(encoded, []byte(token.Reveal())) {
		t.Errorf("%s, %v", encoded, err)
	}
	for range 2 { // the second time, it has ended
		if err := h.Revoke(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	gone := w.at
	gone.ID = 1
	if _, err := h.CheckoutToken(t.Context(), gone); !errors.Is(err, hub.ErrGone) {
		t.Errorf("of a repository that is not the installation's: %v", err)
	}
}
