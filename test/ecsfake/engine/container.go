package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Spec is what POST /containers/create takes. Fields without a value are
// absent, so that the image's own count.
type Spec struct {
	Image        string
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	User         string              `json:",omitempty"`
	Hostname     string              `json:",omitempty"`
	Tty          bool                `json:",omitempty"`
	OpenStdin    bool                `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Healthcheck  *Healthcheck        `json:",omitempty"`
	StopTimeout  *int                `json:",omitempty"`
	HostConfig   HostConfig
}

// Healthcheck is a container's, in nanoseconds. Test NONE forgets the image's.
type Healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// HostConfig is what a container gets of its host.
type HostConfig struct {
	NetworkMode       string                   `json:",omitempty"`
	Binds             []string                 `json:",omitempty"`
	VolumesFrom       []string                 `json:",omitempty"`
	PortBindings      map[string][]PortBinding `json:",omitempty"`
	Privileged        bool                     `json:",omitempty"`
	ReadonlyRootfs    bool                     `json:",omitempty"`
	CapAdd, CapDrop   []string                 `json:",omitempty"`
	Init              *bool                    `json:",omitempty"`
	Tmpfs             map[string]string        `json:",omitempty"`
	ShmSize           int64                    `json:",omitempty"`
	Memory            int64                    `json:",omitempty"`
	MemoryReservation int64                    `json:",omitempty"`
	MemorySwap        int64                    `json:",omitempty"`
	CpuShares         int64                    `json:",omitempty"`
	Ulimits           []Ulimit                 `json:",omitempty"`
	Sysctls           map[string]string        `json:",omitempty"`
	ExtraHosts        []string                 `json:",omitempty"`
	DNS               []string                 `json:"Dns,omitempty"`
	DNSSearch         []string                 `json:"DnsSearch,omitempty"`
	SecurityOpt       []string                 `json:",omitempty"`
	PidMode           string                   `json:",omitempty"`
	IpcMode           string                   `json:",omitempty"`
	Devices           []Device                 `json:",omitempty"`
	LogConfig         *LogConfig               `json:",omitempty"`
}

// LogConfig says where a container's lines go besides.
type LogConfig struct {
	Type   string
	Config map[string]string
}

// PortBinding is a port of the host.
type PortBinding struct{ HostPort string }

// Ulimit is a resource limit.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Device is a device of the host.
type Device struct{ PathOnHost, PathInContainer, CgroupPermissions string }

// Create makes a container and returns its id.
func (e *Engine) Create(ctx context.Context, name string, spec Spec) (string, error) {
	var created struct{ ID string }
	err := e.call(ctx, http.MethodPost, "/containers/create", url.Values{"name": {name}}, spec, &created)
	return created.ID, err
}

// Start starts a container.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil)
}

// Stop sends the container's stop signal, and SIGKILL after the grace period.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	seconds := strconv.Itoa(int(grace.Round(time.Second) / time.Second))
	return e.call(ctx, http.MethodPost, "/containers/"+id+"/stop", url.Values{"t": {seconds}}, nil, nil)
}

// Remove takes a container away, running or not, with its anonymous volumes;
// one that is not there is no error.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.call(ctx, http.MethodDelete, "/containers/"+id, url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Container is the state of a container.
type Container struct {
	ID    string `json:"Id"`
	Image string // the id of its image
	State struct {
		Status    string
		Running   bool
		OOMKilled bool
		ExitCode  int
		Error     string
		StartedAt time.Time
		Health    *struct{ Status string } // "starting", "healthy", "unhealthy"
	}
}

// Inspect looks at a container.
func (e *Engine) Inspect(ctx context.Context, id string) (*Container, error) {
	var c Container
	return &c, e.call(ctx, http.MethodGet, "/containers/"+id+"/json", nil, nil, &c)
}

// Wait waits until a container is not running and returns its exit code.
func (e *Engine) Wait(ctx context.Context, id string) (int, error) {
	var waited struct{ StatusCode int }
	err := e.call(ctx, http.MethodPost, "/containers/"+id+"/wait", nil, nil, &waited)
	return waited.StatusCode, err
}

// Line is one that a container wrote.
type Line struct {
	Time time.Time
	Text string
}

// maxLine is where CloudWatch Logs' driver of Docker would cut.
const maxLine = 256 << 10

// Follow hands out a container's lines, standard output and error in the
// order of the engine, until the container ends.
func (e *Engine) Follow(ctx context.Context, id string, since time.Time, tty bool, line func(Line)) error {
	query := url.Values{"follow": {"1"}, "stdout": {"1"}, "stderr": {"1"}, "timestamps": {"1"}}
	if !since.IsZero() {
		query.Set("since", strconv.FormatInt(since.Unix(), 10))
	}
	resp, err := e.do(ctx, http.MethodGet, "/containers/"+id+"/logs", query, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var text io.Reader = resp.Body
	if !tty {
		text = &demultiplexer{r: resp.Body}
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		stamp, rest, _ := strings.Cut(lines.Text(), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			at, rest = time.Now(), lines.Text()
		}
		line(Line{Time: at, Text: strings.TrimSuffix(rest, "\r")})
	}
	return lines.Err()
}

// demultiplexer takes the headers out of the engine's stream: per piece the
// number of the stream, three zeros, four bytes of length.
type demultiplexer struct {
	r    io.Reader
	left uint32
}

func (d *demultiplexer) Read(p []byte) (int, error) {
	for d.left == 0 {
		var header [8]byte
		if _, err := io.ReadFull(d.r, header[:]); err != nil {
			return 0, err
		}
		d.left = binary.BigEndian.Uint32(header[4:])
	}
	n, err := d.r.Read(p[:min(len(p), int(d.left))])
	d.left -= uint32(n)
	return n, err
}
