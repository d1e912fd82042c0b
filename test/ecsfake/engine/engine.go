// Package engine asks a Docker Engine for containers, over its HTTP API
// (https://docs.docker.com/reference/api/engine/version/v1.41/): what an ECS agent
// asks for, and no more. Specifications of containers come in, their states and
// the lines they write come out.
package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Engine is a Docker Engine. It is safe for concurrent use.
type Engine struct{ client *http.Client }

// New makes a client of the engine at a unix socket, "unix:///run/docker.sock".
func New(host string) (*Engine, error) {
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil, fmt.Errorf("engine %q: only unix:// is known here", host)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Engine{client: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close lets idle connections go.
func (e *Engine) Close() { e.client.CloseIdleConnections() }

// Error is what the engine refuses with.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return "Error response from daemon: " + e.Message }

// IsNotFound reports whether an engine lacks what it was asked for.
func IsNotFound(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound
}

// do sends a request; the caller closes the answer's body.
func (e *Engine) do(ctx context.Context, method, path string, query url.Values, header http.Header, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine/v1.41"+path+"?"+query.Encode(), content)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		var refusal struct{ Message string }
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if json.Unmarshal(text, &refusal) != nil {
			refusal.Message = string(text)
		}
		return nil, &Error{Status: resp.StatusCode, Message: refusal.Message}
	}
	return resp, nil
}

// call sends a request and decodes the answer, if anybody wants it.
func (e *Engine) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	resp, err := e.do(ctx, method, path, query, nil, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// Ping reports whether the engine answers.
func (e *Engine) Ping(ctx context.Context) error {
	return e.call(ctx, http.MethodGet, "/_ping", nil, nil, nil)
}

// Auth is what a registry is shown.
type Auth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Pull pulls an image. The engine tells of failures in the midst of its
// answer, which are errors here, too.
func (e *Engine) Pull(ctx context.Context, ref string, auth *Auth) error {
	if auth == nil {
		auth = &Auth{}
	}
	text, err := json.Marshal(auth)
	if err != nil {
		return err
	}
	header := http.Header{"X-Registry-Auth": {base64.URLEncoding.EncodeToString(text)}}
	if !strings.Contains(ref, "@") && !strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":") {
		ref += ":latest" // else the engine would pull all tags
	}
	resp, err := e.do(ctx, http.MethodPost, "/images/create", url.Values{"fromImage": {ref}}, header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var progress struct{ Error string }
		if err := dec.Decode(&progress); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if progress.Error != "" {
			return &Error{Status: resp.StatusCode, Message: progress.Error}
		}
	}
}

// Image is an image that the engine has.
type Image struct {
	ID          string `json:"Id"`
	RepoDigests []string
	Config      struct{ Volumes map[string]struct{} }
}

// Image finds an image by its reference.
func (e *Engine) Image(ctx context.Context, ref string) (*Image, error) {
	var image Image
	return &image, e.call(ctx, http.MethodGet, "/images/"+ref+"/json", nil, nil, &image)
}

// RemoveVolume takes a volume away; one that is not there is no error.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := e.call(ctx, http.MethodDelete, "/volumes/"+name, url.Values{"force": {"1"}}, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}
