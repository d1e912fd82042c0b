package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// Refusal is why a request is not as described.
type Refusal struct {
	// Status is what GitHub answers: 404 where a part of the path is wrong, 400
	// where a body is no JSON, else 422.
	Status int
	// Field is the parameter or member that is wrong, where one is.
	Field  string
	Reason string
}

func (r *Refusal) Error() string {
	if r.Field == "" {
		return r.Reason
	}
	return r.Field + ": " + r.Reason
}

// CheckRequest holds a request against the description. The body has been
// read; params are the path's.
func (op *Operation) CheckRequest(r *http.Request, body []byte, params map[string]string) *Refusal {
	clone := r.Clone(context.Background())
	given := maps.Clone(params)
	for name, value := range given {
		if value == "" {
			given[name] = "/" // the root of all files, which GitHub lists, too
		}
	}
	clone.Body, clone.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	err := openapi3filter.ValidateRequest(clone.Context(), &openapi3filter.RequestValidationInput{
		Request: clone, PathParams: given, Route: op.route,
		Options: &openapi3filter.Options{
			SkipSettingDefaults:               true,
			RejectWhenRequestBodyNotSpecified: true,
			AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc,
		},
	})
	if err == nil {
		return op.unknown(r, body)
	}
	refusal := &Refusal{Status: http.StatusUnprocessableEntity, Reason: err.Error()}
	if at := (*openapi3filter.RequestError)(nil); errors.As(err, &at) && at.Parameter != nil {
		refusal.Field = at.Parameter.Name
		if at.Parameter.In == openapi3.ParameterInPath {
			refusal.Status = http.StatusNotFound
		}
	}
	if len(body) > 0 && !json.Valid(body) {
		refusal.Status, refusal.Reason = http.StatusBadRequest, "Problems parsing JSON"
	}
	if wrong := (*openapi3.SchemaError)(nil); errors.As(err, &wrong) {
		refusal.Reason = wrong.Reason
		if refusal.Field == "" {
			refusal.Field = strings.Join(wrong.JSONPointer(), ".")
		}
	}
	return refusal
}

// unknown refuses what the description does not name. GitHub would pass over
// most of it, and the caller would not get what was meant: the status is 0.
func (op *Operation) unknown(r *http.Request, body []byte) *Refusal {
	named := op.parameters(openapi3.ParameterInQuery)
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(named, func(p *openapi3.Parameter) bool { return p.Name == name }) {
			return &Refusal{Field: name, Reason: "is no parameter of the query"}
		}
	}
	schema := op.request()
	if schema == nil || len(body) == 0 {
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return &Refusal{Status: http.StatusBadRequest, Reason: "Problems parsing JSON"}
	}
	if strange := strangers("", value, schema); len(strange) > 0 {
		return &Refusal{Field: strange[0], Reason: "is no member of the body"}
	}
	return nil
}

// CheckResponse holds an answer against the description. Errors and redirections
// that it does not name must have a message.
func (op *Operation) CheckResponse(status int, header http.Header, body []byte) error {
	schema, described := op.response(status)
	if !described && status < 300 {
		return fmt.Errorf("status %d is not described", status)
	}
	if schema == nil && (status < 300 || described && status < 400) {
		if len(body) > 0 {
			return fmt.Errorf("status %d has no body, this has %q", status, body)
		}
		if status >= 300 && header.Get("Location") == "" {
			return fmt.Errorf("status %d has no Location", status)
		}
		return nil
	}
	if mediaType := header.Get("Content-Type"); mediaType != "application/json; charset=utf-8" {
		return fmt.Errorf("the answer is %q", mediaType)
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	if schema == nil {
		members, _ := value.(map[string]any)
		if message, _ := members["message"].(string); message == "" {
			return errors.New("an error without a message")
		}
		return nil
	}
	if err := schema.VisitJSON(value, openapi3.VisitAsResponse()); err != nil {
		return fmt.Errorf("status %d: %w", status, brief(err))
	}
	if strange := nameless(strangers("", value, schema)); len(strange) > 0 && status < 400 {
		return fmt.Errorf("status %d: the description has no %s", status, strings.Join(strange, ", "))
	}
	return nil
}

// brief is an error without the schema that was broken.
func brief(err error) error {
	var wrong *openapi3.SchemaError
	if !errors.As(err, &wrong) {
		return err
	}
	reason, _, _ := strings.Cut(wrong.Reason, "\n")
	return fmt.Errorf("/%s: %s", strings.Join(wrong.JSONPointer(), "/"), reason)
}

// TextErrors reports whether an error's list is of texts. Else it is of objects.
func (op *Operation) TextErrors(status int) bool {
	schema, _ := op.response(status)
	if schema == nil || schema.Properties["errors"] == nil {
		return false
	}
	items := schema.Properties["errors"].Value.Items
	return items != nil && items.Value.Type.Is("string")
}

// CheckEvent holds what is sent for an event against the description.
func (op *Operation) CheckEvent(body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	if err := op.request().VisitJSON(value, openapi3.VisitAsRequest()); err != nil {
		return brief(err)
	}
	if strange := nameless(strangers("", value, op.request())); len(strange) > 0 {
		return fmt.Errorf("the description has no %s", strings.Join(strange, ", "))
	}
	return nil
}
