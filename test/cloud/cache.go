package cloud

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The Actions cache service, version 2: Twirp with JSON, and URLs of a blob
// service (cacheblob.go) for the bytes.
//
// It stands at its real hosts for whoever has the Cloud as a transport. Asked at
// any other, such as the address of a server in a test, it names blobs there.

const (
	resultsHost = "results-receiver.actions.githubusercontent.com"
	cacheCalls  = "/twirp/github.actions.results.api.v1.CacheService/"

	// The limits of GitHub, and that of its clients on keys.
	uploadsPerMinute = 200
	cacheQuota       = 10 << 30
	longestKey       = 512
	mostKeys         = 10

	// urlLasts is how long a signed URL is good for.
	urlLasts = 10 * time.Minute
)

// Permissions of a Scope.
const (
	CacheRead  = 1
	CacheWrite = 2
)

// Scope is what a job's token lets it do with the cache of a branch.
type Scope struct {
	Scope      string
	Permission int
}

// PushScopes are those of a job on the default branch, PullScopes those of a
// pull request: it reads the default branch's cache and writes its own.
var (
	PushScopes = []Scope{{"refs/heads/main", CacheRead | CacheWrite}}
	PullScopes = []Scope{{"refs/pull/7/merge", CacheRead | CacheWrite}, {"refs/heads/main", CacheRead}}
)

// cache is what the service keeps.
type cache struct {
	entries []*cacheEntry // the oldest first
	uploads []time.Time   // the beginnings of those of the last minute
	scopes  map[string][]Scope
	blobs   map[string]*blob // by the name in their URLs
	signed  map[string]signature
}

// cacheEntry is an entry; nobody reads it before it is final.
type cacheEntry struct {
	scope, key, version string
	blob                string
	size                int64
	final               bool
}

// CacheEnv are the variables by which an action's JavaScript finds the cache,
// with the service at an address, or at its real one if that is "".
func (c *Cloud) CacheEnv(address string, scopes ...Scope) map[string]string {
	if address == "" {
		address = "https://" + resultsHost
	}
	return map[string]string{
		"ACTIONS_RESULTS_URL":      strings.TrimRight(address, "/") + "/",
		"ACTIONS_RUNTIME_TOKEN":    c.runtimeToken(scopes),
		"ACTIONS_CACHE_SERVICE_V2": "True",
	}
}

// runtimeToken is a job's token with the claim that says what it may do.
func (c *Cloud) runtimeToken(scopes []Scope) string {
	const lasts = 6 * time.Hour
	access, _ := json.Marshal(scopes)
	payload, _ := json.Marshal(map[string]any{
		"ac": string(access), "exp": c.Now().Add(lasts).Unix(), "nbf": c.Now().Add(-time.Minute).Unix(), "jti": rand.Text(),
	})
	signed := segment([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + segment(payload)
	token := signed + "." + c.signature(signed)
	c.remember(token, lasts, "cache")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.scopes[token] = scopes
	return token
}

// CacheKeys lists the keys of all final entries, the oldest first.
func (c *Cloud) CacheKeys() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []string
	for _, e := range c.cache.entries {
		if e.final {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// CacheContent is the content of an entry, nil if there is none. What is
// changed in it, the service serves changed.
func (c *Cloud) CacheContent(key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.cache.entries {
		if e.final && e.key == key {
			return c.cache.blobs[e.blob].content
		}
	}
	return nil
}

// Evict removes an entry.
func (c *Cloud) Evict(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.entries = slices.DeleteFunc(c.cache.entries, func(e *cacheEntry) bool { return e.key == key })
}

// cacheQuestion has the fields of all three calls.
type cacheQuestion struct {
	Key     string          `json:"key"`
	Keys    []string        `json:"restore_keys"`
	Version string          `json:"version"`
	Size    json.RawMessage `json:"size_bytes"`
}

// cacheFields are the fields of each call; what is not among them is refused,
// as a proto3 parser of JSON does.
var cacheFields = map[string][]string{
	"CreateCacheEntry":         {"key", "version"},
	"FinalizeCacheEntryUpload": {"key", "version", "size_bytes"},
	"GetCacheEntryDownloadURL": {"key", "version", "restore_keys"},
}

var cacheVersion = regexp.MustCompile(`^[0-9a-f]{64}$`)

// cacheCall answers one call.
func (c *Cloud) cacheCall(w http.ResponseWriter, r *http.Request) {
	method := r.PathValue("method")
	fields, known := cacheFields[method]
	if !known || r.Header.Get("Content-Type") != "application/json" {
		twirpError(w, http.StatusNotFound, "bad_route", "no handler for path "+r.URL.Path)
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !c.good(token, "cache") {
		twirpError(w, http.StatusUnauthorized, "unauthenticated", "token "+token+" is not valid")
		return
	}
	q, problem := readQuestion(r, fields)
	if problem != "" {
		twirpError(w, http.StatusBadRequest, "invalid_argument", problem)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	scopes := c.cache.scopes[token]
	switch method {
	case "CreateCacheEntry":
		c.createEntry(w, r, q, scopes)
	case "FinalizeCacheEntryUpload":
		c.finalizeEntry(w, q, scopes)
	default:
		c.findEntry(w, r, q, scopes)
	}
}

// readQuestion reads a call's message, and says what is wrong with it.
func readQuestion(r *http.Request, fields []string) (q cacheQuestion, problem string) {
	var raw map[string]json.RawMessage
	body := http.MaxBytesReader(nil, r.Body, 1<<20)
	if err := json.NewDecoder(body).Decode(&raw); err != nil {
		return q, "the json request could not be decoded"
	}
	for name := range raw {
		if !slices.Contains(fields, name) {
			return q, "unknown field " + name
		}
	}
	whole, _ := json.Marshal(raw)
	if err := json.Unmarshal(whole, &q); err != nil {
		return q, "the json request could not be decoded"
	}
	keys := append([]string{q.Key}, q.Keys...)
	switch {
	case slices.ContainsFunc(keys, func(key string) bool { return key == "" || len(key) > longestKey || strings.Contains(key, ",") }):
		return q, "key is empty, too long or has a comma"
	case len(keys) > mostKeys:
		return q, "too many keys"
	case !cacheVersion.MatchString(q.Version):
		return q, "version is no SHA-256"
	}
	return q, ""
}

func (c *Cloud) createEntry(w http.ResponseWriter, r *http.Request, q cacheQuestion, scopes []Scope) {
	scope, ok := writable(scopes)
	if !ok {
		twirpError(w, http.StatusForbidden, "permission_denied", "cache write denied: token has no writable scopes")
		return
	}
	now := c.Now()
	c.cache.uploads = slices.DeleteFunc(c.cache.uploads, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(c.cache.uploads) >= uploadsPerMinute {
		w.Header().Set("Retry-After", strconv.Itoa(int((time.Minute-now.Sub(c.cache.uploads[0]))/time.Second)+1))
		twirpError(w, http.StatusTooManyRequests, "resource_exhausted", "cache upload rate limit exceeded")
		return
	}
	if c.entry(scope, q) != nil {
		twirpError(w, http.StatusConflict, "already_exists", "cache entry with the same key, version, and scope already exists")
		return
	}
	c.cache.uploads = append(c.cache.uploads, now)
	name := rand.Text()
	c.cache.blobs[name] = &blob{blocks: map[string][]byte{}}
	c.cache.entries = append(c.cache.entries, &cacheEntry{scope: scope, key: q.Key, version: q.Version, blob: name})
	answer(w, http.StatusOK, map[string]any{"ok": true, "signed_upload_url": c.sign(r, name, "cw")})
}

func (c *Cloud) finalizeEntry(w http.ResponseWriter, q cacheQuestion, scopes []Scope) {
	// An int64 is a string in the JSON of protocol buffers; a number is taken.
	size, err := strconv.ParseInt(strings.Trim(string(q.Size), `"`), 10, 64)
	scope, ok := writable(scopes)
	e := c.entry(scope, q)
	switch {
	case !ok:
		twirpError(w, http.StatusForbidden, "permission_denied", "cache write denied: token has no writable scopes")
	case err != nil:
		twirpError(w, http.StatusBadRequest, "invalid_argument", "size_bytes is no number")
	case e == nil || e.final:
		twirpError(w, http.StatusNotFound, "not_found", "no upload is under way for that key and version")
	case !c.cache.blobs[e.blob].committed || int64(len(c.cache.blobs[e.blob].content)) != size:
		twirpError(w, http.StatusBadRequest, "invalid_argument", fmt.Sprintf("the blob has not %d bytes", size))
	default:
		e.final, e.size = true, size
		c.evictBeyondQuota()
		answer(w, http.StatusOK, map[string]any{"ok": true, "entry_id": strconv.Itoa(len(c.cache.entries))})
	}
}

// findEntry answers with the entry that has the key, else with the newest that
// begins with a restore key, in each scope after the other.
func (c *Cloud) findEntry(w http.ResponseWriter, r *http.Request, q cacheQuestion, scopes []Scope) {
	for _, s := range scopes {
		if s.Permission&CacheRead == 0 {
			continue
		}
		if e := c.match(s.Scope, q); e != nil {
			answer(w, http.StatusOK, map[string]any{"ok": true, "signed_download_url": c.sign(r, e.blob, "r"), "matched_key": e.key})
			return
		}
	}
	answer(w, http.StatusOK, map[string]any{"ok": false, "signed_download_url": "", "matched_key": ""})
}

func (c *Cloud) match(scope string, q cacheQuestion) *cacheEntry {
	if e := c.entry(scope, q); e != nil && e.final {
		return e
	}
	for _, prefix := range q.Keys {
		for _, e := range slices.Backward(c.cache.entries) {
			if e.final && e.scope == scope && e.version == q.Version && strings.HasPrefix(e.key, prefix) {
				return e
			}
		}
	}
	return nil
}

// entry is the one that has a key and version exactly, final or not.
func (c *Cloud) entry(scope string, q cacheQuestion) *cacheEntry {
	i := slices.IndexFunc(c.cache.entries, func(e *cacheEntry) bool {
		return e.scope == scope && e.key == q.Key && e.version == q.Version
	})
	if i < 0 {
		return nil
	}
	return c.cache.entries[i]
}

// writable is the scope that a job writes to.
func writable(scopes []Scope) (string, bool) {
	for _, s := range scopes {
		if s.Permission&CacheWrite != 0 {
			return s.Scope, true
		}
	}
	return "", false
}

func (c *Cloud) evictBeyondQuota() {
	var total int64
	for _, e := range c.cache.entries {
		total += e.size
	}
	for total > cacheQuota {
		total -= c.cache.entries[0].size
		c.cache.entries = c.cache.entries[1:]
	}
}

func twirpError(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"code": code, "msg": message})
}
