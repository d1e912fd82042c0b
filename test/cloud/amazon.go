package cloud

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	accessKey  = "ASIAACMECI"
	sessionUse = "aws session"
)

// assumeRole is sts:AssumeRoleWithWebIdentity.
func (c *Cloud) assumeRole(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(r, map[string]string{
		"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
		"RoleArn": "*", "RoleSessionName": "*", "WebIdentityToken": "*",
	})
	switch {
	case !ok:
		stsError(w, http.StatusBadRequest, "ValidationError", "not the form of AssumeRoleWithWebIdentity")
	case form.Get("RoleArn") != Role:
		stsError(w, http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	default:
		if err := c.checkIDToken(form.Get("WebIdentityToken"), "sts.amazonaws.com"); err != nil {
			stsError(w, http.StatusBadRequest, "InvalidIdentityToken", err.Error())
			return
		}
		c.sendKeys(w, form.Get("RoleSessionName"))
	}
}

func (c *Cloud) sendKeys(w http.ResponseWriter, session string) {
	// The secret belongs to the session, so that the session's end is its end.
	token := c.grant("session-", time.Hour, sessionUse)
	c.remember(secretKey(token), time.Hour)
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>%s</SubjectFromWebIdentityToken>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/puller/%s</Arn>
      <AssumedRoleId>AROAACME:%[2]s</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>%s</SessionToken>
      <SecretAccessKey>%s</SecretAccessKey>
      <Expiration>%s</Expiration>
      <AccessKeyId>%s</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>`,
		subject, session, token, secretKey(token), c.Now().Add(time.Hour).UTC().Format(time.RFC3339), accessKey)
}

func secretKey(session string) string {
	sum := sha256.Sum256([]byte("secret of " + session))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func stsError(w http.ResponseWriter, status int, code, message string) {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(message))
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, text.String())
}

// ecr is the ECR API of one region.
func (c *Cloud) ecr(w http.ResponseWriter, r *http.Request) {
	if c.signed(w, r, "AmazonEC2ContainerRegistry_V20150921", "eu-west-1", "ecr") {
		answer(w, http.StatusOK, map[string]any{"authorizationData": []any{c.authorization(ECR)}})
	}
}

// publicECR is the API of the public registry, whose answer is no list.
func (c *Cloud) publicECR(w http.ResponseWriter, r *http.Request) {
	if c.signed(w, r, "SpencerFrontendService", "us-east-1", "ecr-public") {
		answer(w, http.StatusOK, map[string]any{"authorizationData": c.authorization(PublicECR)})
	}
}

func (c *Cloud) authorization(host string) map[string]any {
	const lasts = 12 * time.Hour
	password := c.grant("ecr-", lasts, "registry "+host+" AWS")
	return map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
		"expiresAt":          float64(c.Now().Add(lasts).UnixMilli()) / 1000,
	}
}

// signed answers whatever is not a rightly signed GetAuthorizationToken.
func (c *Cloud) signed(w http.ResponseWriter, r *http.Request, target, region, service string) bool {
	body, err := io.ReadAll(r.Body)
	refuse := func(code, message string) bool {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		answer(w, http.StatusBadRequest, map[string]string{"__type": code, "message": message})
		return false
	}
	session := r.Header.Get("X-Amz-Security-Token")
	switch {
	case err != nil || string(body) != "{}" || r.Header.Get("X-Amz-Target") != target+".GetAuthorizationToken" ||
		r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
		return refuse("UnknownOperationException", "not GetAuthorizationToken")
	case !c.good(session, sessionUse):
		return refuse("ExpiredTokenException", "The security token "+session+" included in the request is expired")
	}
	if want, err := resign(r, body, session, region, service); err != nil || r.Header.Get("Authorization") != want {
		return refuse("InvalidSignatureException", "The request signature we calculated does not match")
	}
	return true
}

// resign has the SDK sign what arrived, and of that the headers that the
// sender says it signed.
func resign(r *http.Request, body []byte, session, region, service string) (string, error) {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ := strings.Cut(rest, ",")
	signed := strings.Split(names, ";")

	again, err := http.NewRequest(r.Method, "https://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, values := range r.Header {
		if slices.Contains(signed, strings.ToLower(name)) {
			again.Header[name] = values
		}
	}
	if !slices.Contains(signed, "content-length") {
		again.ContentLength = 0
	}
	when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey(session), SessionToken: session}
	err = v4.NewSigner().SignHTTP(r.Context(), keys, again, hex.EncodeToString(sum[:]), service, region, when)
	return again.Header.Get("Authorization"), err
}
