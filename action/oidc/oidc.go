// Package oidc trades the identity of a GitHub job for a registry's
// credentials, so that a job pulls a private image without a stored secret.
//
// In come an Identity (who the job is at the clouds: CLIPPER_AWS_ROLE_ARN and
// so on) and the job's two variables ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN.
// Out goes one authn.AuthConfig for one registry host:
//
//	ID token ─▶ AWS STS ─▶ role's keys ─▶ ECR              user AWS
//	         ─▶ Google STS ─▶ [service account]            user oauth2accesstoken
//	         ─▶ Microsoft Entra ID ─▶ the Azure registry   user 00000000-…
//	         ─▶ CLIPPER_OIDC_URL                           whatever it answers
//
// It promises:
//   - A token is asked for only when a host is that could take what it buys, and
//     goes to that cloud's own hosts; they stand in this package, no answer and
//     no redirect names another.
//   - Every secret is masked before anything else is done with it, and no error
//     contains one.
//   - It never waits for ever: every call has a time-out and at most three
//     attempts.
package oidc

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/credentials"
)

// Identity is who the job is at the clouds. The zero value is nobody.
type Identity struct {
	// AWSRoleARN is a role that trusts token.actions.githubusercontent.com.
	AWSRoleARN string
	// GCPProvider is a workload identity provider:
	// projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER.
	GCPProvider string
	// GCPServiceAccount, if set, is the service account to impersonate.
	// Default: the registry is asked as the federated identity itself.
	GCPServiceAccount string
	// AzureClientID and AzureTenantID are an application, or a managed
	// identity, with a federated credential for the repository.
	AzureClientID, AzureTenantID string
	// URL is a service that takes the ID token and answers with credentials,
	// for registries of nobody above.
	URL string
	// Audience replaces the one that each service asks for by default.
	Audience string
}

// The variables of an Identity.
const (
	envAWSRole           = "CLIPPER_AWS_ROLE_ARN"
	envGCPProvider       = "CLIPPER_GCP_PROVIDER"
	envGCPServiceAccount = "CLIPPER_GCP_SERVICE_ACCOUNT"
	envAzureClientID     = "CLIPPER_AZURE_CLIENT_ID"
	envAzureTenantID     = "CLIPPER_AZURE_TENANT_ID"
	envURL               = "CLIPPER_OIDC_URL"
	envAudience          = "CLIPPER_OIDC_AUDIENCE"
)

// Names are the variables that Parse reads, the runner's own.
func Names() []string {
	return []string{envAWSRole, envGCPProvider, envGCPServiceAccount, envAzureClientID, envAzureTenantID, envURL, envAudience}
}

// Parse reads an Identity from its variables and checks it. Its errors wrap
// credentials.ErrSettings.
func Parse(env func(string) string) (Identity, error) {
	get := func(name string) string { return strings.TrimSpace(env(name)) }
	id := Identity{
		AWSRoleARN:        get(envAWSRole),
		GCPProvider:       providerName(get(envGCPProvider)),
		GCPServiceAccount: get(envGCPServiceAccount),
		AzureClientID:     get(envAzureClientID),
		AzureTenantID:     get(envAzureTenantID),
		URL:               get(envURL),
		Audience:          get(envAudience),
	}
	for _, rule := range []struct {
		broken bool
		name   string
		want   string
	}{
		{id.AWSRoleARN != "" && !isRoleARN(id.AWSRoleARN), envAWSRole, "must be a role's ARN, as in arn:aws:iam::123456789012:role/NAME"},
		{id.GCPProvider != "" && !isProvider(id.GCPProvider), envGCPProvider, "must be a provider's full name, as in projects/123456789/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, with the project's number"},
		{id.GCPServiceAccount != "" && !isServiceAccount(id.GCPServiceAccount), envGCPServiceAccount, "must be a service account's address, as in NAME@PROJECT.iam.gserviceaccount.com"},
		{id.GCPServiceAccount != "" && id.GCPProvider == "", envGCPServiceAccount, "needs " + envGCPProvider + " beside it"},
		{id.AzureClientID != "" && !isGUID(id.AzureClientID), envAzureClientID, "must be an application's client ID, as in 01234567-89ab-cdef-0123-456789abcdef"},
		{id.AzureTenantID != "" && !made(id.AzureTenantID, ".-"), envAzureTenantID, "must be a tenant's ID, as in 01234567-89ab-cdef-0123-456789abcdef"},
		{id.AzureClientID != "" && id.AzureTenantID == "", envAzureClientID, "needs " + envAzureTenantID + " beside it"},
		{id.AzureTenantID != "" && id.AzureClientID == "", envAzureTenantID, "needs " + envAzureClientID + " beside it"},
		{id.URL != "" && !isService(id.URL), envURL, "must be an https URL without user information"},
		{strings.ContainsFunc(id.Audience, notPrintable), envAudience, "has white space or control characters in it"},
	} {
		if rule.broken {
			return Identity{}, fmt.Errorf("%w: %s %s", credentials.ErrSettings, rule.name, rule.want)
		}
	}
	return id, nil
}

// isRoleARN accepts arn:PARTITION:iam::ACCOUNT:role/PATH/NAME.
func isRoleARN(s string) bool {
	parts := strings.SplitN(s, ":", 6)
	if len(s) > 2048 || len(parts) != 6 {
		return false
	}
	role, found := strings.CutPrefix(parts[5], "role/")
	return parts[0] == "arn" && made(parts[1], "-") && parts[2] == "iam" && parts[3] == "" &&
		len(parts[4]) == 12 && isNumber(parts[4]) && found && made(role, "_+=,.@-/")
}

// providerName takes off the two ways in which Google's own tools begin the
// name of a provider when they use it as an audience.
func providerName(s string) string {
	s = strings.TrimPrefix(s, "https:")
	return strings.TrimPrefix(s, "//iam.googleapis.com/")
}

func isProvider(s string) bool {
	p := strings.Split(s, "/")
	return len(p) == 8 && p[0] == "projects" && isNumber(p[1]) && p[2] == "locations" && p[3] == "global" &&
		p[4] == "workloadIdentityPools" && made(p[5], "-") && p[6] == "providers" && made(p[7], "-")
}

func isServiceAccount(s string) bool {
	name, domain, _ := strings.Cut(s, "@")
	return made(name, ".-") && made(domain, ".-") && strings.HasSuffix(domain, ".gserviceaccount.com")
}

func isGUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 5 {
		return false
	}
	for i, length := range [5]int{8, 4, 4, 4, 12} {
		if len(parts[i]) != length || strings.Trim(strings.ToLower(parts[i]), "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}

// isService accepts where an ID token may be sent: over https, or to this
// machine.
func isService(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsFunc(s, notPrintable) {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// made reports whether s is made of ASCII letters, digits and the characters
// of others, and of at least one of them.
func made(s, others string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	})
}

func notPrintable(r rune) bool { return r <= ' ' || r == 0x7f }
