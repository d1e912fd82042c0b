package e2e

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestServices runs a job whose services are the runner image, too: one that is
// healthy by the test of its image, the same with another entrypoint and a port
// of the machine, and a database by the workflow's test. The job's container has
// the database's client.
func TestServices(t *testing.T) {
	t.Parallel()
	req := newRequest(t, `
jobs:
  test:
    container:
      image: ${{ vars.RUNNER }}
      env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/gha/postgres:e2e", CLIPPER_INSECURE_REGISTRIES: "${{ vars.REGISTRY }}"}
    services:
      web:
        image: ${{ vars.RUNNER }}
        env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/gha/web:e2e", CLIPPER_INSECURE_REGISTRIES: "${{ vars.REGISTRY }}"}
      other:
        image: ${{ vars.RUNNER }}
        env:
          CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/gha/web:e2e
          CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
          CLIPPER_ENTRYPOINT: '["busybox", "httpd"]'
        options: --health-cmd "test -d /www" --health-interval 300ms --health-retries 50
        command: -f -p 9090 -h /etc
        ports: ["${{ vars.PORT }}:9090"]
      db:
        image: ${{ vars.RUNNER }}
        env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/gha/postgres:e2e", CLIPPER_INSECURE_REGISTRIES: "${{ vars.REGISTRY }}", PGDATA: /tmp/data}
        options: --health-cmd "pg_isready -h 127.0.0.1" --health-interval 300ms --health-retries 5
        command: sh -c "initdb -A trust >/dev/null && echo host all all all trust >>/tmp/data/pg_hba.conf && exec postgres -k /tmp -c listen_addresses=*"
    steps:
    - run: /.clipper-runner/github-init
    - {shell: bash, run: "exec 3<>/dev/tcp/web/8080; printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3"}
    - shell: bash
      env: {REGISTRY: "${{ vars.REGISTRY }}"}
      run: "exec 3<>/dev/tcp/${REGISTRY%:*}/${{ vars.PORT }}; printf 'GET /os-release HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3"
    - run: psql -h db -U postgres -t -A -c "select 'the answer is ' || 6*7"
`, nil)
	database := postgresql(t)
	database.Config.Env = []string{"PATH=/usr/lib/postgresql/15/bin:/usr/lib/postgresql/17/bin:" + strings.TrimPrefix(debianPath, "PATH=")}
	lab.Push(t, "gha/postgres", database)
	lab.Push(t, "gha/web", web(t))
	req.Vars["PORT"] = freePort(t)
	checkJob(t, runJob(t, newRunner(t), req), "success",
		"web service is healthy.", "other service is healthy.", "db service is healthy.", "served by the image", "ID=alike", "the answer is 42")
}

// web is busybox's web server, with a test of its own that holds only after a
// while.
func web(t *testing.T) stack.Image {
	image := shellAlone(t)
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(
		tarball.Dir("www"), tarball.File("www/index.html", "served by the image\n"),
	)))
	image.Config = v1.Config{
		Env:        []string{"PATH=/bin"},
		Entrypoint: []string{"sh", "-c", "sleep 1; touch /tmp/up; exec busybox httpd -f -p 8080 -h /www"},
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD-SHELL", "test -e /tmp/up"},
		},
	}
	return image
}

// TestFailingService: a service whose image cannot be had fails the job before
// its first step, and its log says why.
func TestFailingService(t *testing.T) {
	t.Parallel()
	req := newRequest(t, `
jobs:
  test:
    services:
      db:
        image: ${{ vars.RUNNER }}
        env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/gha/not-there:1", CLIPPER_INSECURE_REGISTRIES: "${{ vars.REGISTRY }}"}
    steps:
    - {id: step, run: "true"}
`, nil)
	result := runJob(t, newRunner(t), req)
	checkJob(t, result, "failure")
	if got := result.Step("step").Outcome; got != "skipped" || !strings.Contains(result.Log, "One or more containers failed to start.") {
		t.Errorf("the step: %s", got)
	}
	if !strings.Contains(result.Log, "gha/not-there") || !strings.Contains(result.Log, "not found") {
		t.Error("the service's log does not say that its image is not there")
	}
}
