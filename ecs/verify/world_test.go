package verify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/test/ecsfake"
)

const password = "pa55word-of-the-registry"

// secrets are what may not be printed, in the forms that they are sent in.
var secrets = []string{password, "another-password", "to-the-database", base64.StdEncoding.EncodeToString([]byte("robot:" + password))}

// images are registries: an open one with the runner image, a private one with
// those of the tasks.
type images struct {
	open, private string
}

func newImages(t *testing.T) images {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := httptest.NewServer(handler)
	t.Cleanup(open.Close)
	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != "robot" || given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(private.Close)
	i := images{strings.TrimPrefix(open.URL, "http://"), strings.TrimPrefix(private.URL, "http://")}
	for repository, size := range map[string]int64{"runner": 3e6, "shop": 100e6, "big": 2e9, "huge": 15e9} {
		i.push(t, repository, size)
	}
	return i
}

// push pushes an image whose manifest says that its layer has that size.
func (i images) push(t *testing.T, repository string, size int64) {
	t.Helper()
	config, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{OS: "linux", Architecture: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(config, static.NewLayer([]byte(repository), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(i.open + "/" + repository + ":1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	manifest.Layers[0].Size = size
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Put(ref, sized(text)); err != nil {
		t.Fatal(err)
	}
}

// sized is a manifest.
type sized []byte

func (s sized) RawManifest() ([]byte, error) { return s, nil }

func (s sized) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// account is an AWS for tests.
type account interface{ Config() aws.Config }

// world is an account with a parameter, a secret and roles, and registries.
type world struct {
	account
	images
	t      *testing.T
	iam    *iam.Client
	secret string // the ARN of one
}

// fakeWorld is one whose account is an ecsfake.
type fakeWorld struct {
	*world
	*ecsfake.Fake
}

const nothing = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}`

func newFakeWorld(t *testing.T, shared images) fakeWorld {
	t.Helper()
	fake, err := ecsfake.Start(t.Context(), ecsfake.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fake.Close(); err != nil {
			t.Error(err)
		}
	})
	return fakeWorld{newWorld(t, fake, shared), fake}
}

// newWorld furnishes an empty account.
func newWorld(t *testing.T, empty account, shared images) *world {
	t.Helper()
	w := &world{account: empty, images: shared, t: t, iam: iam.NewFromConfig(empty.Config())}
	w.putParameter("/shop/registry", "robot:"+password, "")
	both, err := json.Marshal(map[string]string{"username": "robot", "password": password, "both": "robot:" + password, "empty": ""})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := secretsmanager.NewFromConfig(w.Config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("registry"), SecretString: aws.String(string(both))})
	if err != nil {
		t.Fatal(err)
	}
	w.secret = *secret.ARN
	w.role("execution", "/", `{"Service": "ecs-tasks.amazonaws.com"}`)
	w.policy("execution", "read", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["ssm:GetParameters", "secretsmanager:GetSecretValue"],
		"Resource": ["arn:aws:ssm:eu-central-1:123456789012:parameter/shop/*", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:registry-*"]}}`)
	w.policy("execution", "logs", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "arn:aws:logs:*:*:log-group:/ecs/shop:*"}}`)
	w.role("deployer", "/ci/", `{"Service": ["lambda.amazonaws.com", "ecs-tasks.amazonaws.com"], "AWS": "*"}`)
	w.policy("deployer", "verify", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*", "Action": ["ssm:DescribeParameters", "ssm:GetParameters",
		"secretsmanager:DescribeSecret", "iam:GetRole", "iam:SimulatePrincipalPolicy"]}}`)
	w.role("nobody", "/", `{"Service": "lambda.amazonaws.com", "AWS": "*"}`)
	return w
}

func roleARN(name string) string { return "arn:aws:iam::123456789012:role/" + name }

func trustOf(principal string) string {
	return `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": ` + principal + `, "Action": "sts:AssumeRole"}]}`
}

func (w *world) role(name, path, principal string) {
	w.t.Helper()
	if _, err := w.iam.CreateRole(w.t.Context(), &iam.CreateRoleInput{RoleName: &name, Path: &path, AssumeRolePolicyDocument: aws.String(trustOf(principal))}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) trust(name, principal string) {
	w.t.Helper()
	if _, err := w.iam.UpdateAssumeRolePolicy(w.t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(trustOf(principal))}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) policy(role, name, document string) {
	w.t.Helper()
	if _, err := w.iam.PutRolePolicy(w.t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}); err != nil {
		w.t.Fatal(err)
	}
}

// putParameter puts a secure string, encrypted with a key of the customer's if
// one is named.
func (w *world) putParameter(name, value, key string) {
	w.t.Helper()
	in := &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString, Overwrite: aws.Bool(true)}
	if key != "" {
		in.KeyId = &key
	}
	if _, err := ssm.NewFromConfig(w.Config()).PutParameter(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deleteParameter(name string) {
	w.t.Helper()
	if _, err := ssm.NewFromConfig(w.Config()).DeleteParameter(w.t.Context(), &ssm.DeleteParameterInput{Name: &name}); err != nil {
		w.t.Fatal(err)
	}
}

// deleteSecret deletes the secret, which is kept for a while.
func (w *world) deleteSecret() {
	w.t.Helper()
	if _, err := secretsmanager.NewFromConfig(w.Config()).DeleteSecret(w.t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &w.secret}); err != nil {
		w.t.Fatal(err)
	}
}

// as is the account as a session of a role sees it.
func (w *world) as(role string) *verify.AWS {
	w.t.Helper()
	got, err := w.iam.GetRole(w.t.Context(), &iam.GetRoleInput{RoleName: &role})
	if err != nil {
		w.t.Fatal(err)
	}
	session, err := sts.NewFromConfig(w.Config()).AssumeRole(w.t.Context(), &sts.AssumeRoleInput{RoleArn: got.Role.Arn, RoleSessionName: aws.String("test")})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg, keys := w.Config(), session.Credentials
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: *keys.AccessKeyId, SecretAccessKey: *keys.SecretAccessKey, SessionToken: *keys.SessionToken}, nil
	})
	return verify.FromConfig(cfg)
}

// resolve asks a registry as the runner does; the caller has no login of his
// own.
func (i images) resolve(ctx context.Context, q verify.Question) (ecs.Image, error) {
	credentials := q.Credentials
	if credentials == "" {
		credentials = "-"
	}
	s, err := runnerimage.ParseSettings([]string{"CLIPPER_MAGIC_IMAGE=" + q.Reference.String(), "CLIPPER_PLATFORM=" + q.Platform.String(),
		"CLIPPER_CREDENTIALS=" + credentials, "CLIPPER_CREDENTIALS_REGISTRY=" + q.Registry}, nil)
	if err != nil {
		return ecs.Image{}, err
	}
	image, err := runnerimage.Resolve(ctx, runnerimage.Config{Settings: s, Files: os.DirFS("/")})
	if err != nil {
		return ecs.Image{}, err
	}
	found := ecs.Image{Digest: image.Named(), Config: image.Config}
	for _, layer := range image.Manifest.Layers {
		found.Size += layer.Size
	}
	return found, nil
}
