package ecsfake

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	logschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/schemas"
	ecrschemas "github.com/aws/aws-sdk-go-v2/service/ecr/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	ecsschemas "github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	secretschemas "github.com/aws/aws-sdk-go-v2/service/secretsmanager/schemas"
	ssmschemas "github.com/aws/aws-sdk-go-v2/service/ssm/schemas"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// The services, by what their requests begin with: the target's prefix (JSON)
// or the version (Query). Their names are those of IAM's actions.
var (
	targets = map[string]string{
		"AmazonEC2ContainerServiceV20141113": "ecs", "AmazonSSM": "ssm", "secretsmanager": "secretsmanager",
		"AmazonEC2ContainerRegistry_V20150921": "ecr", "Logs_20140328": "logs",
	}
	versions = map[string]string{"2011-06-15": "sts", "2010-05-08": "iam", "2015-12-01": "elasticloadbalancing"}
	protocol = map[string]*wire.JSON{
		"ecs":            wire.NewJSON(ecsschemas.AmazonEC2ContainerServiceV20141113, func(v any) any { return document.NewLazyDocument(v) }),
		"ssm":            wire.NewJSON(ssmschemas.AmazonSSM, nil),
		"secretsmanager": wire.NewJSON(secretschemas.Secretsmanager, nil),
		"ecr":            wire.NewJSON(ecrschemas.AmazonEC2ContainerRegistry_V20150921, nil),
		"logs":           wire.NewJSON(logschemas.Logs_20140328, nil),
	}
)

// caller is who makes a call.
type caller struct {
	*principal
	region string
}

// operation is one call of a service. It decodes a request, asks whether the
// caller may, does it, and encodes the output.
type operation func(r *request) ([]byte, error)

// request is a call on its way.
type request struct {
	fake    *Fake
	caller  *caller
	service string
	name    string // "RunTask"
	id      string
	body    []byte
	form    url.Values
}

// Operations are the names of all calls that are served: "ecs:RunTask".
func (f *Fake) Operations() []string { return slices.Sorted(maps.Keys(f.ops)) }

// action is the call's name for IAM, faults and counters: "ecs:RunTask".
func (r *request) action() string { return r.service + ":" + r.name }

// resources names what a call is about, for IAM. Calls without are about "*".
type resources[I any] func(c *caller, in *I) []string

// handle enters an operation.
func handle[I, O any](f *Fake, action string, about resources[I], do func(c *caller, in *I) (*O, error)) {
	f.ops[action] = func(r *request) ([]byte, error) {
		in := new(I)
		if err := r.decode(in); err != nil {
			return nil, err
		}
		arns := []string{"*"}
		if about != nil {
			arns = about(r.caller, in)
		}
		for _, arn := range arns {
			if err := f.authorize(r.caller.principal, action, arn, nil); err != nil {
				return nil, err
			}
		}
		out, err := do(r.caller, in)
		if err != nil {
			return nil, err
		}
		return r.encode(out)
	}
}

func (r *request) decode(in any) error {
	var err error
	if p := protocol[r.service]; p != nil {
		err = p.Decode(r.body, in.(smithy.Serializable))
	} else {
		err = wire.DecodeQuery(r.form, in)
	}
	if err != nil {
		return wire.Errorf(invalidCode(r.action()), "1 validation error detected: %v", err)
	}
	return complete(r.action(), in)
}

// invalidCode is what a service calls an input that it cannot read.
func invalidCode(action string) string {
	switch service, _, _ := strings.Cut(action, ":"); service {
	case "ecs", "ecr", "logs":
		return "InvalidParameterException"
	case "secretsmanager":
		return "InvalidRequestException"
	}
	return "ValidationException"
}

func (r *request) encode(out any) ([]byte, error) {
	if p := protocol[r.service]; p != nil {
		return p.Encode(r.name, out.(smithy.Serializable))
	}
	return wire.EncodeQuery(r.name, r.id, out)
}

// maxBody is more than any call may have.
const maxBody = 8 << 20

// ServeHTTP answers a call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	if hr.Method == http.MethodGet {
		f.serveContainer(w, hr)
		return
	}
	r := &request{fake: f}
	var err error
	if r.body, err = io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody)); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if prefix, name, ok := strings.Cut(hr.Header.Get("X-Amz-Target"), "."); ok {
		r.service, r.name = targets[prefix], name
	} else if r.form, err = url.ParseQuery(string(r.body)); err == nil {
		r.service, r.name = versions[r.form.Get("Version")], r.form.Get("Action")
	}
	if r.service == "" {
		http.Error(w, "<UnknownOperationException/>", http.StatusNotFound)
		return
	}
	body, status, lost := f.answer(hr, r)
	if lost {
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	w.Header().Set("X-Amzn-Requestid", r.id)
	contentType := "text/xml"
	if protocol[r.service] != nil {
		contentType = "application/x-amz-json-1.1"
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// answer does a call, or what the faults want instead.
func (f *Fake) answer(hr *http.Request, r *request) (body []byte, status int, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.id = f.uuid()
	f.traffic.counts[r.action()]++
	fault := f.traffic.next(r.action())
	if fault.Delay > 0 {
		f.mu.Unlock()
		f.pause(hr.Context(), fault.Delay)
		f.mu.Lock()
	}
	var err error
	if fault.Code != "" {
		err = &wire.Error{Code: fault.Code, Message: fault.Message, Status: fault.Status}
	} else if r.caller, err = f.authenticate(hr, r.service); err == nil {
		op, ok := f.ops[r.action()]
		if !ok {
			err = &wire.Error{Code: "UnknownOperationException", Message: fmt.Sprintf("ecsfake does not know %s", r.action()), Status: http.StatusNotImplemented}
		} else {
			body, err = op(r)
		}
	}
	if err == nil {
		return body, http.StatusOK, fault.Lose
	}
	body, status = encodeError(r, err)
	return body, status, fault.Lose
}

func encodeError(r *request, err error) ([]byte, int) {
	var refusal *wire.Error
	if !errors.As(err, &refusal) {
		refusal = &wire.Error{Code: "ServerException", Message: err.Error(), Status: http.StatusInternalServerError}
	}
	p := protocol[r.service]
	if p == nil {
		if refusal.Code == denied {
			refusal = &wire.Error{Code: "AccessDenied", Message: refusal.Message, Status: http.StatusForbidden}
		}
		return wire.EncodeQueryError(r.id, refusal), refusal.StatusCode()
	}
	body, err := p.EncodeError(refusal)
	if err != nil {
		return []byte(err.Error()), http.StatusInternalServerError
	}
	return body, refusal.StatusCode()
}
