package chaos

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// fate is how long a container runs, and its exit code then.
type fate struct {
	runs time.Duration
	exit int
}

// paperEngine is a Docker Engine for package ecsfake, of which every container
// exists on paper only: it runs for as long as its fate says, writes a line and
// ends. So thousands of tasks cost nothing, and how each ends is known before.
type paperEngine struct {
	host string
	fate func(env map[string]string) fate
	srv  *http.Server

	mu         sync.Mutex
	serial     int
	containers map[string]*container
}

type container struct {
	fate  fate
	ended chan struct{}
	once  sync.Once
	exit  int
	line  string
}

// end ends a container; the first end counts.
func (c *container) end(code int) {
	c.once.Do(func() {
		c.exit = code
		close(c.ended)
	})
}

func startEngine(dir string, of func(env map[string]string) fate) (*paperEngine, error) {
	socket := filepath.Join(dir, "engine")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	e := &paperEngine{host: "unix://" + socket, fate: of, containers: map[string]*container{}}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1.41/_ping":                  func(http.ResponseWriter, *http.Request) error { return nil },
		"POST /v1.41/images/create":         func(http.ResponseWriter, *http.Request) error { return nil },
		"GET /v1.41/images/{ref...}":        e.image,
		"POST /v1.41/containers/create":     e.create,
		"POST /v1.41/containers/{id}/start": e.of((*container).start),
		"POST /v1.41/containers/{id}/stop":  e.of((*container).stop),
		"POST /v1.41/containers/{id}/wait":  e.of((*container).wait),
		"GET /v1.41/containers/{id}/json":   e.of((*container).inspect),
		"GET /v1.41/containers/{id}/logs":   e.of((*container).logs),
		"DELETE /v1.41/containers/{id}":     e.remove,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				w.WriteHeader(http.StatusNotFound)
				_ = json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
			}
		})
	}
	e.srv = &http.Server{Handler: mux}
	go e.srv.Serve(listener) //nolint:errcheck // until Close
	return e, nil
}

func (e *paperEngine) close() error { return e.srv.Close() }

func (e *paperEngine) image(w http.ResponseWriter, _ *http.Request) error {
	return json.NewEncoder(w).Encode(map[string]any{"Id": "sha256:" + strings.Repeat("0", 64), "RepoDigests": []string{}})
}

func (e *paperEngine) create(w http.ResponseWriter, r *http.Request) error {
	var spec struct{ Env []string }
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		return err
	}
	env := map[string]string{}
	for _, v := range spec.Env {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	c := &container{fate: e.fate(env), ended: make(chan struct{})}
	c.line = fmt.Sprintf("%s at %s ends with %d", env["GITHUB_REPOSITORY"], env["GITHUB_SHA"], c.fate.exit)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serial++
	id := fmt.Sprintf("%064x", e.serial)
	e.containers[id] = c
	w.WriteHeader(http.StatusCreated)
	return json.NewEncoder(w).Encode(map[string]string{"Id": id})
}

// of finds the container that a request is about.
func (e *paperEngine) of(do func(*container, http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		e.mu.Lock()
		c := e.containers[r.PathValue("id")]
		e.mu.Unlock()
		if c == nil {
			return errors.New("no such container")
		}
		return do(c, w, r)
	}
}

func (e *paperEngine) remove(_ http.ResponseWriter, r *http.Request) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.containers[r.PathValue("id")]
	if c == nil {
		return errors.New("no such container")
	}
	c.end(137)
	delete(e.containers, r.PathValue("id"))
	return nil
}

func (c *container) start(http.ResponseWriter, *http.Request) error {
	time.AfterFunc(c.fate.runs, func() { c.end(c.fate.exit) })
	return nil
}

func (c *container) stop(http.ResponseWriter, *http.Request) error {
	c.end(143)
	return nil
}

func (c *container) wait(w http.ResponseWriter, r *http.Request) error {
	select {
	case <-c.ended:
		return json.NewEncoder(w).Encode(map[string]int{"StatusCode": c.exit})
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

func (c *container) inspect(w http.ResponseWriter, _ *http.Request) error {
	return json.NewEncoder(w).Encode(map[string]any{"State": map[string]any{"Status": "running"}})
}

// logs answers one line in the engine's framing: the stream, three zeros, four
// bytes of length.
func (c *container) logs(w http.ResponseWriter, r *http.Request) error {
	line := time.Now().UTC().Format(time.RFC3339Nano) + " " + c.line + "\n"
	header := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(line)))
	_, _ = io.WriteString(w, string(header)+line) // who is gone does not read
	_ = http.NewResponseController(w).Flush()
	select {
	case <-c.ended:
	case <-r.Context().Done():
	}
	return nil
}
