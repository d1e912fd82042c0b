package oidc

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/test/cloud"
)

func TestParse(t *testing.T) {
	good := map[string]string{
		envAWSRole: cloud.Role, envGCPProvider: cloud.Provider, envGCPServiceAccount: cloud.ServiceAccount,
		envAzureClientID: cloud.Client, envAzureTenantID: cloud.Tenant, envURL: cloud.Exchange, envAudience: "",
	}
	id, err := Parse(func(name string) string { return " " + good[name] + "\n" })
	if err != nil || id != everybody {
		t.Fatalf("got %+v, %v", id, err)
	}
	for name := range good {
		if !slices.Contains(Names(), name) {
			t.Errorf("%s is not among the names", name)
		}
	}
	for _, tt := range []struct {
		name, value string
		says        string // "": it is accepted
	}{
		{envAWSRole, "arn:aws-cn:iam::123456789012:role/a", ""},
		{envAWSRole, "arn:aws-us-gov:iam::123456789012:role/path/to/a_+=,.@-", ""},
		{envAWSRole, "arn:aws:iam::12345678901:role/a", "must be a role's ARN"},
		{envAWSRole, "arn:aws:iam::123456789012:user/a", "must be a role's ARN"},
		{envAWSRole, "arn:aws:iam::123456789012:role/", "must be a role's ARN"},
		{envAWSRole, "arn:aws:iam::123456789012:role/a b", "must be a role's ARN"},
		{envAWSRole, "puller", "must be a role's ARN"},
		{envAWSRole, "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 3000), "must be a role's ARN"},
		{envGCPProvider, "https://iam.googleapis.com/" + cloud.Provider, ""},
		{envGCPProvider, "//iam.googleapis.com/" + cloud.Provider, ""},
		{envGCPProvider, "projects/acme/locations/global/workloadIdentityPools/a/providers/b", "with the project's number"},
		{envGCPProvider, cloud.Provider + "/c", "must be a provider's full name"},
		{envGCPServiceAccount, "someone@example.com", "must be a service account's address"},
		{envGCPServiceAccount, "a/b@c.iam.gserviceaccount.com", "must be a service account's address"},
		{envAzureClientID, "acme", "must be an application's client ID"},
		{envAzureClientID, strings.ToUpper(cloud.Client), ""},
		{envAzureTenantID, "acme.onmicrosoft.com", ""},
		{envAzureTenantID, "../common", "must be a tenant's ID"},
		{envAzureTenantID, "", "CLIPPER_AZURE_CLIENT_ID needs CLIPPER_AZURE_TENANT_ID"},
		{envAzureClientID, "", "CLIPPER_AZURE_TENANT_ID needs CLIPPER_AZURE_CLIENT_ID"},
		{envGCPProvider, "", "CLIPPER_GCP_SERVICE_ACCOUNT needs CLIPPER_GCP_PROVIDER"},
		{envURL, "http://127.0.0.1:8080/token", ""},
		{envURL, "http://login.example/token", "must be an https URL"},
		{envURL, "https://u:p@login.example/token", "must be an https URL"},
		{envURL, "login.example", "must be an https URL"},
		{envURL, "https://login.example/a b", "must be an https URL"},
		{envAudience, "api://x", ""},
		{envAudience, "a b", "has white space"},
	} {
		_, err := Parse(func(name string) string {
			if name == tt.name {
				return tt.value
			}
			return good[name]
		})
		if tt.says == "" && err != nil {
			t.Errorf("%s=%s: %v", tt.name, tt.value, err)
		}
		if tt.says != "" && (!errors.Is(err, credentials.ErrSettings) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s=%s: got %v, want %s", tt.name, tt.value, err, tt.says)
		}
	}
}

func TestService(t *testing.T) {
	clouds := everybody
	clouds.URL = ""
	for _, tt := range []struct {
		host string
		want service
	}{
		{"123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", amazon},
		{"123456789012.dkr-ecr.eu-west-1.on.aws", amazon},
		{"public.ecr.aws", amazon},
		{"PUBLIC.ECR.AWS", amazon},
		{"public.ecr.aws.evil.example", noService},
		{"x.public.ecr.aws", noService},
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com:8443", noService},
		{"us-docker.pkg.dev", google},
		{"europe-west1-docker.pkg.dev", google},
		{"gcr.io", google},
		{"eu.gcr.io", google},
		{"evil.example.gcr.io", noService},
		{"evil.us-docker.pkg.dev", noService},
		{"evilgcr.io", noService},
		{"-docker.pkg.dev", noService},
		{"us-docker.pkg.dev:443", noService},
		{"acme.azurecr.io", azure},
		{"acme-abc123.azurecr.io", azure},
		{"acme.azurecr.us", azure},
		{"acme.azurecr.cn", azure},
		{"azurecr.io", noService},
		{".azurecr.io", noService},
		{"acme.azurecr.io.evil.example", noService},
		{"evil@acme.azurecr.io", noService},
		{"ghcr.io", noService},
		{"docker.io", noService},
		{"", noService},
	} {
		host := credentials.NormalizeHost(tt.host)
		if got := clouds.service(host); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.host, got, tt.want)
		}
		if got := (Identity{}).service(host); got != noService {
			t.Errorf("%s: nobody would ask %s", tt.host, got)
		}
		if got := (Identity{URL: cloud.Exchange}).service(host); got != exchange {
			t.Errorf("%s: with a service of one's own: %s", tt.host, got)
		}
	}
}

func TestAudience(t *testing.T) {
	for _, tt := range []struct{ host, want string }{
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "sts.amazonaws.com"},
		{"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "sts.amazonaws.com.cn"},
		{"us-docker.pkg.dev", "https://iam.googleapis.com/" + cloud.Provider},
		{"acme.azurecr.io", "api://AzureADTokenExchange"},
		{"acme.azurecr.us", "api://AzureADTokenExchangeUSGov"},
		{"acme.azurecr.cn", "api://AzureADTokenExchangeChina"},
		{"registry.example", cloud.ExchangeHost},
	} {
		if got := everybody.audience(everybody.service(tt.host), tt.host); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.host, got, tt.want)
		}
		own := everybody
		own.Audience = "own"
		if got := own.audience(own.service(tt.host), tt.host); got != "own" {
			t.Errorf("%s: %s in place of one's own audience", tt.host, got)
		}
	}
}
