package fakehub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/clipperregistry/runner/test/fakehub/spec"
)

const (
	// placed is the time of members that must have one and nobody set.
	placed   = "2026-01-01T00:00:00Z"
	docs     = "https://docs.github.com/rest"
	jsonType = "application/json; charset=utf-8"
)

// answer is an answer as it is sent.
type answer struct {
	status int
	body   []byte
}

// encode encodes what an operation answered, and holds it against the
// description.
func (c *call) encode(value any, err error) answer {
	status := c.described.Success
	if r, ok := value.(reply); ok {
		status, value = r.status, r.body
	}
	if err != nil {
		status, value = c.encodeError(err)
	}
	out := answer{status: status}
	if value != nil {
		c.header.Set("Content-Type", jsonType)
		out.body = c.hub.complete(value, func(v any, fill spec.Fill) any { return c.described.Complete(status, v, fill) })
	}
	if c.hub.config.Unchecked {
		return out
	}
	if err := c.described.CheckResponse(status, c.header, out.body); err != nil {
		c.hub.problem(c.operation.id, true, err.Error())
		c.header.Set("Content-Type", jsonType)
		out.status, out.body = http.StatusInternalServerError, fmt.Appendf(nil, `{"message":%q}`, "fakehub: "+err.Error())
	}
	return out
}

func (c *call) encodeError(err error) (int, any) {
	var r *refusal
	if !errors.As(err, &r) {
		c.hub.problem(c.operation.id, true, err.Error())
		r = &refusal{status: http.StatusInternalServerError, message: err.Error()}
	}
	if r.retryAfter > 0 {
		c.header.Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	body := object{"message": r.message, "documentation_url": documented(r.message), "status": strconv.Itoa(r.status)}
	if len(r.errors) > 0 && c.described.TextErrors(r.status) {
		var texts []string
		for _, one := range r.errors {
			texts = append(texts, fmt.Sprint(one["message"]))
		}
		body["errors"] = texts
	} else if len(r.errors) > 0 {
		body["errors"] = r.errors
	}
	return r.status, body
}

// documented is where an error is explained; clients know limits by it.
func documented(message string) string {
	if message == secondaryMessage {
		return docs + "/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	}
	return docs
}

// complete encodes a value with all that its description requires.
func (h *Hub) complete(value any, with func(any, spec.Fill) any) []byte {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Appendf(nil, "fakehub: %v", err) // no JSON, which the check finds
	}
	var plain any
	_ = json.Unmarshal(encoded, &plain) // it was just encoded
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(with(plain, spec.Fill{URL: h.URL + "/", Time: placed})) // of the same types
	return bytes.TrimSpace(out.Bytes())
}

// described is a refusal in GitHub's words.
func described(wrong *spec.Refusal) error {
	out := &refusal{status: wrong.Status, message: "Invalid request.\n\n" + wrong.Error()}
	switch wrong.Status {
	case http.StatusNotFound:
		out.message = "Not Found"
	case http.StatusBadRequest:
		out.message = wrong.Reason
	default:
		out.errors = []object{{"resource": "Request", "code": "invalid", "field": wrong.Field, "message": wrong.Reason}}
	}
	return out
}
