package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The version of the API that all is asked for in
// (https://docs.github.com/rest/about-the-rest-api/api-versions).
const (
	apiVersion = "2022-11-28"
	userAgent  = "clipper-runner"
)

// maxAnswer bounds an answer: the largest has a delivery's payload, of up to
// 25 MB.
const maxAnswer = 40 << 20

var errTooLarge = errors.New("GitHub's answer is too large")

// wire is what all requests go through, those for tokens too. It reads the time
// off the answers, bounds them, and says of limits what the library, which keeps
// from asking while one lasts, would read wrongly.
type wire struct {
	next http.RoundTripper
	now  func() time.Time
	skew atomic.Int64 // nanoseconds
}

// RoundTrip makes a request.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-GitHub-Api-Version", apiVersion)
	req.Header.Set("User-Agent", userAgent)
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		w.skew.Store(int64(date.Sub(w.now())))
	}
	resp.Body = &bounded{body: resp.Body, left: maxAnswer}
	w.limit(resp)
	return resp, nil
}

// limit has an answer tell of limits by this machine's clock, and of a secondary
// one for how long: without a time, the library takes it to last for the rest of
// the hour's budget
// (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit).
func (w *wire) limit(resp *http.Response) {
	if seconds, err := strconv.ParseInt(resp.Header.Get(resetAt), 10, 64); err == nil {
		resp.Header.Set(resetAt, strconv.FormatInt(time.Unix(seconds, 0).Add(-w.lead()).Unix(), 10))
	}
	if resp.StatusCode == http.StatusForbidden && !limiting(resp) && tooFast(resp) {
		resp.Header.Set(retryAfter, strconv.Itoa(int(leastPause/time.Second)))
	}
}

// tooFast reads in a refusal whether it is one of a secondary limit, and leaves
// it to be read again.
func tooFast(resp *http.Response) bool {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage)) // who reads on meets the error
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), resp.Body), resp.Body}
	var body struct {
		Message string `json:"message"`
		URL     string `json:"documentation_url"`
	}
	_ = json.Unmarshal(text, &body) // a proxy's is HTML
	return strings.Contains(body.Message, "rate limit") || strings.HasSuffix(body.URL, "-rate-limits")
}

// lead is how far GitHub's clock is ahead. Dates have seconds: less than two
// are none.
func (w *wire) lead() time.Duration {
	if d := time.Duration(w.skew.Load()); d.Abs() >= 2*time.Second {
		return d
	}
	return 0
}

// bounded is a body that fails where it is too long.
type bounded struct {
	body io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }
