package credentials

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// awsKeys sign requests to AWS. token is empty for long-lived keys.
type awsKeys struct {
	id, secret, token string
}

const amzDate = "20060102T150405Z"

// signV4 signs req, whose body is body, with AWS Signature Version 4. Every
// header set so far is signed, so set all of them before. The path is signed
// by the general rule (encoded once more), which S3 alone does not follow.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func signV4(req *http.Request, body []byte, keys awsKeys, region, service string, now time.Time) {
	date := now.UTC().Format(amzDate)
	req.Header.Set("X-Amz-Date", date)
	if keys.token != "" {
		req.Header.Set("X-Amz-Security-Token", keys.token)
	}
	canonical, signedHeaders := canonicalRequest(req, body)

	day := date[:len("20060102")]
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hexSHA256([]byte(canonical))}, "\n")

	key := []byte("AWS4" + keys.secret)
	for _, part := range []string{day, region, service, "aws4_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keys.id+"/"+scope+
		", SignedHeaders="+signedHeaders+", Signature="+hex.EncodeToString(key))
}

// canonicalRequest is the text that is signed, and the list of headers in it.
func canonicalRequest(req *http.Request, body []byte) (text, signedHeaders string) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	headers := map[string]string{"host": host}
	names := []string{"host"}
	for name, values := range req.Header {
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.Join(strings.Fields(v), " ")
		}
		name = strings.ToLower(name)
		headers[name] = strings.Join(trimmed, ",")
		names = append(names, name)
	}
	slices.Sort(names)
	signedHeaders = strings.Join(names, ";")

	var b strings.Builder
	b.WriteString(req.Method + "\n" + canonicalPath(req.URL) + "\n" + canonicalQuery(req.URL) + "\n")
	for _, name := range names {
		b.WriteString(name + ":" + headers[name] + "\n")
	}
	b.WriteString("\n" + signedHeaders + "\n" + hexSHA256(body))
	return b.String(), signedHeaders
}

func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = awsEscape(s)
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(u *url.URL) string {
	var pairs []string
	for name, values := range u.Query() {
		for _, v := range values {
			pairs = append(pairs, awsEscape(name)+"="+awsEscape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// awsEscape is RFC 3986's escaping of all but unreserved characters;
// QueryEscape differs from it in the space only.
func awsEscape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
