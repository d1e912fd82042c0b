package fakehub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/test/fakehub/spec"
)

// maxRequest is more than any call may have.
const maxRequest = 1 << 20

// versions are those of the API (https://docs.github.com/rest/about-the-rest-api/api-versions).
var versions = []string{"", "2022-11-28", "2026-03-10"}

// strange are forms of answers that fakehub does not have.
var strange = regexp.MustCompile(`vnd\.github\.([a-z0-9-]+\.)?(raw|sha|diff|patch|html|text|full)\b`)

// ServeHTTP answers a call or shows a page.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	w.Header().Set("Date", h.now().Format(http.TimeFormat))
	w.Header().Set("X-GitHub-Request-Id", fmt.Sprintf("FAKE:%d", h.next()))
	h.mu.Unlock()
	if h.config.Enterprise {
		w.Header().Set("X-GitHub-Enterprise-Version", "3.19.0")
	}
	if h.scaleSets(w, r) {
		return
	}
	if isPage(r.URL.Path) {
		h.mux.ServeHTTP(w, r)
		return
	}
	prefix := h.prefix()
	if strings.HasPrefix(r.URL.Path, enterprise+"/") {
		prefix = enterprise // the client of scale sets takes every other host for an Enterprise Server
	}
	if !strings.HasPrefix(r.URL.Path, prefix+"/") {
		h.nowhere(w, r)
		return
	}
	http.StripPrefix(prefix, http.HandlerFunc(h.route)).ServeHTTP(w, r)
}

// enterprise is where the API of an Enterprise Server is.
const enterprise = "/api/v3"

// prefix is where the API is.
func (h *Hub) prefix() string { return strings.TrimPrefix(h.APIURL, h.URL) }

// route finds the operation that a call is for.
func (h *Hub) route(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/repositories/") {
		clone := *r.URL
		clone.Path, clone.RawPath = h.named(r.URL.Path), h.named(r.URL.EscapedPath())
		r.URL = &clone
	}
	described, params := spec.Find(h.spec, r)
	if described == nil {
		h.nowhere(w, r)
		return
	}
	h.serve(&call{hub: h, operation: h.operations[described.ID], described: described, request: r, params: params, header: w.Header()}, w)
}

// nowhere answers what is no operation that fakehub has.
func (h *Hub) nowhere(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.problem(r.Method+" "+r.URL.Path, false, "fakehub knows no such operation")
	h.mu.Unlock()
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(object{"message": "Not Found", "documentation_url": docs, "status": "404"})
}

// serve answers a call, or does what the faults want.
func (h *Hub) serve(c *call, w http.ResponseWriter) {
	var err error
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, c.request.Body, maxRequest)); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	h.mu.Lock()
	fault, failing := h.arrives(c.operation.id)
	spent, refused := h.admit(c)
	h.mu.Unlock()
	if spent != nil {
		defer func() {
			h.mu.Lock()
			spent.flying--
			h.mu.Unlock()
		}()
	}
	if fault.Delay > 0 {
		h.pause(c.request, fault.Delay)
	}
	if failing && !fault.Committed && fault.acts() {
		h.fail(w, c.request, fault, answer{})
		return
	}
	var out answer
	h.mu.Lock()
	if refused != nil {
		out = c.encode(nil, refused)
	} else {
		out = c.encode(c.do())
	}
	h.mu.Unlock()
	if failing && fault.acts() {
		h.fail(w, c.request, fault, out)
		return
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body)
}

// admit asks who calls and books the call.
func (h *Hub) admit(c *call) (*budget, error) {
	if !slices.Contains(versions, c.request.Header.Get("X-GitHub-Api-Version")) {
		return nil, refuse(http.StatusBadRequest, "%q is not a supported version.", c.request.Header.Get("X-GitHub-Api-Version"))
	}
	if c.request.UserAgent() == "" {
		return nil, refuse(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
	}
	if accept := c.request.Header.Get("Accept"); strange.MatchString(accept) {
		h.problem(c.operation.id, false, "fakehub does not answer "+accept)
	}
	if err := c.authenticate(); err != nil {
		return nil, err
	}
	caller := c.caller()
	if caller == "" || h.config.Enterprise || c.operation.id == "rate-limit/get" {
		return nil, nil
	}
	b := h.budget(caller)
	err := h.spend(b, c.operation, c.request.Method)
	b.headers(c.header, h.config.Limits.Hourly)
	b.flying++
	return b, err
}

// do asks whether the caller may and whether the request is as described, and
// does it.
func (c *call) do() (any, error) {
	if err := c.authorize(); err != nil {
		return nil, err
	}
	if wrong := c.described.CheckRequest(c.request, c.body, c.params); wrong != nil {
		c.hub.problem(c.operation.id, false, wrong.Error())
		if wrong.Status != 0 {
			return nil, described(wrong)
		}
	}
	return c.operation.do(c)
}

// pause waits until the time is over, the caller has gone, or the hub closes.
func (h *Hub) pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-h.life.Done():
	}
}
