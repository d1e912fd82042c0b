package oidc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/test/cloud"
)

const githubHost = "pipelines.actions.githubusercontent.com"

// everybody is at home in every cloud.
var everybody = Identity{
	AWSRoleARN: cloud.Role, GCPProvider: cloud.Provider, GCPServiceAccount: cloud.ServiceAccount,
	AzureClientID: cloud.Client, AzureTenantID: cloud.Tenant, URL: cloud.Exchange,
}

// job is a Client in a job of the cloud, and what it masked.
type job struct {
	Client
	cloud *cloud.Cloud
	env   map[string]string

	mu     sync.Mutex
	masked []string
}

func newJob(id Identity) *job {
	j := &job{cloud: cloud.New()}
	j.env = j.cloud.Env()
	j.Client = Client{
		Identity: id, Env: func(name string) string { return j.env[name] },
		HTTP: &http.Client{Transport: j.cloud},
		Mask: func(secret string) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.masked = append(j.masked, secret)
		},
	}
	return j
}

// check sees to the promises that every login keeps, successful or not.
func (j *job) check(t *testing.T, err error) {
	t.Helper()
	for _, secret := range j.cloud.Secrets() {
		if strings.HasPrefix(secret, "request-") && j.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] != secret {
			continue // taken away from the job
		}
		if !slices.Contains(j.masked, secret) {
			t.Errorf("%.12s… was not masked", secret)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("a secret stands in the error: %v", err)
		}
	}
}

func TestLogin(t *testing.T) {
	federated := everybody
	federated.GCPServiceAccount = ""
	for _, tt := range []struct {
		name     string
		identity Identity
		host     string
		service  string
		user     string
		asked    []string
	}{
		{"ECR", everybody, cloud.ECR, "AWS", "AWS",
			[]string{githubHost, "sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"}},
		{"public ECR", everybody, cloud.PublicECR, "AWS", "AWS",
			[]string{githubHost, "sts.us-east-1.amazonaws.com", "api.ecr-public.us-east-1.amazonaws.com"}},
		{"Google", federated, cloud.Google, "Google Cloud", "oauth2accesstoken",
			[]string{githubHost, "sts.googleapis.com"}},
		{"Google service account", everybody, cloud.Google, "Google Cloud", "oauth2accesstoken",
			[]string{githubHost, "sts.googleapis.com", "iamcredentials.googleapis.com"}},
		{"Azure", everybody, cloud.Azure, "Microsoft Entra ID", "00000000-0000-0000-0000-000000000000",
			[]string{githubHost, "login.microsoftonline.com", cloud.Azure}},
		{"a service of one's own", everybody, cloud.Registry, "CLIPPER_OIDC_URL", "clipper",
			[]string{githubHost, cloud.ExchangeHost}},
		{"upper case", everybody, strings.ToUpper(cloud.Azure), "Microsoft Entra ID", "00000000-0000-0000-0000-000000000000",
			[]string{githubHost, "login.microsoftonline.com", cloud.Azure}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJob(tt.identity)
			login, err := j.Login(t.Context(), tt.host)
			if err != nil {
				t.Fatal(err)
			}
			j.check(t, nil)
			if login.Username != tt.user || !j.cloud.Accepts(strings.ToLower(tt.host), login.Username, login.Password) {
				t.Errorf("the registry does not accept the login of %q", login.Username)
			}
			if asked := j.cloud.Calls(); !slices.Equal(asked, tt.asked) {
				t.Errorf("asked %q, want %q", asked, tt.asked)
			}
			if service, ok := tt.identity.For(tt.host); service != tt.service || !ok {
				t.Errorf("For: %s, %v", service, ok)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		host   string
		change func(*job)
		want   error
		says   string
	}{
		{"no permission", cloud.ECR, func(j *job) { clear(j.env) }, credentials.ErrSettings, `"permissions: id-token: write"`},
		{"half a permission", cloud.ECR, func(j *job) { delete(j.env, "ACTIONS_ID_TOKEN_REQUEST_TOKEN") }, credentials.ErrSettings, "ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set"},
		{"request token over http", cloud.ECR, func(j *job) { j.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "http://evil.example/x" }, credentials.ErrSettings, "not an https URL"},
		{"wrong request token", cloud.ECR, func(j *job) { j.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "s3cr3t-wrong" }, credentials.ErrRefused, "ask GitHub for an ID token: status 401"},
		{"another role", cloud.ECR, func(j *job) { j.Identity.AWSRoleARN = cloud.Role + "2" }, credentials.ErrRefused, "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity (the role's trust policy must accept"},
		{"another audience", cloud.ECR, func(j *job) { j.Identity.Audience = "other" }, credentials.ErrRefused, "InvalidIdentityToken: incorrect token audience other (the role's trust policy must accept the provider token.actions.githubusercontent.com, the audience other"},
		{"ECR: the role may not", cloud.ECR, func(j *job) {
			j.cloud.Fail("api.ecr.eu-west-1.amazonaws.com", cloud.Fault{Status: 400, Body: `{"__type":"AccessDeniedException","message":"no"}`})
		}, credentials.ErrRefused, "ecr:GetAuthorizationToken in eu-west-1: status 400 AccessDeniedException: no (allow ecr:GetAuthorizationToken, ecr:BatchGetImage"},
		{"public ECR: the role may not", cloud.PublicECR, func(j *job) {
			j.cloud.Fail("api.ecr-public.us-east-1.amazonaws.com", cloud.Fault{Status: 400, Body: `{"__type":"AccessDeniedException","message":"no"}`})
		}, credentials.ErrRefused, "(allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken"},
		{"Google: another audience", cloud.Google, func(j *job) { j.Identity.Audience = "other" }, credentials.ErrRefused, "sts.googleapis.com: status 400 invalid_grant: incorrect token audience other (the provider must accept"},
		{"Google: another account", cloud.Google, func(j *job) { j.Identity.GCPServiceAccount = "a@b.iam.gserviceaccount.com" }, credentials.ErrRefused, "status 403 PERMISSION_DENIED: Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist). (grant roles/iam.workloadIdentityUser on a@b."},
		{"Azure: another application", cloud.Azure, func(j *job) { j.Identity.AzureClientID = strings.Repeat("0", 8) + cloud.Client[8:] }, credentials.ErrRefused, "unauthorized_client: AADSTS700016"},
		{"Azure: not for this registry", cloud.Azure, func(j *job) {
			j.cloud.Fail(cloud.Azure, cloud.Fault{Status: 401, Body: `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`})
		}, credentials.ErrRefused, "status 401 UNAUTHORIZED: no (give the application the role AcrPull"},
		{"exchange: another audience", cloud.Registry, func(j *job) { j.Identity.Audience = "other" }, credentials.ErrRefused, "login.registry.example: status 400 invalid_grant"},
		{"nobody", "ghcr.io", func(j *job) { j.Identity.URL = "" }, credentials.ErrSettings, "no identity is set that ghcr.io accepts"},
		{"a redirect", cloud.Azure, func(j *job) {
			j.cloud.Fail("login.microsoftonline.com", cloud.Fault{Status: 307, Location: "https://evil.example/"})
		}, credentials.ErrRefused, "status 307"},
		{"GitHub redirects", cloud.Azure, func(j *job) {
			j.cloud.Fail(githubHost, cloud.Fault{Status: 302, Location: "https://evil.example/"})
		}, credentials.ErrRefused, "status 302"},
		{"no token in the answer", cloud.Google, func(j *job) { j.cloud.Fail("sts.googleapis.com", cloud.Fault{Status: 200, Body: `{}`}) }, credentials.ErrRefused, "UNAUTHENTICATED"},
		{"no login in the answer", cloud.Registry, func(j *job) { j.cloud.Fail(cloud.ExchangeHost, cloud.Fault{Status: 200, Body: `{}`}) }, ErrUnreachable, "it holds no login"},
		{"no JSON", cloud.Registry, func(j *job) { j.cloud.Fail(cloud.ExchangeHost, cloud.Fault{Status: 200, Body: "<html>s3cr3t"}) }, ErrUnreachable, "no usable answer from login.registry.example"},
		{"an expired token", cloud.ECR, expire, credentials.ErrRefused, "InvalidIdentityToken: token *** must not be expired"},
		{"an expired token at Google", cloud.Google, expire, credentials.ErrRefused, "invalid_grant: token *** must not be expired"},
		{"an expired token at Microsoft", cloud.Azure, expire, credentials.ErrRefused, "invalid_client: AADSTS700212: token *** must not be expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJob(everybody)
			tt.change(j)
			login, err := j.Login(t.Context(), tt.host)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v\nwant %v with %s", err, tt.want, tt.says)
			}
			if login.Username+login.Password != "" {
				t.Error("a login came with the error")
			}
			j.check(t, err)
			if strings.Contains(err.Error(), "s3cr3t") || slices.Contains(j.cloud.Calls(), "evil.example") {
				t.Errorf("%v; asked %q", err, j.cloud.Calls())
			}
		})
	}
}

// expire lets the job's ID tokens expire on their way.
func expire(j *job) {
	now := time.Now()
	j.cloud.Now = func() time.Time {
		if len(j.cloud.Calls()) > 1 {
			return now.Add(6 * time.Minute)
		}
		return now
	}
}

func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		name   string
		host   string
		busy   string
		faults []cloud.Fault
		waits  time.Duration
		want   error
	}{
		{"GitHub is in trouble", cloud.Google, githubHost, []cloud.Fault{{Status: 500}, {Status: 503}}, 1500 * time.Millisecond, nil},
		{"STS throttles", cloud.Google, "sts.googleapis.com", []cloud.Fault{{Status: 429, RetryAfter: "7"}}, 7 * time.Second, nil},
		{"STS asks for an hour", cloud.Google, "sts.googleapis.com", []cloud.Fault{{Status: 429, RetryAfter: "3600"}}, 10 * time.Second, nil},
		{"a broken connection", cloud.Azure, cloud.Azure, []cloud.Fault{{}}, 500 * time.Millisecond, nil},
		{"AWS is in trouble", cloud.ECR, "sts.eu-west-1.amazonaws.com", []cloud.Fault{{Status: 500}}, 300 * time.Millisecond, nil},
		{"ECR throttles", cloud.ECR, "api.ecr.eu-west-1.amazonaws.com", []cloud.Fault{{Status: 400, Body: `{"__type":"ThrottlingException"}`}}, 300 * time.Millisecond, nil},
		{"for good", cloud.Registry, cloud.ExchangeHost, []cloud.Fault{{Status: 502}, {}, {Status: 502}}, 1500 * time.Millisecond, ErrUnreachable},
		{"AWS for good", cloud.ECR, "sts.eu-west-1.amazonaws.com", []cloud.Fault{{}, {}, {}}, 900 * time.Millisecond, ErrUnreachable},
		{"refused", cloud.Registry, cloud.ExchangeHost, []cloud.Fault{{Status: 401}}, 0, credentials.ErrRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJob(everybody)
				j.cloud.Fail(tt.busy, tt.faults...)
				start := time.Now()
				login, err := j.Login(t.Context(), tt.host)
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				j.check(t, err)
				if err == nil && !j.cloud.Accepts(tt.host, login.Username, login.Password) {
					t.Error("the registry does not accept the login")
				}
				if waited := time.Since(start); waited != tt.waits {
					t.Errorf("waited %s, want %s", waited, tt.waits)
				}
				tries := 0
				for _, host := range j.cloud.Calls() {
					if host == tt.busy {
						tries++
					}
				}
				if most := min(len(tt.faults)+1, 3); tries > most {
					t.Errorf("asked %s %d times, want at most %d", tt.busy, tries, most)
				}
			})
		})
	}
}

// silence never answers.
type silence struct{}

func (silence) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJob(everybody)
		j.HTTP = &http.Client{Transport: silence{}}
		start := time.Now()
		if _, err := j.Login(t.Context(), cloud.ECR); !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(start); waited > time.Minute {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJob(everybody)
		j.HTTP = &http.Client{Transport: silence{}}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, nil)
		defer cancel()
		if _, err := j.Login(ctx, cloud.ECR); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// stranger answers whatever is asked with the same words, except GitHub.
type stranger struct {
	cloud  *cloud.Cloud
	status int
	body   string
}

func (s stranger) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == githubHost {
		return s.cloud.RoundTrip(req)
	}
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s.body)), Request: req}, nil
}

func FuzzAnswers(f *testing.F) {
	f.Add(200, `{"access_token":"a","accessToken":"b","refresh_token":"c","username":"u:"}`)
	f.Add(400, `{"error":"invalid_grant","error_description":"TOKEN"}`)
	f.Add(403, `{"error":{"status":"PERMISSION_DENIED","message":"TOKEN"}}`)
	f.Add(401, `{"errors":[{"code":"UNAUTHORIZED","message":"TOKEN\u0000"}]}`)
	f.Add(400, `<ErrorResponse><Error><Code>x</Code><Message>TOKEN</Message></Error></ErrorResponse>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status == 429 || status == 408 || status >= 500 || strings.Contains(body, "Throttl") {
			return // asked again, after a wait
		}
		for _, host := range []string{cloud.ECR, cloud.PublicECR, cloud.Google, cloud.Azure, cloud.Registry} {
			j := newJob(everybody)
			j.HTTP = &http.Client{Transport: quoter{j.cloud, status, body}}
			login, err := j.Login(t.Context(), host)
			j.check(t, err)
			if err == nil && (login.Password == "" || strings.ContainsAny(login.Username+login.Password, "\r\n") || strings.Contains(login.Username, ":")) {
				t.Errorf("not a login: %q", login)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("more than a line: %q", err)
			}
		}
	})
}

// quoter is a stranger who says the ID token that he was sent, wherever his
// words have TOKEN.
type quoter stranger

func (q quoter) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.URL.Host != githubHost {
		defer req.Body.Close()
		for _, secret := range q.cloud.Secrets() {
			if strings.Count(secret, ".") == 2 {
				q.body = strings.ReplaceAll(q.body, "TOKEN", secret)
			}
		}
	}
	return stranger(q).RoundTrip(req)
}
