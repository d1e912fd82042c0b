package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// releasedAction is the repository as a release has it: with a program for each
// kind of machine, here for this one.
func releasedAction(t *testing.T) string {
	t.Helper()
	dir := lab.Scratch(t)
	for _, path := range []string{"action.yml", "action/cache-token"} {
		source, err := os.Stat(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		if source.IsDir() {
			err = os.CopyFS(filepath.Join(dir, path), os.DirFS(filepath.Join("../..", path)))
		} else {
			copyFile(t, filepath.Join("../..", path), filepath.Join(dir, path))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "dist/action/linux-amd64")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, lab.Program(t, "cmd/clipper-runner"), program)
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// usesAction is a job that runs one step in an image by the action, in
// whatever container: it is in, or on the machine itself.
const usesAction = `
jobs:
  test:
    container: CONTAINER
    env: {LEVEL: job}
    steps:
    - run: echo "chosen=gha/uses:e2e" >>"$GITHUB_ENV"
    - id: clipper
      uses: clipperregistry/runner@v1
      with:
        image: ${{ vars.REGISTRY }}/${{ env.chosen }}
        insecure-registries: ${{ vars.REGISTRY }}
        cache: true
        run: |
          echo "in $(. /etc/os-release; echo $ID): $OF_IMAGE, level $LEVEL, $(pwd | sed 's/.*\/app/app/')"
          echo "by-the-script=yes" >>"$GITHUB_OUTPUT"
          echo "LATER=from the script" >>"$GITHUB_ENV"
          echo made >file-of-the-script
    - run: 'echo "later: $LATER, $(cat file-of-the-script), rootfs ${{ steps.clipper.outputs.rootfs }}, ${{ steps.clipper.outputs.digest }}"'
`

// TestUses runs the action in a job container, where it lays the image out for
// all later steps, and on a plain machine, where one step is in the image and
// the others are not. Only there does its part in JavaScript run: a container
// may have nothing to run it with, and has no use for the cache's token.
func TestUses(t *testing.T) {
	image := alpine(t)
	image.Config.Env = append(image.Config.Env, "OF_IMAGE=from the image", "LEVEL=image")
	lab.Push(t, "gha/uses", image)
	for name, test := range map[string]struct{ container, rootfs, cache string }{
		"job container": {"${{ vars.RUNNER }}", "/", "The inputs cache mean nothing in a job's container"},
		"machine":       {"null", "", "The Actions cache is not used: no token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, strings.Replace(usesAction, "CONTAINER", test.container, 1), nil)
			r := newRunner(t)
			r.Actions["clipperregistry/runner@v1"] = releasedAction(t)
			result := runJob(t, r, req)
			digest := result.Step("clipper").Outputs["digest"]
			checkJob(t, result, "success", "in alpine: from the image, level job, app",
				"later: from the script, made, rootfs "+test.rootfs+", "+digest)
			if !strings.HasPrefix(digest, "sha256:") {
				t.Errorf("the digest is %q", digest)
			}
			// The replay gives the job no cache.
			if asked := strings.Contains(result.Log, "This job has no Actions cache"); asked != (test.rootfs == "") || !strings.Contains(result.Log, test.cache) {
				t.Errorf("the part in JavaScript runs: %v; want %q in the log", asked, test.cache)
			}
		})
	}
}
