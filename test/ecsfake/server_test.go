package ecsfake_test

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/clipperregistry/runner/test/awssdk"
	"github.com/clipperregistry/runner/test/ecsfake"
)

// post sends an operation with this body as the owner of some keys.
func post(t *testing.T, url, operation, body string, keys aws.Credentials) (int, string) {
	t.Helper()
	service, name, _ := strings.Cut(operation, ":")
	target, version := ecsfake.Head(service)
	if target == "" && body == "{}" {
		body = "Action=" + name + "&Version=" + version
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if target != "" {
		req.Header.Set("X-Amz-Target", target+"."+name)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keys.AccessKeyID+"/20261121/eu-central-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	if keys.SessionToken != "" {
		req.Header.Set("X-Amz-Security-Token", keys.SessionToken)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestEveryOperation sends each an empty input, and AWS's sample of it: all is
// answered, and the sample only to who may.
func TestEveryOperation(t *testing.T) {
	w := start(t)
	cfg, err := w.ConfigAs(w.trusting(t, "nobody", ""))
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := w.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range w.Operations() {
		if status, text := post(t, w.URL, operation, "{}", admin); status >= 500 {
			t.Errorf("%s: %d %s", operation, status, text)
		}
		service, name, _ := strings.Cut(operation, ":")
		all := string(module(t, service).Request(t, name))
		if operation == "iam:SimulatePrincipalPolicy" {
			all = exclusions.ReplaceAllString(all, "") // a union, which the codec does not read
		}
		if _, text := post(t, w.URL, operation, all, nobody); operation != "sts:GetCallerIdentity" && !strings.Contains(text, "is not authorized to perform: "+operation+" on resource: ") {
			t.Errorf("%s without a permission: %s", operation, text)
		}
		if status, text := post(t, w.URL, operation, all, admin); status >= 500 || strings.Contains(text, "validation error") {
			t.Errorf("%s as in AWS's sample: %d %s", operation, status, text)
		}
	}
	if _, text := post(t, w.URL, "ecs:ListClusters", "{}", aws.Credentials{AccessKeyID: "AKIANONE"}); !strings.Contains(text, "UnrecognizedClientException") {
		t.Errorf("an unknown key: %s", text)
	}
	if status, text := post(t, w.URL, "ecs:NoSuchCall", "{}", admin); status != http.StatusNotImplemented {
		t.Errorf("an unknown operation: %d %s", status, text)
	}
}

// TestRequired holds the table of required members against the SDK's comments.
func TestRequired(t *testing.T) {
	w := start(t)
	for _, operation := range w.Operations() {
		service, name, _ := strings.Cut(operation, ":")
		_, input, _ := strings.Cut(string(module(t, service).Read(t, "api_op_"+name+".go")), "type "+name+"Input struct {")
		input, _, _ = strings.Cut(input, "\n}")
		var want []string
		for _, member := range requiredMember.FindAllStringSubmatch(input, -1) {
			want = append(want, member[1])
		}
		if got := ecsfake.Required(operation); !slices.Equal(got, want) {
			t.Errorf("%s requires %v, the table has %v", operation, want, got)
		}
	}
}

var exclusions = regexp.MustCompile(`PolicyExclusionList[^&]*&`)

var requiredMember = regexp.MustCompile(`// This member is required\.\n\t(\w+) `)

// module is the SDK's module for a service, by the service's name in IAM.
func module(t *testing.T, service string) awssdk.Module {
	t.Helper()
	if folder := map[string]string{"logs": "cloudwatchlogs", "elasticloadbalancing": "elasticloadbalancingv2"}[service]; folder != "" {
		service = folder
	}
	return awssdk.Service(t, service)
}
