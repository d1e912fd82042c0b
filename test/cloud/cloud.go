// Package cloud is a strict stand-in for the services with which a GitHub job
// trades its identity for a registry's credentials: GitHub's token endpoint,
// AWS (STS, ECR, the public ECR), Google (STS, service accounts), Microsoft
// (Entra ID, an Azure registry) and one service of RFC 8693; and for GitHub's
// cache service with its blobs.
//
// In come their real requests, by host name; out go their real answers, to what
// is right in every word, or their real errors. It promises that a token is
// taken only by the service it was meant for and only until it expires, and that
// a signature is checked by the AWS SDK's own signer.
package cloud

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// What stands in the cloud.
const (
	Repository = "acme/app"

	Role           = "arn:aws:iam::123456789012:role/ci/puller"
	ECR            = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	PublicECR      = "public.ecr.aws"
	Provider       = "projects/123456789/locations/global/workloadIdentityPools/github/providers/acme"
	ServiceAccount = "puller@acme.iam.gserviceaccount.com"
	Google         = "europe-docker.pkg.dev"
	Client         = "01234567-89ab-cdef-0123-456789abcdef"
	Tenant         = "fedcba98-7654-3210-fedc-ba9876543210"
	Azure          = "acme.azurecr.io"
	Exchange       = "https://login.registry.example/token?team=acme"
	ExchangeHost   = "login.registry.example"
	Registry       = "registry.example" // what Exchange answers for

	tokenHost = "pipelines.actions.githubusercontent.com"
)

// Cloud answers as all of them. It is safe for concurrent use.
type Cloud struct {
	// Now is the clock that tokens expire by. Default: time.Now.
	Now func() time.Time

	key string // signs ID tokens
	mux *http.ServeMux

	mu     sync.Mutex
	tokens map[string]grant
	faults map[string][]Fault
	calls  []string
	cache  cache
}

// grant is what a token that was handed out is good for.
type grant struct {
	uses    []string
	expires time.Time
}

// Fault is one answer that a service gives in place of its own.
type Fault struct {
	Status     int // 0: the connection breaks
	RetryAfter string
	Location   string
	Body       string
}

// New makes a cloud.
func New() *Cloud {
	c := &Cloud{Now: time.Now, key: rand.Text(), tokens: map[string]grant{}, faults: map[string][]Fault{},
		cache: cache{scopes: map[string][]Scope{}, blobs: map[string]*blob{}, signed: map[string]signature{}}}
	c.mux = http.NewServeMux()
	c.mux.HandleFunc("GET "+tokenHost+"/{path...}", c.idToken)
	c.mux.HandleFunc("POST sts.eu-west-1.amazonaws.com/{$}", c.assumeRole)
	c.mux.HandleFunc("POST sts.us-east-1.amazonaws.com/{$}", c.assumeRole)
	c.mux.HandleFunc("POST api.ecr.eu-west-1.amazonaws.com/{$}", c.ecr)
	c.mux.HandleFunc("POST api.ecr-public.us-east-1.amazonaws.com/{$}", c.publicECR)
	c.mux.HandleFunc("POST sts.googleapis.com/v1/token", c.googleSTS)
	c.mux.HandleFunc("POST iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{call}", c.impersonate)
	c.mux.HandleFunc("POST login.microsoftonline.com/"+Tenant+"/oauth2/v2.0/token", c.entra)
	c.mux.HandleFunc("POST "+Azure+"/oauth2/exchange", c.azureExchange)
	c.mux.HandleFunc("POST "+ExchangeHost+"/token", c.exchange)
	c.mux.HandleFunc("POST "+cacheCalls+"{method}", c.cacheCall)
	c.mux.HandleFunc(container+"{blob}", c.blobCall)
	return c
}

// Env are the variables of a job that may ask for ID tokens.
func (c *Cloud) Env() map[string]string {
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   "https://" + tokenHost + "/a/b/idtoken?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": c.grant("request-", time.Hour, "id tokens"),
		"GITHUB_RUN_ID":                  "1234567890",
	}
}

// Fail makes the next answers of a host fail, one by one.
func (c *Cloud) Fail(host string, faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[host] = append(c.faults[host], faults...)
}

// Accepts reports whether a registry would let a login in now.
func (c *Cloud) Accepts(host, user, password string) bool {
	return c.good(password, "registry "+host+" "+user)
}

// Secrets lists every token that was handed out, in no order.
func (c *Cloud) Secrets() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for token := range c.tokens {
		all = append(all, token)
	}
	return all
}

// Calls lists the hosts that were asked, in order.
func (c *Cloud) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// RoundTrip makes the cloud the transport of an http.Client.
func (c *Cloud) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if req.URL.Scheme != "https" {
		return nil, errors.New("the cloud is asked by https only, not at " + req.URL.String())
	}
	fault, failing := c.call(req.URL.Host)
	if failing && fault.Status == 0 {
		return nil, errors.New("connection reset by peer")
	}
	arrived := req.Clone(req.Context())
	arrived.Host, arrived.RequestURI = req.URL.Host, req.URL.RequestURI()
	if arrived.Body == nil {
		arrived.Body = http.NoBody
	}
	if arrived.URL.Path == "" {
		arrived.URL.Path = "/" // as on the wire
	}
	arrived.Header = http.Header{}
	for name, values := range req.Header { // Azure's library writes them small
		arrived.Header[http.CanonicalHeaderKey(name)] = values
	}
	w := httptest.NewRecorder()
	if failing {
		fault.answer(w)
	} else {
		c.ServeHTTP(w, arrived)
	}
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

// ServeHTTP answers as the service that the request's Host names.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

func (c *Cloud) call(host string) (fault Fault, failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, host)
	if len(c.faults[host]) == 0 {
		return fault, false
	}
	fault = c.faults[host][0]
	c.faults[host] = c.faults[host][1:]
	return fault, true
}

func (f Fault) answer(w http.ResponseWriter) {
	for name, value := range map[string]string{"Retry-After": f.RetryAfter, "Location": f.Location} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body))
}

// grant hands out a new token.
func (c *Cloud) grant(prefix string, lasts time.Duration, uses ...string) string {
	token := prefix + rand.Text()
	c.remember(token, lasts, uses...)
	return token
}

func (c *Cloud) remember(token string, lasts time.Duration, uses ...string) {
	expires := c.Now().Add(lasts)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[token] = grant{uses, expires}
}

func (c *Cloud) good(token, use string) bool {
	now := c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := c.tokens[token]
	return ok && slices.Contains(g.uses, use) && now.Before(g.expires)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
