package cloud_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/clipperregistry/runner/test/cloud"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/google/externalaccount"
)

// The services' own libraries must find the cloud to be the real one: they
// send what the real ones are sent, and read its answers.

func TestAWSLibraries(t *testing.T) {
	c := cloud.New()
	client := &http.Client{Transport: c}
	assumed, err := sts.New(sts.Options{Region: "eu-west-1", HTTPClient: client}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(cloud.Role), RoleSessionName: aws.String("test"), WebIdentityToken: aws.String(c.IDToken("sts.amazonaws.com")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(assumed.AssumedRoleUser.Arn); !strings.HasSuffix(got, ":assumed-role/puller/test") {
		t.Errorf("assumed %s", got)
	}
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		k := assumed.Credentials
		return aws.Credentials{AccessKeyID: *k.AccessKeyId, SecretAccessKey: *k.SecretAccessKey, SessionToken: *k.SessionToken}, nil
	})

	private, err := ecr.New(ecr.Options{Region: "eu-west-1", HTTPClient: client, Credentials: keys}).GetAuthorizationToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLogin(t, c, cloud.ECR, private.AuthorizationData[0].AuthorizationToken)
	if left := private.AuthorizationData[0].ExpiresAt.Sub(c.Now()).Hours(); left < 11 || left > 12 {
		t.Errorf("the login lasts %v hours", left)
	}

	public, err := ecrpublic.New(ecrpublic.Options{Region: "us-east-1", HTTPClient: client, Credentials: keys}).GetAuthorizationToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLogin(t, c, cloud.PublicECR, public.AuthorizationData.AuthorizationToken)

	_, err = ecr.New(ecr.Options{Region: "eu-west-1", HTTPClient: client, Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		k, err := keys(ctx)
		k.SecretAccessKey += "x"
		return k, err
	})}).GetAuthorizationToken(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("a wrong signature: %v", err)
	}
}

func wantLogin(t *testing.T, c *cloud.Cloud, host string, token *string) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(aws.ToString(token))
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(b), ":")
	if !c.Accepts(host, user, password) {
		t.Errorf("%s does not accept the login of %s", host, user)
	}
}

// supplier gives the ID token to Google's library.
type supplier struct{ token string }

func (s supplier) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return s.token, nil
}

func TestGoogleLibrary(t *testing.T) {
	for _, tt := range []struct{ name, impersonate string }{
		{"the federated identity", ""},
		{"a service account", "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + cloud.ServiceAccount + ":generateAccessToken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cloud.New()
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: c})
			source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
				Audience:                       "//iam.googleapis.com/" + cloud.Provider,
				SubjectTokenType:               "urn:ietf:params:oauth:token-type:jwt",
				SubjectTokenSupplier:           supplier{c.IDToken("https://iam.googleapis.com/" + cloud.Provider)},
				Scopes:                         []string{"https://www.googleapis.com/auth/cloud-platform"},
				ServiceAccountImpersonationURL: tt.impersonate,
			})
			if err != nil {
				t.Fatal(err)
			}
			token, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			if !c.Accepts(cloud.Google, "oauth2accesstoken", token.AccessToken) {
				t.Error("the registry does not accept the token")
			}
		})
	}
}

func TestAzureLibrary(t *testing.T) {
	c := cloud.New()
	client := &http.Client{Transport: c}
	signIn := clientcredentials.Config{
		ClientID: cloud.Client, TokenURL: "https://login.microsoftonline.com/" + cloud.Tenant + "/oauth2/v2.0/token",
		Scopes: []string{"https://containerregistry.azure.net/.default"}, AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: map[string][]string{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {c.IDToken("api://AzureADTokenExchange")},
		},
	}
	access, err := signIn.Token(context.WithValue(t.Context(), oauth2.HTTPClient, client))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := azcontainerregistry.NewAuthenticationClient("https://"+cloud.Azure, &azcontainerregistry.AuthenticationClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(token string) (string, error) {
		tenant := cloud.Tenant
		answer, err := registry.ExchangeAADAccessTokenForACRRefreshToken(t.Context(), azcontainerregistry.PostContentSchemaGrantTypeAccessToken, cloud.Azure,
			&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &token, Tenant: &tenant})
		return aws.ToString(answer.RefreshToken), err
	}
	refresh, err := exchange(access.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Accepts(cloud.Azure, "00000000-0000-0000-0000-000000000000", refresh) {
		t.Error("the registry does not accept the refresh token")
	}
	if _, err := exchange("other"); err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
		t.Errorf("another token: %v", err)
	}
}
