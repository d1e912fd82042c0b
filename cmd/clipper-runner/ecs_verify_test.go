package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/test/ecsfake"
)

// TestAWSScripts runs testdata/aws/*.txtar, each in an account of its own that
// has the credentials of $PRIVATE in the parameters /shop/registry and /other,
// and a role that may read the former.
func TestAWSScripts(t *testing.T) {
	open, private := registries(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/aws",
		Setup: func(env *testscript.Env) error {
			fake, err := ecsfake.Start(t.Context(), ecsfake.Config{Dir: env.WorkDir})
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := fake.Close(); err != nil {
					t.Error(err)
				}
			})
			keys, err := fake.Config().Credentials.Retrieve(t.Context())
			if err != nil {
				return err
			}
			env.Setenv("REG", open)
			env.Setenv("PRIVATE", private)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("PATH", shared+":"+env.Getenv("PATH"))
			env.Setenv("CLIPPER_LOG", "quiet")
			env.Setenv("AWS_ENDPOINT_URL", fake.URL)
			env.Setenv("AWS_REGION", fake.Config().Region)
			env.Setenv("AWS_ACCESS_KEY_ID", keys.AccessKeyID)
			env.Setenv("AWS_SECRET_ACCESS_KEY", keys.SecretAccessKey)
			env.Setenv("AWS_MAX_ATTEMPTS", "1")
			return furnish(t, fake)
		},
	})
}

func furnish(t *testing.T, fake *ecsfake.Fake) error {
	parameters, roles := ssm.NewFromConfig(fake.Config()), iam.NewFromConfig(fake.Config())
	for _, name := range []string{"/shop/registry", "/other"} {
		in := &ssm.PutParameterInput{Name: &name, Value: aws.String("robot:s3cret"), Type: types.ParameterTypeSecureString}
		if _, err := parameters.PutParameter(t.Context(), in); err != nil {
			return err
		}
	}
	_, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("execution"), AssumeRolePolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}}`)})
	if err != nil {
		return err
	}
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("execution"), PolicyName: aws.String("read"), PolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/shop/*"}}`)})
	return err
}

// TestHome: credentials that a person gave for no host in particular go to the
// registry that the containers pull from, and not to that of a sidecar.
func TestHome(t *testing.T) {
	var sent []string
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, ok := r.BasicAuth()
		if ok {
			sent = append(sent, password)
		} else if r.URL.Path == "/v2/" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	pushImages(t, host)
	ref, err := oci.ParseReference(host + "/box")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("CLIPPER_CREDENTIALS", "robot:s3cret")
	for home, want := range map[string]int{"ghcr.io": 0, "": 0, host: 1} {
		sent = nil
		if _, err := new(ecsVerify).askAs(home)(t.Context(), verify.Question{Reference: ref, Platform: oci.Platform{OS: "linux", Architecture: "amd64"}}); err != nil && want > 0 {
			t.Errorf("home %q: %v", home, err)
		}
		if len(sent) < want || want == 0 && len(sent) > 0 {
			t.Errorf("home %q: sent %v", home, sent)
		}
	}
}
