package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/clipperregistry/runner/runnerimage/registry"
)

// defaultDockerHost is where the Docker Engine listens unless it was told
// another place.
const defaultDockerHost = "unix:///var/run/docker.sock"

// openDaemon has the Docker Engine at host save the image into a temporary
// file, a docker-archive.
//
// It asks the engine by the one request that this takes. Engine's own client,
// which go-containerregistry's daemon package is built on, would bring
// OpenTelemetry and its kin into the command.
func openDaemon(ctx context.Context, image, host string) (origin, error) {
	a, err := saveImage(ctx, image, cmp.Or(host, defaultDockerHost))
	if err != nil {
		return nil, fmt.Errorf("%s:%s: %w", DockerDaemon, image, err)
	}
	return a, nil
}

func saveImage(ctx context.Context, image, host string) (*archive, error) {
	body, err := askEngine(ctx, image, host)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	file, err := temporary()
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(file, body); err != nil {
		file.Close()
		return nil, fmt.Errorf("save the image: %w", err)
	}
	a, err := newArchive(file, "")
	if err != nil {
		file.Close()
		return nil, err
	}
	return a, nil
}

// askEngine asks for the image as a tar stream.
func askEngine(ctx context.Context, image, host string) (io.ReadCloser, error) {
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "unix" && u.Scheme != "tcp" {
		return nil, fmt.Errorf("%w: DOCKER_HOST is neither unix:// nor tcp://; run `docker save` and publish docker-archive:FILE", ErrArguments)
	}
	network, address := u.Scheme, u.Host
	if network == "unix" {
		address = u.Path
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	// No version of the API is named: this request is the same in all.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/images/get?"+url.Values{"names": {image}}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: the Docker Engine at %s does not answer: %w", registry.ErrUnreachable, host, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var said struct {
		Message string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said); err != nil {
		said.Message = resp.Status
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: the Docker Engine has no such image: %s", registry.ErrNotFound, said.Message)
	}
	return nil, fmt.Errorf("%w: the Docker Engine: %s", registry.ErrUnreachable, said.Message)
}

// temporary is a file without a name: whatever ends the process, nothing of it
// stays behind.
func temporary() (*os.File, error) {
	file, err := os.CreateTemp("", "clipper-publish-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
