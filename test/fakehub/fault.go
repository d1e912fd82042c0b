package fakehub

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"time"
)

// Fault is something that goes wrong with a call.
type Fault struct {
	// Committed: the call is done, and then this goes wrong with its answer.
	Committed bool
	// Status, if not 0, is answered with Message.
	Status  int
	Message string
	// Header is added to that answer.
	Header map[string]string
	// Reset ends the connection without an answer.
	Reset bool
	// Hang keeps the caller waiting until it gives up.
	Hang bool
	// Truncate answers half of the body, and then ends the connection.
	Truncate bool
	// Delay is waited before anything else.
	Delay time.Duration
}

// The faults of a bad day at GitHub.
var (
	// LostResponse: the call is done, and nobody says so.
	LostResponse = Fault{Committed: true, Reset: true}
	// Unreachable: the connection ends before anything is done.
	Unreachable = Fault{Reset: true}
	// BadGateway and ServerError do nothing; the Late ones have done it all.
	BadGateway      = Fault{Status: http.StatusBadGateway}
	LateBadGateway  = Fault{Status: http.StatusBadGateway, Committed: true}
	ServerError     = Fault{Status: http.StatusInternalServerError, Message: "Server Error"}
	LateServerError = Fault{Status: http.StatusInternalServerError, Message: "Server Error", Committed: true}
	Hang            = Fault{Hang: true}
	// LateHang: the call is done, and the caller waits for its answer in vain.
	LateHang  = Fault{Hang: true, Committed: true}
	Truncated = Fault{Truncate: true, Committed: true}
	// SecondaryLimit asks to come back in 60 s, PrimaryLimit in the next hour.
	SecondaryLimit = Fault{Status: http.StatusForbidden, Message: secondaryMessage, Header: map[string]string{"Retry-After": "60"}}
	PrimaryLimit   = Fault{Status: http.StatusForbidden, Message: "API rate limit exceeded for installation.", Header: map[string]string{"X-RateLimit-Remaining": "0"}}
	// Revoked and Uninstalled are answers only; Installation.Revoke and
	// Uninstall do it.
	Revoked     = Fault{Status: http.StatusUnauthorized, Message: "Bad credentials"}
	Uninstalled = Fault{Status: http.StatusNotFound, Message: "Not Found"}
)

// traffic is what came in, what shall happen to it, and what was wrong.
type traffic struct {
	counts   map[string]int
	faults   []*injected
	hits     []Hit
	problems []Problem
}

// Hit is a call that a fault has hit.
type Hit struct {
	Operation string
	Fault     Fault
}

type injected struct {
	operation string
	fault     Fault
	times     int
}

func newTraffic() traffic { return traffic{counts: map[string]int{}} }

// Fail makes the next calls of an operation, "checks/create", or of a pattern
// of path.Match, "checks/*", "*/*", go wrong; times -1: until Heal. Of several
// faults that hit one call the first acts. "webhook/deliver" is the sending of
// a delivery: Unreachable is not sent at all, LostResponse is sent and its answer
// not heard, a Status is what GitHub notes in its place.
func (h *Hub) Fail(operation string, fault Fault, times int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &injected{operation, fault, times})
}

// Heal ends all faults.
func (h *Hub) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = nil
}

// arrives counts a call and takes the fault that hits it.
func (t *traffic) arrives(operation string) (Fault, bool) {
	t.counts[operation]++
	for _, in := range t.faults {
		if hit, _ := path.Match(in.operation, operation); !hit || in.times == 0 {
			continue
		}
		if in.times > 0 {
			in.times--
		}
		t.hits = append(t.hits, Hit{operation, in.fault})
		return in.fault, true
	}
	return Fault{}, false
}

// Hits lists the calls that faults have hit, the oldest first.
func (h *Hub) Hits() []Hit {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.hits)
}

// Count counts the calls of an operation, whatever was answered.
func (h *Hub) Count(operation string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[operation]
}

// Counts counts the calls of all operations.
func (h *Hub) Counts() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.counts)
}

// acts reports whether a fault does more than to delay.
func (f Fault) acts() bool { return f.Status != 0 || f.Reset || f.Hang || f.Truncate }

// fail ends a call as a fault wants it.
func (h *Hub) fail(w http.ResponseWriter, r *http.Request, fault Fault, out answer) {
	switch {
	case fault.Hang:
		h.pause(r, time.Hour)
		reset(w)
	case fault.Reset:
		reset(w)
	case fault.Truncate:
		w.Header().Set("Content-Length", strconv.Itoa(len(out.body)))
		w.WriteHeader(out.status)
		_, _ = w.Write(out.body[:len(out.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the connection ends
	default:
		for name, value := range fault.Header {
			w.Header().Set(name, value)
		}
		body, mediaType := []byte("<html><head><title>502 Bad Gateway</title></head></html>\n"), "text/html"
		if fault.Message != "" {
			mediaType = jsonType
			body, _ = json.Marshal(object{"message": fault.Message, "documentation_url": documented(fault.Message), "status": strconv.Itoa(fault.Status)})
		}
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(fault.Status)
		_, _ = w.Write(body)
	}
}

// reset ends a connection as a crash does, without a farewell.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
