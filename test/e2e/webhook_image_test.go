package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/stack"
)

// TestWebhookImage builds the service's image as the Makefile does, and runs it
// as its page says: with nothing but its own rights and a read-only root, it
// takes deliveries in, is healthy, keeps them over a restart, and ends when it
// is told. Through the runner image, as on ECS, it is the same.
func TestWebhookImage(t *testing.T) {
	t.Parallel()
	image := buildWebhookImage(t)
	for _, via := range []stack.Via{stack.Direct, stack.Runner} {
		t.Run(via.String(), func(t *testing.T) { tryWebhookImage(t, image, via) })
	}
}

// buildWebhookImage is `make webhook-image` with the tests' own program, which
// is built once, and with the image in the registry.
func buildWebhookImage(t *testing.T) string {
	t.Helper()
	dir := lab.Scratch(t)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(lab.Program(t, "cmd/clipper-runner"), filepath.Join(dir, "linux-amd64")); err != nil {
		stack.Output(t, exec.CommandContext(t.Context(), "cp", lab.Program(t, "cmd/clipper-runner"), filepath.Join(dir, "linux-amd64")))
	}
	ref := lab.Registry + "/clipper/webhook:" + strings.ToLower(filepath.Base(dir))
	lab.Engine.Docker(t, "build", "--quiet", "--file", "../../webhook/Dockerfile", "--build-arg", "TARGETARCH=amd64", "--tag", ref, dir)
	t.Cleanup(func() {
		if out, err := lab.Engine.Command(context.Background(), "rmi", "--force", ref).CombinedOutput(); err != nil {
			t.Errorf("clean up: %v: %s", err, out)
		}
	})
	lab.Engine.Docker(t, "push", "--quiet", ref)
	return ref
}

func tryWebhookImage(t *testing.T, image string, via stack.Via) {
	address := "127.0.0.1:" + freePort(t)
	hub := fakehub.New(t, fakehub.Config{})
	app := hub.App(fakehub.AppConfig{WebhookURL: "http://" + address + "/webhook"})
	volume := lab.Engine.Volume(t, lab)
	spec := stack.RunSpec{
		Image: image, Via: via,
		Env: []string{
			"CLIPPER_WEBHOOK_LISTEN=" + address, "CLIPPER_WEBHOOK_ADMIN_LISTEN=127.0.0.1:" + freePort(t),
			fmt.Sprint("CLIPPER_GITHUB_APP_ID=", app.ID), "CLIPPER_GITHUB_API_URL=" + hub.APIURL,
			"CLIPPER_WEBHOOK_SECRETS=" + app.WebhookSecret, "CLIPPER_GITHUB_PRIVATE_KEY=" + app.PrivateKey,
		},
		Flags: []string{"--volume=" + volume + ":/data"},
	}
	if via == stack.Direct {
		spec.Flags = append(spec.Flags, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
	}
	c := lab.Start(t, spec)
	awaitHealthz(t, c, address)
	for c.Do(t, "inspect", "--format", "{{.State.Health.Status}}") != "healthy" {
		pause(t, 200*time.Millisecond)
	}
	guid := app.Ping()
	if err := hub.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	has := func() bool {
		exec := []string{"/clipper-runner", "webhook", "deliveries", "list", "--json"}
		if via == stack.Runner {
			exec = append([]string{"/.clipper-runner/exec"}, exec...)
		}
		out := c.Exec(t, exec...)
		var d struct{ GUID string }
		if err := json.NewDecoder(strings.NewReader(out.Stdout)).Decode(&d); err != nil || out.Exit != 0 {
			t.Fatalf("the list ends with %d: %v: %s%s", out.Exit, err, out.Stdout, out.Stderr)
		}
		return d.GUID == guid
	}
	if !has() {
		t.Error("the delivery is not there")
	}
	for row := range strings.Lines(c.Do(t, "top")) {
		if uid := strings.Fields(row)[0]; uid != "UID" && uid != "65532" {
			t.Errorf("it runs as somebody else: %s", row)
		}
	}
	c.Do(t, "stop")
	if code := c.Do(t, "inspect", "--format", "{{.State.ExitCode}}"); code != "0" {
		t.Errorf("it ends with %s: %s", code, c.Logs(t).Stderr)
	}
	c.Do(t, "start")
	awaitHealthz(t, c, address)
	if !has() {
		t.Error("the delivery is gone")
	}
}

// awaitHealthz waits until the service answers.
func awaitHealthz(t *testing.T, c *stack.Container, address string) {
	t.Helper()
	for {
		resp, err := http.Get("http://" + address + "/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if c.Do(t, "inspect", "--format", "{{.State.Running}}") != "true" {
			logs := c.Logs(t)
			t.Fatalf("it ended: %s%s", logs.Stdout, logs.Stderr)
		}
		pause(t, 50*time.Millisecond)
	}
}

// pause waits, unless the test ends.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
