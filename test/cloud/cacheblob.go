package cloud

import (
	"crypto/md5" // what Azure's protocol has
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Azure's blob service, as far as a signed URL of the cache reaches: Put Blob,
// Put Block, Put Block List, Get Blob and Get Blob Properties.

const (
	blobHost  = "productionresultssa0.blob.core.windows.net"
	container = "/actions-cache/"

	mostBlocks = 50000
	// largestBody bounds what a test may send at once; Azure takes 4000 MiB.
	largestBody = 256 << 20
)

type blob struct {
	blocks    map[string][]byte // not committed yet
	content   []byte
	committed bool
}

// signature is what a signed URL is good for.
type signature struct {
	blob, permissions string
	expires           time.Time
}

// sign makes a URL. The caller holds c.mu.
func (c *Cloud) sign(r *http.Request, blob, permissions string) string {
	sig := base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	expires := c.Now().Add(urlLasts)
	c.cache.signed[sig] = signature{blob, permissions, expires}
	u := url.URL{Scheme: "https", Host: blobHost, Path: container + blob}
	if r.Host != resultsHost {
		u.Host = r.Host
		if r.TLS == nil {
			u.Scheme = "http"
		}
	}
	u.RawQuery = url.Values{"se": {expires.UTC().Format(time.RFC3339)}, "sp": {permissions}, "sr": {"b"}, "sv": {"2025-05-05"}, "sig": {sig}}.Encode()
	return u.String()
}

// ExpireURLs makes every signed URL that was handed out worthless.
func (c *Cloud) ExpireURLs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cache.signed)
}

// blobCall answers what is asked of a blob.
func (c *Cloud) blobCall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-ms-request-id", rand.Text())
	w.Header().Set("x-ms-version", r.Header.Get("x-ms-version"))
	q := r.URL.Query()
	body, err := io.ReadAll(io.LimitReader(r.Body, largestBody+1))
	if err != nil || len(body) > largestBody {
		blobError(w, http.StatusRequestEntityTooLarge, "RequestBodyTooLarge")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	signed, ok := c.cache.signed[q.Get("sig")]
	want := "r"
	if r.Method == http.MethodPut {
		want = "w"
	}
	b := c.cache.blobs[signed.blob]
	switch {
	case r.Header.Get("Authorization") != "":
		blobError(w, http.StatusBadRequest, "InvalidAuthenticationInfo") // a token of GitHub's has no business here
	case !ok || signed.blob != r.PathValue("blob") || !c.Now().Before(signed.expires) || q.Get("sp") != signed.permissions:
		blobError(w, http.StatusForbidden, "AuthenticationFailed")
	case !strings.Contains(signed.permissions, want):
		blobError(w, http.StatusForbidden, "AuthorizationPermissionMismatch")
	case r.Header.Get("x-ms-version") == "":
		blobError(w, http.StatusBadRequest, "MissingRequiredHeader")
	case r.Method != http.MethodPut:
		getBlob(w, r, b)
	case !md5Right(r, body):
		blobError(w, http.StatusBadRequest, "Md5Mismatch")
	case q.Get("comp") == "block":
		putBlock(w, q.Get("blockid"), body, b)
	case q.Get("comp") == "blocklist":
		putBlockList(w, body, b)
	case q.Get("comp") == "" && r.Header.Get("x-ms-blob-type") == "BlockBlob":
		b.content, b.committed = body, true
		w.WriteHeader(http.StatusCreated)
	default:
		blobError(w, http.StatusBadRequest, "UnsupportedHeader")
	}
}

func md5Right(r *http.Request, body []byte) bool {
	want := r.Header.Get("Content-MD5")
	sum := md5.Sum(body)
	return want == "" || want == base64.StdEncoding.EncodeToString(sum[:])
}

// putBlock keeps a block. Ids are base64 of at most 64 bytes, all of a length.
func putBlock(w http.ResponseWriter, id string, body []byte, b *blob) {
	raw, err := base64.StdEncoding.DecodeString(id)
	fits := err == nil && len(raw) > 0 && len(raw) <= 64 && len(b.blocks) < 2*mostBlocks
	for other := range b.blocks {
		fits = fits && len(other) == len(id)
	}
	if !fits || len(body) == 0 {
		blobError(w, http.StatusBadRequest, "InvalidQueryParameterValue")
		return
	}
	b.blocks[id] = body
	w.WriteHeader(http.StatusCreated)
}

// putBlockList makes the blob of blocks.
func putBlockList(w http.ResponseWriter, body []byte, b *blob) {
	var list struct {
		Latest      []string
		Uncommitted []string
	}
	if err := xml.Unmarshal(body, &list); err != nil {
		blobError(w, http.StatusBadRequest, "InvalidXmlDocument")
		return
	}
	ids := append(list.Latest, list.Uncommitted...)
	if len(ids) > mostBlocks {
		blobError(w, http.StatusBadRequest, "BlockListTooLong")
		return
	}
	var content []byte
	for _, id := range ids {
		block, ok := b.blocks[id]
		if !ok {
			blobError(w, http.StatusBadRequest, "InvalidBlockList")
			return
		}
		content = append(content, block...)
	}
	b.content, b.committed, b.blocks = content, true, map[string][]byte{}
	w.WriteHeader(http.StatusCreated)
}

// byteRange is the one form that Azure takes: it knows no "bytes=-5".
var byteRange = regexp.MustCompile(`^bytes=(\d{1,18})-(\d{1,18})?$`)

func getBlob(w http.ResponseWriter, r *http.Request, b *blob) {
	if !b.committed {
		blobError(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	size := int64(len(b.content))
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, size))
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("x-ms-blob-type", "BlockBlob")
	asked := r.Header.Get("x-ms-range")
	if asked == "" {
		asked = r.Header.Get("Range")
	}
	first, last, status := int64(0), size-1, http.StatusOK
	if m := byteRange.FindStringSubmatch(asked); m != nil {
		first, _ = strconv.ParseInt(m[1], 10, 64)
		if m[2] != "" {
			last, _ = strconv.ParseInt(m[2], 10, 64)
			last = min(last, size-1)
		}
		if first >= size || first > last {
			blobError(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(last+1-first, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(b.content[first : last+1])
	}
}

func blobError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>RequestId:1</Message></Error>`, code)
}
