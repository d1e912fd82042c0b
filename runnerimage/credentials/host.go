package credentials

import (
	"net/netip"
	"strconv"
	"strings"
)

// dockerHub is the one spelling of Docker Hub that hosts are compared in.
const dockerHub = "index.docker.io"

// NormalizeHost brings a registry host to the spelling that hosts are compared
// in: lower case, and one name for Docker Hub's three. A port is part of it.
func NormalizeHost(host string) string {
	host = strings.ToLower(strings.TrimSpace(host))
	switch host {
	case "docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// splitKey splits a name as config.json uses it for a registry into host and
// path: "https://index.docker.io/v1/", "ghcr.io", "quay.io/team/app". The API
// paths /v1 and /v2 name the whole host. It is not ok if there is no host.
func splitKey(key string) (host, path string, ok bool) {
	key = strings.TrimSpace(key)
	if scheme, rest, found := strings.Cut(key, "://"); found {
		if s := strings.ToLower(scheme); s != "https" && s != "http" {
			return "", "", false
		}
		key = rest
	}
	host, path, _ = strings.Cut(key, "/")
	path = strings.Trim(path, "/")
	if path == "v1" || path == "v2" {
		path = ""
	}
	host = NormalizeHost(host)
	return host, path, validHost(host)
}

// validHost accepts a DNS name or an address with an optional port, and so
// refuses user information, wildcards, queries and white space.
func validHost(host string) bool {
	if strings.HasPrefix(host, "[") {
		if _, err := netip.ParseAddrPort(host); err == nil {
			return true
		}
		inner, found := strings.CutSuffix(host[1:], "]")
		_, err := netip.ParseAddr(inner)
		return found && err == nil
	}
	name, port, hasPort := strings.Cut(host, ":")
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	for _, label := range strings.Split(name, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

// validLabel allows the underscore, which names of containers have.
func validLabel(label string) bool {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(label, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// tokenUser is the user name a host wants beside a bare token.
func tokenUser(host string) string {
	_, isECR := parseECRHost(host)
	switch {
	case isECR, host == publicECR:
		return "AWS"
	case host == "gcr.io", strings.HasSuffix(host, ".gcr.io"), strings.HasSuffix(host, "-docker.pkg.dev"):
		return "oauth2accesstoken"
	case strings.HasSuffix(host, ".azurecr.io"), strings.HasSuffix(host, ".azurecr.cn"), strings.HasSuffix(host, ".azurecr.us"):
		return "00000000-0000-0000-0000-000000000000"
	}
	return "clipper"
}

// publicECR is the one registry of the public ECR, whose API stands in one
// region only.
const publicECR = "public.ecr.aws"

// ecrHost is a host of a private ECR registry, ACCOUNT.dkr.ecr.REGION.DOMAIN,
// or the public one.
type ecrHost struct {
	region string
	domain string // "amazonaws.com"
	fips   bool
	public bool
	dual   bool // the dual-stack spelling, ACCOUNT.dkr-ecr.REGION.on.aws
}

// ecrDomains are the domains of AWS's partitions that have an ECR. They are a
// closed list: an AWS identity is sent to nobody else.
var ecrDomains = [...]struct {
	domain string
	dual   bool
}{
	{"amazonaws.com", false}, {"amazonaws.com.cn", false}, {"amazonaws.eu", false},
	{"c2s.ic.gov", false}, {"sc2s.sgov.gov", false}, {"cloud.adc-e.uk", false}, {"csp.hci.ic.gov", false},
	{"on.aws", true}, {"on.amazonwebservices.com.cn", true},
}

// ECRRegion returns the AWS region of a private ECR registry's host. It is not
// ok for any other host, public.ecr.aws included.
func ECRRegion(host string) (region string, ok bool) {
	h, ok := parseECRHost(NormalizeHost(host))
	return h.region, ok
}

func parseECRHost(host string) (ecrHost, bool) {
	account, rest, _ := strings.Cut(host, ".")
	if len(account) != 12 || strings.Trim(account, "0123456789") != "" {
		return ecrHost{}, false
	}
	var h ecrHost
	service, found := strings.CutPrefix(rest, "dkr.ecr")
	if !found {
		h.dual = true
		if service, found = strings.CutPrefix(rest, "dkr-ecr"); !found {
			return ecrHost{}, false
		}
	}
	service, h.fips = strings.CutPrefix(service, "-fips")
	service, found = strings.CutPrefix(service, ".")
	h.region, h.domain, _ = strings.Cut(service, ".")
	if !found || !validLabel(h.region) || strings.Contains(h.region, "_") {
		return ecrHost{}, false
	}
	for _, d := range ecrDomains {
		if d.domain == h.domain && d.dual == h.dual {
			return h, true
		}
	}
	return ecrHost{}, false
}

// apiDomain is where this registry's partition answers API calls: plain
// endpoints share the registry's domain, dual-stack ones have their own.
func (h ecrHost) apiDomain() string {
	switch h.domain {
	case "on.aws":
		return "api.aws"
	case "on.amazonwebservices.com.cn":
		return "api.amazonwebservices.com.cn"
	}
	return h.domain
}

// ecrEndpoint is the URL of the ECR API that issues this registry's tokens.
func (h ecrHost) ecrEndpoint() string {
	service := "api.ecr"
	switch {
	case h.public:
		service = "api.ecr-public"
	case h.fips:
		service = "ecr-fips"
	case h.dual:
		service = "ecr"
	}
	return "https://" + service + "." + h.region + "." + h.apiDomain()
}

// stsEndpoint is the URL of the STS of a region in the registry's partition;
// the registry's own region stands in for none.
func (h ecrHost) stsEndpoint(region string) string {
	if !validLabel(region) {
		region = h.region
	}
	return "https://sts." + region + "." + h.apiDomain()
}
