package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The kinds of errors, beside [Limited]. An error that is none of them is
// temporary: GitHub is out of reach, or has trouble, and the same call may
// succeed later.
var (
	// ErrGone is returned for what is not there, or not for this App: it was
	// uninstalled or suspended, the repository, check or comment was deleted.
	ErrGone = errors.New("it is not there, or the App is not let in")
	// ErrRefused is returned for what the App may not do. The error says which
	// permission is missing.
	ErrRefused = errors.New("the App may not do it")
	// ErrInvalid is returned for what GitHub will never do as it was asked, for
	// the reason that the error has.
	ErrInvalid = errors.New("GitHub does not take it")
	// ErrLost is returned where the answer to a request was lost that may have
	// been carried out. Asking again could do it twice: look for it first.
	ErrLost = errors.New("the answer was lost, it may have been done")
)

// Limited is the error of a call that GitHub's limits do not let through.
type Limited struct {
	// Until is when to ask again, by this machine's clock.
	Until time.Time
	// Secondary: it went too fast. Else the hour's budget is used up.
	Secondary bool
}

func (l *Limited) Error() string {
	kind := "the hour's rate limit"
	if l.Secondary {
		kind = "a secondary rate limit"
	}
	return fmt.Sprintf("%s of GitHub's is reached, until %s", kind, l.Until.UTC().Format(time.RFC3339))
}

// refusal is an answer that is not success.
type refusal struct {
	status  int
	message string
	kind    error // one of the above, or nil
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("GitHub answers %d", r.status)
	if r.message != "" {
		text += ": " + r.message
	}
	if r.kind != nil {
		text += ": " + r.kind.Error()
	}
	return text
}

func (r *refusal) Unwrap() error { return r.kind }

// status is that of an answer that is not success; 0 is another error.
func statusOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// maxMessage is how much is read of an answer that is no success.
const maxMessage = 64 << 10

// refused reads an answer that is not success. The permissions are those that
// the call's token has.
func (h *Hub) refused(resp *http.Response, q request) error {
	var body struct {
		Message string            `json:"message"`
		Errors  []json.RawMessage `json:"errors"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage)) // as much as there is
	_ = json.Unmarshal(text, &body)                              // a proxy's is HTML
	for _, one := range body.Errors {
		body.Message += " " + detail(one)
	}
	r := &refusal{status: resp.StatusCode, message: short(body.Message)}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusForbidden && limiting(resp):
		return h.limited(resp)
	case code == http.StatusForbidden && strings.Contains(r.message, "suspended"),
		code == http.StatusNotFound, code == http.StatusGone, code == http.StatusUnavailableForLegalReasons:
		r.kind = ErrGone
	case code == http.StatusForbidden:
		r.kind = fmt.Errorf("%w: it needs the permission %s", ErrRefused, needed(resp, q.scope))
	case code >= 500, code == http.StatusRequestTimeout:
		if !q.harmless() {
			r.kind = ErrLost
		}
	case code == http.StatusUnauthorized:
		r.message += fmt.Sprintf(" (is the key that of App %d? GitHub's clock is %s ahead of this one)", h.app, h.Skew().Round(time.Second))
	default:
		r.kind = ErrInvalid
	}
	return r
}

// detail is one of the errors that GitHub lists, a text or an object.
func detail(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var one struct{ Resource, Field, Code, Message string }
	_ = json.Unmarshal(raw, &one) // it is of another form, and says nothing
	return strings.TrimSpace(strings.Join([]string{one.Resource, one.Field, one.Code, one.Message}, " "))
}

// short is a text of GitHub's for an error: one line.
func short(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f }), " ")
	return strings.ToValidUTF8(s[:min(len(s), 400)], "")
}

// The headers of limits.
const (
	retryAfter = "Retry-After"
	remaining  = "X-Ratelimit-Remaining"
	resetAt    = "X-Ratelimit-Reset"
)

// limiting tells a limit from a refusal
// (https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api#rate-limit-errors);
// the wire gives those of secondary limits a time.
func limiting(resp *http.Response) bool {
	return resp.Header.Get(retryAfter) != "" || resp.Header.Get(remaining) == "0"
}

// leastPause is what GitHub asks for where it names no time.
const leastPause = time.Minute

func (h *Hub) limited(resp *http.Response) error {
	now := h.now()
	if seconds, err := strconv.Atoi(resp.Header.Get(retryAfter)); err == nil && seconds >= 0 {
		return &Limited{Until: now.Add(time.Duration(max(seconds, 1)) * time.Second), Secondary: true}
	}
	if resp.Header.Get(remaining) != "0" {
		return &Limited{Until: now.Add(leastPause), Secondary: true}
	}
	seconds, _ := strconv.ParseInt(resp.Header.Get(resetAt), 10, 64)
	return &Limited{Until: h.reset(time.Unix(seconds, 0))}
}

// reset is when the hour's limit ends, which is within the next hour.
func (h *Hub) reset(at time.Time) time.Time {
	now := h.now()
	if wait := at.Sub(now); wait <= 0 || wait > 2*time.Hour {
		return now.Add(leastPause)
	}
	return at
}

// needed is the permission that an operation needs: as GitHub says, else as
// was asked for.
func needed(resp *http.Response, s scope) string {
	if header := resp.Header.Get("X-Accepted-Github-Permissions"); header != "" {
		return short(header)
	}
	return strings.ReplaceAll(s.permissions, ":", "=")
}
