package faultproxy

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Fault answers one request wrongly.
type Fault func(*exchange)

// pass is no fault.
func pass(x *exchange) {
	if response := x.ask(); response != nil {
		defer response.Body.Close()
		x.head(response)
		x.body(response.Body)
	}
}

// Announced closes struck when the fault is about to happen, which it may do
// once.
func Announced(fault Fault, struck chan<- struct{}) Fault {
	return func(x *exchange) {
		close(struck)
		fault(x)
	}
}

// Cut resets the connection after n bytes of the body; with n < 0 before the
// header.
func Cut(n int64) Fault {
	return func(x *exchange) {
		if n >= 0 {
			x.begin(n)
			x.flush()
		}
		x.reset()
	}
}

// Truncate ends the connection in good order after n bytes of the body, less
// than the header has promised.
func Truncate(n int64) Fault {
	return func(x *exchange) {
		x.begin(n)
		x.flush()
		panic(http.ErrAbortHandler)
	}
}

// Stall goes silent after n bytes of the body; with n < 0 before the header.
func Stall(n int64) Fault {
	return func(x *exchange) {
		if n >= 0 {
			x.begin(n)
			x.flush()
		}
		x.stall()
	}
}

// begin sends the header and n bytes of the body.
func (x *exchange) begin(n int64) {
	if response := x.ask(); response != nil {
		defer response.Body.Close()
		x.head(response)
		x.body(io.LimitReader(response.Body, n))
	}
}

// Chunked sends n bytes of the body without having said how many there are,
// and ends as if these were all.
func Chunked(n int64) Fault {
	return func(x *exchange) {
		if response := x.ask(); response != nil {
			defer response.Body.Close()
			response.Header.Del("Content-Length")
			x.head(response)
			x.flush() // or net/http counts a short body by itself
			x.body(io.LimitReader(response.Body, n))
		}
	}
}

// Status answers with this code and an error as registries write them. header
// is name, value, name, value…
func Status(code int, header ...string) Fault {
	return func(x *exchange) {
		for i := 0; i+1 < len(header); i += 2 {
			x.w.Header().Set(header[i], header[i+1])
		}
		x.w.Header().Set("Content-Type", "application/json")
		x.w.WriteHeader(code)
		fmt.Fprintf(x.w, `{"errors":[{"code":"FAULT","message":"asked for by the test"}]}`)
	}
}

// Replace answers 200 with this body, as a captive portal does.
func Replace(contentType string, body []byte) Fault {
	return func(x *exchange) {
		x.w.Header().Set("Content-Type", contentType)
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = x.w.Write(body)
	}
}

// Endless answers 200 with a body that repeats part and does not end.
func Endless(contentType string, part []byte) Fault {
	return func(x *exchange) {
		x.w.Header().Set("Content-Type", contentType)
		for piece := bytes.Repeat(part, 64<<10/len(part)); x.send(piece); {
		}
	}
}

// Flip flips a bit of the byte at this offset of the blob or manifest,
// wherever an answer has that byte.
func Flip(offset int64) Fault {
	return func(x *exchange) {
		if response := x.ask(); response != nil {
			defer response.Body.Close()
			x.head(response)
			first, _, _ := contentRange(response)
			x.body(&flipper{response.Body, offset - first})
		}
	}
}

// flipper flips a bit when left bytes have been read.
type flipper struct {
	r    io.Reader
	left int64
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.left >= 0 && f.left < int64(n) {
		p[f.left] ^= 0x10
	}
	f.left -= int64(n)
	return n, err
}

// Resize claims, without contradicting itself, that the blob has delta bytes
// more, which are zeros, or fewer.
func Resize(delta int64) Fault {
	return func(x *exchange) {
		response := x.ask()
		if response == nil {
			return
		}
		defer response.Body.Close()
		if first, last, total := contentRange(response); response.StatusCode == http.StatusPartialContent {
			response.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, total+delta))
			x.head(response)
			x.body(response.Body)
			return
		}
		size := max(response.ContentLength+delta, 0)
		response.Header.Set("Content-Length", strconv.FormatInt(size, 10))
		x.head(response)
		padded := io.MultiReader(response.Body, bytes.NewReader(make([]byte, max(delta, 0))))
		x.body(io.LimitReader(padded, size))
	}
}

// IgnoreRange answers requests for ranges with all there is.
func IgnoreRange() Fault {
	return func(x *exchange) {
		x.r.Header.Del("Range")
		pass(x)
	}
}

// RefuseRange answers requests for ranges with this code, and others rightly.
func RefuseRange(code int) Fault {
	return func(x *exchange) {
		if x.r.Header.Get("Range") == "" {
			pass(x)
			return
		}
		Status(code)(x)
	}
}

// ShiftRange answers requests for ranges with the range n bytes further on,
// and says so.
func ShiftRange(n int64) Fault {
	return func(x *exchange) {
		first, last, ok := askedRange(x.r)
		if ok {
			x.r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first+n, last+n))
		}
		pass(x)
	}
}

// SwapRange answers requests for ranges with bytes n further on, and says that
// they are the right ones.
func SwapRange(n int64) Fault {
	return func(x *exchange) {
		first, last, ok := askedRange(x.r)
		if !ok {
			pass(x)
			return
		}
		x.r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first+n, last+n))
		response := x.ask()
		if response == nil {
			return
		}
		defer response.Body.Close()
		if _, to, total := contentRange(response); to == last+n {
			response.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, total))
		}
		x.head(response)
		x.body(response.Body)
	}
}

// Redirect sends to a second host, by a signed URL that is good for so many
// requests and answers 403 from then on.
func Redirect(uses int) Fault {
	return func(x *exchange) {
		ticket := rand.Text()
		x.proxy.mu.Lock()
		x.proxy.tickets[ticket] = uses
		x.proxy.mu.Unlock()
		http.Redirect(x.w, x.r, x.proxy.second.URL+x.r.URL.Path+"?signature="+ticket, http.StatusTemporaryRedirect)
	}
}

// contentRange is what part of the whole an answer has.
func contentRange(response *http.Response) (first, last, total int64) {
	if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil {
		return 0, response.ContentLength - 1, response.ContentLength
	}
	return first, last, total
}

func askedRange(r *http.Request) (first, last int64, ok bool) {
	from, to, found := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	first, err := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	return first, last, found && err == nil && err2 == nil
}
