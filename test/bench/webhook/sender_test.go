package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// payload is JSON of about so many bytes that says as much and as little in it
// as GitHub's does: it becomes a sixth.
func payload(size int, installation int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"action":"created","installation":{"id":%d},"repository":{"id":6,"full_name":"acme/app"},"sender":{"login":"mona"},"commits":[`, installation)
	for i := uint64(installation) << 20; b.Len() < size; i++ {
		n := i * 0x9e3779b97f4a7c15
		fmt.Fprintf(&b, `{"id":"%016x%016x","author":{"login":"user%d","url":"https://api.github.com/users/user%d"},"message":"change %x","distinct":true},`, n, n*i, i, i, n>>32)
	}
	b.WriteString(`null]}`)
	return b.Bytes()
}

// letter is a delivery that is ready to be sent.
type letter struct {
	head string // but for its GUID
	guid string // "" is a new one each time
	body []byte
}

// letter is one of an event that nothing follows from: it is stored, and
// decided about.
func (w *world) letter(body []byte) letter {
	mac := hmac.New(sha256.New, []byte(w.app.WebhookSecret))
	mac.Write(body)
	return letter{fmt.Sprintf("POST /webhook HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nUser-Agent: GitHub-Hookshot/bench\r\n"+
		"X-GitHub-Event: star\r\nX-GitHub-Hook-ID: 1\r\nX-GitHub-Hook-Installation-Target-ID: %d\r\nX-GitHub-Hook-Installation-Target-Type: integration\r\n"+
		"X-Hub-Signature-256: sha256=%x\r\nContent-Length: %d\r\nX-GitHub-Delivery: ", w.Public, w.app.ID, mac.Sum(nil), len(body)), "", body}
}

// written is what GitHub sends because of what do does, ready to be sent as
// fast as it is taken.
func (w *world) written(do func()) (letters []letter) {
	w.b.Helper()
	var mu sync.Mutex
	postbox := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.b.Error(err)
		}
		l := letter{guid: r.Header.Get("X-GitHub-Delivery"), body: body}
		r.Header.Del("X-GitHub-Delivery")
		var head strings.Builder
		fmt.Fprintf(&head, "POST /webhook HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", w.Public, len(body))
		if err := r.Header.Write(&head); err != nil {
			w.b.Error(err)
		}
		l.head = head.String() + "X-GitHub-Delivery: "
		mu.Lock()
		defer mu.Unlock()
		letters = append(letters, l)
	}))
	defer postbox.Close()
	w.app.SetWebhook(postbox.URL)
	do()
	if err := w.hub.Settle(w.b.Context()); err != nil {
		w.b.Fatal(err)
	}
	w.app.SetWebhook("http://" + w.Public + "/webhook")
	return letters
}

// send sends so many deliveries, the letters in turn, over so many connections,
// as fast as they are answered. It returns how long each waited for its answer,
// in order. A sender of few words leaves the cores to the service.
func (w *world) send(letters []letter, n, connections int) []time.Duration {
	w.b.Helper()
	var sent atomic.Int64
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			conn, err := net.Dial("tcp", w.Public)
			if err != nil {
				w.b.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for i := sent.Add(1) - 1; i < int64(n); i = sent.Add(1) - 1 {
				begun := time.Now()
				if err := letters[i%int64(len(letters))].post(conn, answers, i); err != nil {
					w.b.Error(err)
					return
				}
				took[i] = time.Since(begun)
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func (l letter) post(conn net.Conn, answers *bufio.Reader, n int64) error {
	guid := cmp.Or(l.guid, fmt.Sprintf("%08x-0000-11f0-8000-%012x", n, n))
	parts := net.Buffers{[]byte(l.head + guid + "\r\n\r\n"), l.body}
	if _, err := parts.WriteTo(conn); err != nil {
		return err
	}
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("delivery %d: %s", n, answer.Status)
	}
	return answer.Body.Close()
}
