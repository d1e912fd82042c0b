package fakehub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/test/fakehub/spec"
)

// object is a JSON object.
type object = map[string]any

// call is a call on its way. Its caller is one of app, token and nobody.
type call struct {
	hub       *Hub
	operation operation
	described *spec.Operation
	request   *http.Request
	params    map[string]string // of the path
	body      []byte
	header    http.Header // of the answer

	app   *App
	token *token
	repo  *Repo    // that the path names
	owner *account // that the path names
}

// reply is an answer with a status that is not the operation's lowest.
type reply struct {
	status int
	body   any // nil: none
}

// refusal is an answer that is an error.
type refusal struct {
	status     int
	message    string
	errors     []object // with resource, code, field, message
	retryAfter int      // seconds
}

func (r *refusal) Error() string { return strconv.Itoa(r.status) + " " + r.message }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// invalid refuses a request that is as described and cannot be done.
func invalid(resource, field, code, message string) error {
	one := object{"resource": resource, "code": code, "field": field}
	if message != "" {
		one["message"] = message
	}
	return &refusal{status: http.StatusUnprocessableEntity, message: "Validation Failed", errors: []object{one}}
}

var errNotFound = &refusal{status: http.StatusNotFound, message: "Not Found"}

// path is a part of the path.
func (c *call) path(name string) string { return c.params[name] }

// id is a part of the path that is a number; the description has been asked.
func (c *call) id(name string) int64 {
	id, err := strconv.ParseInt(c.path(name), 10, 64)
	if err != nil {
		return -1
	}
	return id
}

// query is a parameter of the query, "" if it is not there.
func (c *call) query(name string) string { return c.request.URL.Query().Get(name) }

// read decodes the body; the description has been asked.
func (c *call) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	return nil
}

// page cuts a page out of a list, and tells where the others are
// (https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api).
func page[T any](c *call, all []T) []T {
	size, number := 30, 1
	if n, err := strconv.Atoi(c.query("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(c.query("page")); err == nil && n > 0 {
		number = n
	}
	last := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(rel string, n int) {
		links = append(links, c.link(rel, map[string]string{"page": strconv.Itoa(n)}))
	}
	if number > 1 {
		link("prev", number-1)
		link("first", 1)
	}
	if number < last {
		link("next", number+1)
		link("last", last)
	}
	if len(links) > 0 {
		c.header.Set("Link", strings.Join(links, ", "))
	}
	from := min((number-1)*size, len(all))
	return all[from:min(from+size, len(all))]
}

// link is one of a Link header: this request with other parameters.
func (c *call) link(rel string, parameters map[string]string) string {
	query := c.request.URL.Query()
	for name, value := range parameters {
		query.Set(name, value)
	}
	prefix := strings.TrimSuffix(c.hub.APIURL, "/")
	return fmt.Sprintf("<%s%s?%s>; rel=%q", prefix, c.request.URL.EscapedPath(), query.Encode(), rel)
}

// list answers a page of objects with their number.
func list[T any](c *call, name string, all []T, show func(T) object) (any, error) {
	shown := []object{}
	for _, one := range page(c, all) {
		shown = append(shown, show(one))
	}
	if name == "" {
		return shown, nil
	}
	return object{"total_count": len(all), name: shown}, nil
}

// one answers one thing, if it was found.
func one[T any](found *T, err error, show func(*T) object) (any, error) {
	if err != nil {
		return nil, err
	}
	return show(found), nil
}
