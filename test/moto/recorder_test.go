package moto_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// answer is what a server answered to a call: not the values, which are each
// server's own, but whether it took the call, how it calls an error, and of
// which members it speaks.
type answer struct {
	operation string
	status    int
	code      string
	// members are the paths of all members with their kinds, "a.b[]: string".
	members []string
}

// recorder is an HTTP client of the SDK that keeps what is answered.
type recorder struct {
	answers []answer
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(sent))
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	a := answer{operation: req.Header.Get("X-Amz-Target"), status: resp.StatusCode}
	if a.operation != "" {
		a.operation = a.operation[strings.LastIndexByte(a.operation, '.')+1:]
		err = a.readJSON(body)
	} else {
		form, _ := url.ParseQuery(string(sent))
		a.operation = form.Get("Action")
		err = a.readXML(body)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", a.operation, err, body)
	}
	slices.Sort(a.members)
	a.members = slices.Compact(a.members)
	r.answers = append(r.answers, a)
	return resp, nil
}

func (a *answer) readJSON(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	if top, ok := value.(map[string]any); ok && a.status >= 300 {
		code, _ := top["__type"].(string)
		a.code = code[strings.LastIndexByte(code, '#')+1:]
		return nil
	}
	a.visit("", value)
	return nil
}

// id is a key of a map whose keys mean nothing.
var id = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f-]{27}$`)

func (a *answer) visit(path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if id.MatchString(name) {
				name = "*"
			}
			a.visit(strings.TrimPrefix(path+"."+name, "."), inner)
		}
	case []any:
		a.members = append(a.members, path+": list")
		for _, inner := range value {
			a.visit(path+"[]", inner)
		}
	case nil: // as good as not there
	default:
		a.members = append(a.members, fmt.Sprintf("%s: %T", path, value))
	}
}

// readXML reads an answer of the Query protocol. Empty elements are as good as
// not there.
func (a *answer) readXML(body []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	var path []string
	text := ""
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			path, text = append(path, token.Name.Local), ""
		case xml.CharData:
			text += string(token)
		case xml.EndElement:
			a.element(path, strings.TrimSpace(text))
			path, text = path[:len(path)-1], ""
		}
	}
}

// element notes an element that holds text. The two outermost and what is
// about the request are every answer's.
func (a *answer) element(path []string, text string) {
	switch {
	case text == "" || len(path) < 3 || path[1] == "ResponseMetadata":
	case a.status < 300:
		a.members = append(a.members, strings.Join(path[2:], ".")+": string")
	case path[len(path)-1] == "Code":
		a.code = text
	}
}
