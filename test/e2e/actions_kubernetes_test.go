package e2e

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// inPod is a job of a runner in Kubernetes: vars.CONTAINER is an image itself,
// or the runner image, which becomes vars.IMAGE from the start or by a step.
const inPod = `
jobs:
  test:
    container:
      image: ${{ vars.CONTAINER }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.IMAGE }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
    steps:
    - id: early
      run: |
        mkdir -p sub && echo kept >sub/file
        printf 'VALUE<<end\nof a "step"\nwith $two lines\nend\n' >>"$GITHUB_ENV"
    - {id: init, if: vars.LATER, env: {CLIPPER_MAGIC_IMAGE: "${{ vars.REGISTRY }}/${{ vars.LATER }}"}, run: /.clipper-runner/github-init}
    - {id: fails, continue-on-error: true, run: exit 7}
    - run: |
        . /etc/os-release
        echo "$ID in $PWD: $VALUE, $(cat sub/file)"
`

// TestKubernetes runs jobs whose every step is copied into a pod by GitHub's
// container hooks: by the image's own commands where it stands, and by those of
// the bare image where it does not, or where there are none.
func TestKubernetes(t *testing.T) {
	const node = ": hello from /__e/node24/bin/node in /__w/app/app, workspace /__w/app/app, home "
	for _, test := range []struct {
		name  string
		image func(*testing.T) stack.Image
		// direct: without the runner image. later: an image that a step names.
		direct, later bool
		node          string // the beginning of what a JavaScript action says, if there is one
		id            string
	}{
		{name: "an image itself", image: debian, direct: true, node: "main" + node, id: "debian"},
		{name: "from the start", image: debian, node: "main" + node, id: "debian"},
		{name: "by a step", image: debian, later: true, id: "debian"},
		{name: "Alpine", image: alpine, node: "musl: hello, /__w/_actions/acme/setup/v1/main.js", id: "alpine"},
		{name: "distroless", image: distrolessRelease, id: "distroless"},
		{name: "distroless by a step", image: distrolessRelease, later: true, id: "distroless"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "gha/pod-"+strings.ToLower(strings.ReplaceAll(test.name, " ", "-")), test.image(t))
			req := newRequest(t, inPod, nil)
			image := strings.TrimPrefix(ref, lab.Registry+"/")
			req.Vars["CONTAINER"] = req.Vars["RUNNER"]
			switch {
			case test.direct:
				req.Vars["CONTAINER"] = ref
			case test.later:
				req.Vars["LATER"] = image
			default:
				req.Workflow = strings.Replace(inPod, "${{ vars.IMAGE }}", "${{ vars.REGISTRY }}/"+image, 1)
			}
			r := newRunner(t)
			r.Kubernetes, r.SelfHosted = true, true
			if test.node != "" {
				req.Workflow = strings.Replace(req.Workflow, "steps:\n", "steps:\n    - uses: acme/setup@v1\n", 1)
			}
			if strings.HasPrefix(test.node, "musl") {
				r.Externals = muslNode(t)
			}
			result := runJob(t, r, req)
			checkJob(t, result, "success", test.id+` in /__w/app/app: of a "step"`, "with $two lines, kept")
			if !strings.Contains(result.Log, test.node) {
				t.Errorf("no JavaScript action says %q", test.node)
			}
			if got := result.Step("fails").Outcome; got != "failure" {
				t.Errorf("a script that fails: %s", got)
			}
			if strings.Contains(result.Log, "on no volume") {
				t.Error("a store is looked for where nobody has mounted one")
			}
		})
	}
}

// distrolessRelease says which distribution it is.
func distrolessRelease(t *testing.T) stack.Image {
	image := distroless(t)
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(tarball.Dir("etc"), tarball.File("etc/os-release", "ID=distroless\n"))))
	return image
}

// TestKubernetesWithoutImage: what keeps an image from being laid out is told by
// the first step, and does not stop the hooks.
func TestKubernetesWithoutImage(t *testing.T) {
	t.Parallel()
	req := newRequest(t, strings.Replace(inPod, "${{ vars.IMAGE }}", "${{ vars.REGISTRY }}/gha/not-there:1", 1), nil)
	req.Vars["CONTAINER"] = req.Vars["RUNNER"]
	r := newRunner(t)
	r.Kubernetes, r.SelfHosted = true, true
	result := runJob(t, r, req)
	if got := result.Step("early").Outcome; got != "success" {
		t.Errorf("the first step: %s", got)
	}
	if !strings.Contains(result.Log, "clipper-runner: the image could not be laid out (") {
		t.Error("nobody says why there is no image")
	}
	if strings.Contains(result.Log, "cpToPod") {
		t.Error("the hooks take what is said for an error")
	}
}
