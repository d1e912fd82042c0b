package credentials

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignV4 signs what AWS's published Signature Version 4 test suite signs,
// and the ListUsers example of its documentation.
func TestSignV4(t *testing.T) {
	keys := awsKeys{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, method, url string
		header            http.Header
		body, service     string
		signed, signature string
	}{
		{name: "get-vanilla", method: "GET", url: "https://example.amazonaws.com/",
			signed: "host;x-amz-date", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "post-vanilla", method: "POST", url: "https://example.amazonaws.com",
			signed: "host;x-amz-date", signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{name: "get-vanilla-query-order-key-case", method: "GET", url: "https://example.amazonaws.com/?Param2=value2&Param1=value1",
			signed: "host;x-amz-date", signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{name: "get-header-value-trim", method: "GET", url: "https://example.amazonaws.com/",
			header: http.Header{"My-Header1": {" value1"}, "My-Header2": {`"a   b   c"`}},
			signed: "host;my-header1;my-header2;x-amz-date", signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{name: "post-x-www-form-urlencoded", method: "POST", url: "https://example.amazonaws.com/",
			header: http.Header{"Content-Type": {form}}, body: "Param1=value1",
			signed: "content-type;host;x-amz-date", signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{name: "IAM ListUsers", method: "GET", url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", service: "iam",
			header: http.Header{"Content-Type": {form + "; charset=utf-8"}},
			signed: "content-type;host;x-amz-date", signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, tt.url, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != nil {
				req.Header = tt.header
			}
			if tt.service == "" {
				tt.service = "service"
			}
			signV4(req, []byte(tt.body), keys, "us-east-1", tt.service, at)
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + tt.service +
				"/aws4_request, SignedHeaders=" + tt.signed + ", Signature=" + tt.signature
			if got := req.Header.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestCanonicalPath has the two encodings of a path: the request's own, and
// once more for the signature.
func TestCanonicalPath(t *testing.T) {
	for path, want := range map[string]string{"": "/", "/a b": "/a%2520b", "/a/": "/a/", "/~x-y_z.": "/~x-y_z."} {
		req, err := http.NewRequest("GET", "https://h"+strings.ReplaceAll(path, " ", "%20"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := canonicalPath(req.URL); got != want {
			t.Errorf("canonicalPath(%q) = %q, want %q", path, got, want)
		}
	}
}
