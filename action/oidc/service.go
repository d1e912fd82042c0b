package oidc

import (
	"net/url"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/credentials"
)

// service is what takes the ID token for a registry host.
type service uint8

const (
	noService service = iota
	amazon
	google
	azure
	exchange // CLIPPER_OIDC_URL
)

func (s service) String() string {
	return [...]string{"nobody", "AWS", "Google Cloud", "Microsoft Entra ID", envURL}[s]
}

// For names the service that would be asked for a login at a registry host. It
// is not ok where the identity is of no use there.
func (id Identity) For(host string) (name string, ok bool) {
	s := id.service(credentials.NormalizeHost(host))
	return s.String(), s != noService
}

// service prefers a cloud's own exchange at that cloud's own registries.
func (id Identity) service(host string) service {
	_, isAzure := azureCloudOf(host)
	switch {
	case id.AWSRoleARN != "" && isECR(host):
		return amazon
	case id.GCPProvider != "" && isGoogle(host):
		return google
	case id.AzureClientID != "" && isAzure:
		return azure
	case id.URL != "":
		return exchange
	}
	return noService
}

// audience is what the ID token is asked for: the name under which the service
// that gets it wants to be addressed.
func (id Identity) audience(s service, host string) string {
	switch {
	case id.Audience != "":
		return id.Audience
	case s == amazon && strings.HasSuffix(host, ".cn"):
		return "sts.amazonaws.com.cn"
	case s == amazon:
		return "sts.amazonaws.com"
	case s == google:
		return "https://iam.googleapis.com/" + id.GCPProvider
	case s == azure:
		cloud, _ := azureCloudOf(host)
		return cloud.audience
	}
	u, err := url.Parse(id.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

func isECR(host string) bool {
	_, private := credentials.ECRRegion(host)
	return private || host == "public.ecr.aws"
}

// isGoogle accepts Artifact Registry (REGION-docker.pkg.dev) and what is left
// of Container Registry (gcr.io, REGION.gcr.io).
func isGoogle(host string) bool {
	if host == "gcr.io" {
		return true
	}
	for _, domain := range [...]string{"-docker.pkg.dev", ".gcr.io"} {
		if region, found := strings.CutSuffix(host, domain); found {
			return made(region, "-")
		}
	}
	return false
}

// azureCloud is one of Microsoft's clouds: its registries' domain, its token
// service and the audience that the latter accepts from GitHub.
type azureCloud struct {
	domain, login, audience string
}

var azureClouds = [...]azureCloud{
	{".azurecr.io", "login.microsoftonline.com", "api://AzureADTokenExchange"},
	{".azurecr.us", "login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"},
	{".azurecr.cn", "login.chinacloudapi.cn", "api://AzureADTokenExchangeChina"},
}

func azureCloudOf(host string) (azureCloud, bool) {
	for _, cloud := range azureClouds {
		if name, found := strings.CutSuffix(host, cloud.domain); found {
			return cloud, made(name, "-")
		}
	}
	return azureCloud{}, false
}
