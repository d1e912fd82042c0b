package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/actions"
	"github.com/clipperregistry/runner/test/cloud"
)

// cloudHosts are the names that the cloud answers to, beside the registries'.
var cloudHosts = []string{
	"pipelines.actions.githubusercontent.com", "sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com",
	"sts.googleapis.com", "iamcredentials.googleapis.com", "login.microsoftonline.com", cloud.ExchangeHost,
	cloud.ECR, cloud.Google, cloud.Azure, cloud.Registry,
}

// withCloud lets a job reach a cloud whose registries are private, by the
// cloud's real names, as withHosts does.
func withCloud(t *testing.T, c *cloud.Cloud, req *actions.Request) {
	t.Helper()
	req.IDToken = c.Env()
	withHosts(t, cloudHosts, atGitHub(c), req)
}

// withHosts lets a job's containers reach a handler by these names and TLS:
// vars.HOSTS are options of the container, vars.CA a directory with the
// certificate.
func withHosts(t *testing.T, names []string, handler http.Handler, req *actions.Request) {
	t.Helper()
	certificate, authority := selfSigned(t, names)
	dir := lab.Scratch(t)
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), authority, 0o644); err != nil {
		t.Fatal(err)
	}
	req.Listen = func(address string) map[string]string {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "443"))
		if err != nil {
			t.Error(err)
			return nil
		}
		server := &httptest.Server{
			Listener: listener, Config: &http.Server{Handler: handler},
			TLS: &tls.Config{Certificates: []tls.Certificate{certificate}},
		}
		server.StartTLS()
		t.Cleanup(server.Close)
		var hosts []string
		for _, host := range names {
			hosts = append(hosts, "--add-host "+host+":"+address)
		}
		return map[string]string{"HOSTS": strings.Join(hosts, " "), "CA": dir}
	}
}

// selfSigned makes a certificate for these hosts that is its own authority.
func selfSigned(t *testing.T, hosts []string) (certificate tls.Certificate, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// privateImage is a job that needs credentials of a registry, and has nothing
// but its identity.
const privateImage = `
permissions: {id-token: write}
jobs:
  test:
    container:
      image: ${{ vars.RUNNER }}
      options: ${{ vars.HOSTS }}
      volumes: ["${{ vars.CA }}:/ca:ro"]
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.IMAGE }}
        CLIPPER_CA_CERTS: /ca/ca.pem
    steps:
    - id: init
      env:
        CLIPPER_AWS_ROLE_ARN: ${{ vars.AWS_ROLE }}
        CLIPPER_GCP_PROVIDER: ${{ vars.GCP_PROVIDER }}
        CLIPPER_GCP_SERVICE_ACCOUNT: ${{ vars.GCP_ACCOUNT }}
        CLIPPER_AZURE_CLIENT_ID: ${{ vars.AZURE_CLIENT }}
        CLIPPER_AZURE_TENANT_ID: ${{ vars.AZURE_TENANT }}
        CLIPPER_OIDC_URL: ${{ vars.OIDC_URL }}
      run: /.clipper-runner/github-init
    - run: 'echo "it is $(. /etc/os-release; echo $ID)"; env'
`

// TestOIDC pulls private images with nothing but the job's identity.
func TestOIDC(t *testing.T) {
	image := lab.Push(t, "gha/private", alpine(t))
	for name, test := range map[string]struct {
		host string
		vars map[string]string
	}{
		"aws":      {cloud.ECR, map[string]string{"AWS_ROLE": cloud.Role}},
		"google":   {cloud.Google, map[string]string{"GCP_PROVIDER": cloud.Provider, "GCP_ACCOUNT": cloud.ServiceAccount}},
		"azure":    {cloud.Azure, map[string]string{"AZURE_CLIENT": cloud.Client, "AZURE_TENANT": cloud.Tenant}},
		"exchange": {cloud.Registry, map[string]string{"OIDC_URL": cloud.Exchange}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud.New()
			req := newRequest(t, privateImage, nil)
			withCloud(t, c, &req)
			for name, value := range test.vars {
				req.Vars[name] = value
			}
			req.Vars["IMAGE"] = test.host + strings.TrimPrefix(image, lab.Registry)
			result := runJob(t, newRunner(t), req)
			checkJob(t, result, "success", "it is alpine")
			for _, secret := range c.Secrets() {
				if strings.Contains(result.Log, secret) {
					t.Errorf("the log shows the token %.12s…", secret)
				}
			}
		})
	}
}

// TestNoIdentity: the errors of a job that may not ask for an ID token, or whose
// identity is refused.
func TestNoIdentity(t *testing.T) {
	image := strings.TrimPrefix(lab.Push(t, "gha/private", alpine(t)), lab.Registry)
	for name, test := range map[string]struct{ workflow, role, code, annotation string }{
		"permission": {strings.Replace(privateImage, "id-token: write", "contents: read", 1), cloud.Role, "87", "id-token: write"},
		"role":       {privateImage, strings.Replace(cloud.Role, "puller", "nobody", 1), "81", "Not authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, test.workflow, nil)
			withCloud(t, cloud.New(), &req)
			req.Vars["IMAGE"], req.Vars["AWS_ROLE"] = cloud.ECR+image, test.role
			result := runJob(t, newRunner(t), req)
			checkJob(t, result, "failure", "##[error]Process completed with exit code "+test.code+".")
			checkAnnotation(t, result, test.annotation)
		})
	}
}
