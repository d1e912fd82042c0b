package cloud_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/clipperregistry/runner/test/cloud"
)

const version = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// job calls the service as a job does.
type job struct {
	client     *http.Client
	url, token string
}

func newJob(c *cloud.Cloud, client *http.Client, address string, scopes ...cloud.Scope) job {
	env := c.CacheEnv(address, scopes...)
	return job{client, env["ACTIONS_RESULTS_URL"], env["ACTIONS_RUNTIME_TOKEN"]}
}

func (j job) call(t *testing.T, method string, question map[string]any) (status int, answer map[string]any) {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", j.url+"twirp/github.actions.results.api.v1.CacheService/"+method, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+j.token)
	resp, err := j.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func (j job) blob(t *testing.T, signed any) *blockblob.Client {
	t.Helper()
	url, _ := signed.(string)
	client, err := blockblob.NewClientWithNoCredential(url, &blockblob.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: j.client, Retry: policy.RetryOptions{MaxRetries: -1}, InsecureAllowCredentialWithHTTP: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// save makes an entry, and returns what the service says to its end.
func (j job) save(t *testing.T, key string, content []byte) (status int, answer map[string]any) {
	t.Helper()
	status, answer = j.call(t, "CreateCacheEntry", map[string]any{"key": key, "version": version})
	if status != http.StatusOK {
		return status, answer
	}
	// Blocks of one MiB.
	if _, err := j.blob(t, answer["signed_upload_url"]).UploadStream(t.Context(), bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	return j.call(t, "FinalizeCacheEntryUpload", map[string]any{"key": key, "version": version, "size_bytes": len(content)})
}

func (j job) find(t *testing.T, key string, prefixes ...string) map[string]any {
	t.Helper()
	status, answer := j.call(t, "GetCacheEntryDownloadURL", map[string]any{"key": key, "version": version, "restore_keys": prefixes})
	if status != http.StatusOK {
		t.Fatalf("status %d: %v", status, answer)
	}
	return answer
}

// TestAzureBlobLibrary saves and restores by Azure's library, which is what all
// clients of the cache use, at the real hosts and at a server's address.
func TestAzureBlobLibrary(t *testing.T) {
	c := cloud.New()
	server := httptest.NewServer(c)
	defer server.Close()
	content := bytes.Repeat([]byte("0123456789"), 300_000) // several blocks
	for name, j := range map[string]job{
		"hosts":  newJob(c, &http.Client{Transport: c}, "", cloud.PushScopes...),
		"server": newJob(c, server.Client(), server.URL, cloud.PushScopes...),
	} {
		if status, answer := j.save(t, name, content); status != http.StatusOK || answer["ok"] != true || answer["entry_id"] == "" {
			t.Fatalf("%s: %d %v", name, status, answer)
		}
		answer := j.find(t, "none", name[:2])
		if answer["matched_key"] != name {
			t.Fatalf("%s: %v", name, answer)
		}
		resp, err := j.blob(t, answer["signed_download_url"]).DownloadStream(t.Context(), &azblob.DownloadStreamOptions{Range: azblob.HTTPRange{Offset: 15, Count: 10}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != "5678901234" || *resp.ContentRange != "bytes 15-24/3000000" {
			t.Errorf("%s: %q %s %v", name, got, *resp.ContentRange, err)
		}
	}
}

func TestCacheScopes(t *testing.T) {
	c := cloud.New()
	client := &http.Client{Transport: c}
	push, pull := newJob(c, client, "", cloud.PushScopes...), newJob(c, client, "", cloud.PullScopes...)
	fork := newJob(c, client, "", cloud.Scope{Scope: "refs/heads/main", Permission: cloud.CacheRead})
	push.save(t, "a-1", []byte("main"))
	pull.save(t, "a-2", []byte("pull"))
	for _, tt := range []struct {
		name string
		job  job
		want any
	}{{"push", push, "a-1"}, {"pull request", pull, "a-2"}, {"fork", fork, "a-1"}} {
		if got := tt.job.find(t, "a-", "a-")["matched_key"]; got != tt.want {
			t.Errorf("%s finds %v, want %v", tt.name, got, tt.want)
		}
	}
	if status, answer := fork.save(t, "a-3", nil); status != http.StatusForbidden {
		t.Errorf("a fork writes: %d %v", status, answer)
	}
	if status, answer := push.save(t, "a-1", []byte("other")); status != http.StatusConflict || answer["code"] != "already_exists" {
		t.Errorf("an entry is written twice: %d %v", status, answer)
	}
	if status, _ := pull.save(t, "a-1", []byte("same key, other scope")); status != http.StatusOK {
		t.Errorf("another scope: %d", status)
	}
}

func TestCacheRefuses(t *testing.T) {
	now := time.Now()
	c := cloud.New()
	c.Now = func() time.Time { return now }
	client := &http.Client{Transport: c}
	j := newJob(c, client, "", cloud.PushScopes...)
	for _, tt := range []struct {
		name, method string
		question     map[string]any
		want         int
	}{
		{"camel case", "GetCacheEntryDownloadURL", map[string]any{"key": "a", "version": version, "restoreKeys": []string{}}, 400},
		{"a comma", "CreateCacheEntry", map[string]any{"key": "a,b", "version": version}, 400},
		{"a long key", "CreateCacheEntry", map[string]any{"key": strings.Repeat("a", 513), "version": version}, 400},
		{"many keys", "GetCacheEntryDownloadURL", map[string]any{"key": "a", "version": version, "restore_keys": strings.Split("abcdefghij", "")}, 400},
		{"a version", "CreateCacheEntry", map[string]any{"key": "a", "version": "1"}, 400},
		{"an end without a beginning", "FinalizeCacheEntryUpload", map[string]any{"key": "a", "version": version, "size_bytes": "1"}, 404},
		{"another call", "DeleteCacheEntry", map[string]any{"key": "a"}, 404},
	} {
		if status, answer := j.call(t, tt.method, tt.question); status != tt.want {
			t.Errorf("%s: %d %v", tt.name, status, answer)
		}
	}
	for n := range 200 {
		if status, answer := j.call(t, "CreateCacheEntry", map[string]any{"key": strings.Repeat("k", n+1), "version": version}); status != http.StatusOK {
			t.Fatalf("upload %d: %v", n, answer)
		}
	}
	if status, _ := j.call(t, "CreateCacheEntry", map[string]any{"key": "201", "version": version}); status != http.StatusTooManyRequests {
		t.Errorf("the 201st upload of a minute: %d", status)
	}
	now = now.Add(time.Minute)
	if status, _ := j.save(t, "201", []byte("x")); status != http.StatusOK {
		t.Errorf("a minute later: %d", status)
	}

	signed := j.find(t, "201")["signed_download_url"]
	now = now.Add(time.Hour)
	if _, err := j.blob(t, signed).DownloadStream(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "AuthenticationFailed") {
		t.Errorf("an expired URL: %v", err)
	}
	now = now.Add(6 * time.Hour)
	if status, _ := j.call(t, "CreateCacheEntry", map[string]any{"key": "b", "version": version}); status != http.StatusUnauthorized {
		t.Errorf("an expired token: %d", status)
	}
}
