// Package spec is GitHub's own description of the operations that fakehub has:
// it says whether a request is allowed, whether an answer is as described, and
// what an answer must have beside that which fakehub knows to say.
//
// github.json is a part of the OpenAPI description that GitHub publishes under
// the MIT licence (LICENSE.github), as npm's @octokit/openapi has it: the
// operations of operations.txt, the webhooks of events.txt, and what they refer
// to, without prose. To add one, add its id there and run go generate.
package spec

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

//go:generate go run ./extract

//go:embed github.json
var description []byte

// Operation is one operation of the API, or an event that is sent to webhooks:
// then the request is what GitHub sends.
type Operation struct {
	// ID is GitHub's name for it: "checks/create".
	ID string
	// Method and Path say where it is: "/repos/{owner}/{repo}/check-runs".
	Method, Path string
	// Success is the lowest status of its answers that are no errors.
	Success int

	route    *routers.Route
	segments []segment
}

// webhooks is where events are described.
const webhooks = "/x-webhooks/"

// Event reports whether it is an event.
func (op *Operation) Event() bool { return strings.HasPrefix(op.Path, webhooks) }

// Load lists all operations and events by ID. The description is read once.
var Load = sync.OnceValues(func() (map[string]*Operation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, fmt.Errorf("read the description of GitHub's API: %w", err)
	}
	operations := map[string]*Operation{}
	for path, item := range doc.Paths.Map() {
		for method, described := range item.Operations() {
			op := &Operation{ID: described.OperationID, Method: method, Path: path, Success: success(described)}
			op.route = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: described}
			op.segments = op.split()
			operations[op.ID] = op
		}
	}
	return operations, nil
})

func success(op *openapi3.Operation) int {
	lowest := http.StatusBadRequest
	for status := range op.Responses.Map() {
		if code, err := strconv.Atoi(status); err == nil {
			lowest = min(lowest, code)
		}
	}
	return lowest
}

func (op *Operation) parameters(in string) []*openapi3.Parameter {
	var found []*openapi3.Parameter
	for _, ref := range slices.Concat(op.route.PathItem.Parameters, op.route.Operation.Parameters) {
		if ref.Value.In == in {
			found = append(found, ref.Value)
		}
	}
	return found
}

// response is the schema of an answer in JSON; nil: it has no body.
func (op *Operation) response(status int) (schema *openapi3.Schema, described bool) {
	ref := op.route.Operation.Responses.Status(status)
	if ref == nil || ref.Value == nil {
		return nil, false
	}
	content := ref.Value.Content["application/json"]
	if content == nil || content.Schema == nil {
		return nil, true
	}
	return content.Schema.Value, true
}

// request is the schema of a request's body in JSON; nil: it has no body.
func (op *Operation) request() *openapi3.Schema {
	if op.route.Operation.RequestBody == nil {
		return nil
	}
	content := op.route.Operation.RequestBody.Value.Content["application/json"]
	if content == nil || content.Schema == nil {
		return nil
	}
	return content.Schema.Value
}
