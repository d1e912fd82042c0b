package accept

import (
	"encoding/hex"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The headers of a delivery
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers).
const (
	headerGUID      = "X-GitHub-Delivery"
	headerEvent     = "X-GitHub-Event"
	headerHook      = "X-GitHub-Hook-ID"
	headerSignature = "X-Hub-Signature-256"
)

// headers are what is read of a request before its body.
type headers struct {
	guid, event string
	hook        int64
	signature   []byte
	gzip        bool
	length      int64 // of the body as it is sent, -1 if unknown
}

// readHeaders refuses what cannot be a delivery of GitHub's.
func readHeaders(r *http.Request) (headers, error) {
	h := headers{guid: r.Header.Get(headerGUID), event: r.Header.Get(headerEvent), length: r.ContentLength}
	for _, name := range []string{headerGUID, headerEvent, headerSignature, headerHook, "Content-Type", "Content-Encoding"} {
		if n := len(r.Header.Values(name)); n > 1 {
			return h, refuse(http.StatusBadRequest, "%d values of %s", n, name)
		}
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return h, refuse(http.StatusUnsupportedMediaType, "its type is %s: set the App's webhook to application/json", short(r.Header.Get("Content-Type")))
	}
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		h.gzip = true
	default:
		return h, refuse(http.StatusUnsupportedMediaType, "its encoding is %s", short(encoding))
	}
	if !isName(h.guid, "-") || !isName(h.event, "_") {
		return h, refuse(http.StatusBadRequest, "its GUID is %s and its event %s", short(h.guid), short(h.event))
	}
	if hook, err := strconv.ParseInt(r.Header.Get(headerHook), 10, 64); err == nil {
		h.hook = hook
	}
	digits, ok := strings.CutPrefix(r.Header.Get(headerSignature), "sha256=")
	signature, err := hex.DecodeString(digits)
	if !ok || err != nil || len(signature) != 32 {
		return h, &refusal{status: http.StatusUnauthorized, why: errUnsigned, suspect: true}
	}
	h.signature = signature
	if h.length > MaxBody {
		return h, refuse(http.StatusRequestEntityTooLarge, "its body has %d bytes", h.length)
	}
	return h, nil
}

// isName says whether s has 1 to 64 letters, digits and characters of also.
func isName(s, also string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(also, c) >= 0:
		default:
			return false
		}
	}
	return 0 < len(s) && len(s) <= 64
}
