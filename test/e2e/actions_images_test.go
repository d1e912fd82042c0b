package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// anyImage is a job in vars.CONTAINER, which is an image itself, or the runner
// image that becomes vars.IMAGE. It leaves what the steps see in the workspace.
const anyImage = `
name: CI
env: {LEVEL: workflow, FROM_WORKFLOW: w}
jobs:
  test:
    env: {LEVEL: job}
    container:
      image: ${{ vars.CONTAINER }}
      env:
        LEVEL: container
        FROM_CONTAINER: c
        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/${{ vars.IMAGE }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
      options: ${{ vars.OPTIONS }}
    steps:
    - {id: before, run: 'cat /etc/os-release >before.txt; id -u >>before.txt; pwd >>before.txt'}
    - {id: init, if: vars.INIT, run: /.clipper-runner/github-init}
    - id: after
      env: {FROM_STEP: s}
      run: |
        env >env.txt
        { id; pwd; ls -A /; cat /etc/os-release; } >after.txt
        echo "VALUE=$OF_IMAGE and more" >>"$GITHUB_ENV"
        echo "ran=here" >>"$GITHUB_OUTPUT"
        echo "$GITHUB_WORKSPACE/bin" >>"$GITHUB_PATH"
        mkdir -p bin; printf '#!/bin/sh\necho "mine: $VALUE"\n' >bin/mine; chmod +x bin/mine
    - run: mine >later.txt; echo "${{ steps.after.outputs.ran }}" >>later.txt
    - {run: 'echo "${PATH}" >path.txt'}
`

// imageEnv is what the images of these tests set beside PATH.
var imageEnv = []string{"OF_IMAGE=image", "LEVEL=image", `QUOTES=a "b" 'c' $d \e`, "EMPTY=", "TWO_LINES=one\n two"}

// TestJobContainer runs one job in an image, and through the runner image in
// the same image. What the steps see is the same.
func TestJobContainer(t *testing.T) {
	for _, test := range []struct {
		name    string
		image   func(t *testing.T) stack.Image
		options string
		user    int
		// kept is what the runner image leaves in the root directory.
		kept string
	}{
		{name: "debian", image: debian},
		// The waiting loader, which says why GitHub's node cannot run here.
		{name: "alpine", image: alpine, kept: "lib64"},
		{name: "non-root", image: nonRoot, options: "--user 1000", user: 1000},
		{name: "old glibc", image: oldGlibc},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			image := test.image(t)
			image.Config.Env = append(image.Config.Env, imageEnv...)
			ref := lab.Push(t, "gha/"+strings.ReplaceAll(test.name, " ", "-"), image)
			req := newRequest(t, anyImage, nil)
			req.Vars["IMAGE"] = strings.TrimPrefix(ref, lab.Registry+"/")
			req.Vars["OPTIONS"] = test.options
			run := func(container, init string) map[string]string {
				req.Vars["CONTAINER"], req.Vars["INIT"] = container, init
				r := newRunner(t)
				r.User = test.user
				checkJob(t, runJob(t, r, req), "success")
				return readFiles(t, r.Workspace())
			}
			want, got := run(ref, ""), run(req.Vars["RUNNER"], "yes")
			want["after.txt"] += test.kept
			compareFiles(t, want, got)
			if image, runner := strings.TrimSpace(want["path.txt"]), strings.TrimSpace(got["path.txt"]); !strings.HasPrefix(runner, image) {
				t.Errorf("PATH is %s, which does not begin with the image's own: %s", runner, image)
			}
		})
	}
}

// readFiles reads the texts of a workspace.
func readFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the job left no texts in %s: %v", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

// compareFiles compares line by line, without what is each container's own.
func compareFiles(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name := range want {
		if name == "path.txt" {
			continue
		}
		wanted, found := sharedLines(want[name]), sharedLines(got[name])
		for _, line := range wanted {
			if !slices.Contains(found, line) {
				t.Errorf("%s lacks %q", name, line)
			}
		}
		for _, line := range found {
			if !slices.Contains(wanted, line) {
				t.Errorf("%s has %q, too", name, line)
			}
		}
	}
}

// sharedLines are the lines of a text that no container and no step has for
// itself.
func sharedLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		own := slices.ContainsFunc([]string{
			"PATH=", "HOSTNAME=", "CLIPPER_", ".clipper-runner", ".dockerenv", // each container's
			"GITHUB_ENV=", "GITHUB_PATH=", "GITHUB_OUTPUT=", "GITHUB_STATE=", "GITHUB_STEP_SUMMARY=", // each step's
			"_=", "SHLVL=",
		}, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
		if !own {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// TestShellLessImages: a job in an image without a shell cannot even start on
// GitHub. Through the runner image its run: steps have one.
func TestShellLessImages(t *testing.T) {
	for name, image := range map[string]func(t *testing.T) stack.Image{"distroless": distroless, "scratch": scratch} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "gha/"+name, image(t))
			req := newRequest(t, `
jobs:
  test:
    container:
      image: ${{ vars.CONTAINER }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/${{ vars.IMAGE }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
    steps:
    - {id: init, if: vars.INIT, run: /.clipper-runner/github-init}
    - run: |
        for word in a b; do echo "loop $word"; done
        echo "IN_ENV=set" >>"$GITHUB_ENV"
    - run: "${{ vars.PROGRAM }}"
    - run: echo "env ${IN_ENV} in $PWD"
`, nil)
			req.Vars["IMAGE"] = strings.TrimPrefix(ref, lab.Registry+"/")
			req.Vars["PROGRAM"] = map[string]string{"distroless": "hello -g 'hello from the image'", "scratch": "/app exit 0 && echo hello from the image"}[name]

			req.Vars["CONTAINER"] = ref
			checkJob(t, runJob(t, newRunner(t), req), "failure")
			req.Vars["CONTAINER"], req.Vars["INIT"] = req.Vars["RUNNER"], "yes"
			checkJob(t, runJob(t, newRunner(t), req), "success", "loop a", "loop b", "hello from the image", "env set in /__w/app/app")
		})
	}
}

// TestMatrix runs one workflow for several images; the outputs of github-init
// tell them apart.
func TestMatrix(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	for name, image := range map[string]func(t *testing.T) stack.Image{"alpine": alpine, "debian": debian} {
		ref := lab.Push(t, "gha/matrix-"+name, image(t))
		req := newRequest(t, `
jobs:
  test:
    strategy:
      matrix:
        image: [alpine, debian]
    container:
      image: ${{ vars.RUNNER }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/gha/matrix-${{ matrix.image }}:e2e
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
    outputs:
      digest: ${{ steps.init.outputs.digest }}
      image: ${{ steps.init.outputs.image }}
      pulled: ${{ steps.init.outputs.bytes-pulled }}
    steps:
    - {id: init, run: /.clipper-runner/github-init}
    - run: grep "^ID=" /etc/os-release
`, nil)
		req.Matrix = map[string]any{"image": name}
		result := runJob(t, newRunner(t), req)
		checkJob(t, result, "success", "ID="+name)
		digests[name] = result.Outputs["digest"]
		if !strings.HasPrefix(digests[name], "sha256:") || !strings.HasSuffix(result.Outputs["image"], ref[len(lab.Registry):]) || result.Outputs["pulled"] == "0" {
			t.Errorf("%s: outputs %v", name, result.Outputs)
		}
		if summary := result.Step("init").Summary; !strings.Contains(summary, digests[name]) {
			t.Errorf("%s: the summary does not name the digest:\n%s", name, summary)
		}
	}
	if digests["alpine"] == digests["debian"] {
		t.Errorf("two images with one digest: %v", digests)
	}
}

// shellAlone is what a job's container needs on GitHub, and nothing else:
// busybox, with the tail that it is started with.
func shellAlone(t *testing.T) stack.Image {
	image := busybox(t)
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(tarball.Dir("bin"), tarball.Symlink("bin/tail", "busybox"))))
	return image
}

// alpine is musl with its dynamic loader, and busybox for all the rest.
func alpine(t *testing.T) stack.Image {
	image := shellAlone(t)
	image.Layers = append(image.Layers, lab.Packages(t, "musl")...)
	image.Layers = append(image.Layers, stack.Tar(tarball.Build(tarball.Dir("etc"), tarball.File("etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\n"))))
	return image
}

// oldGlibc has a glibc that ends at version 2.27 for whatever asks for more:
// Debian's own, in which the names of later versions are overwritten. The
// dynamic loader then says the same as that of an old distribution. Its
// programs are busybox's, which need none.
func oldGlibc(t *testing.T) stack.Image {
	image := shellAlone(t)
	for _, layer := range lab.Packages(t, "libc6", "libgcc-s1", "libstdc++6") {
		image.Layers = append(image.Layers, stack.Tar(forgetVersions(t, layer)))
	}
	return image
}

// forgetVersions overwrites the names of the versions since 2.28 in a layer's
// libraries.
func forgetVersions(t *testing.T, layer stack.Layer) []byte {
	t.Helper()
	in, err := layer.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	reader, writer := tar.NewReader(in), tar.NewWriter(&out)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if path.Base(header.Name) == "libc.so.6" {
			for minor := 28; minor < 60; minor++ {
				content = bytes.ReplaceAll(content, fmt.Appendf(nil, "\x00GLIBC_2.%d\x00", minor), fmt.Appendf(nil, "\x00GLIBC_0.%d\x00", minor))
			}
		}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestToolCache: the second job of a self-hosted runner pulls nothing but the
// manifest, whether its container pulls the image or a step. A hosted machine
// keeps nothing.
func TestToolCache(t *testing.T) {
	const fromStart = `
jobs:
  test:
    container:
      image: ${{ vars.RUNNER }}
      env:
        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/${{ vars.IMAGE }}
        CLIPPER_INSECURE_REGISTRIES: ${{ vars.REGISTRY }}
    outputs:
      pulled: ${{ steps.init.outputs.bytes-pulled }}
      reused: ${{ steps.init.outputs.bytes-reused }}
    steps:
    - {id: init, run: /.clipper-runner/github-init}
    - run: bash -c 'echo "it is $(. /etc/os-release; echo $ID)"'
`
	byStep := strings.NewReplacer(
		"        CLIPPER_MAGIC_IMAGE: ${{ vars.REGISTRY }}/${{ vars.IMAGE }}\n", "",
		"{id: init, run", "{id: init, env: {CLIPPER_MAGIC_IMAGE: \"${{ vars.REGISTRY }}/${{ vars.IMAGE }}\"}, run",
	).Replace(fromStart)
	for _, test := range []struct {
		name, workflow string
		selfHosted     bool
	}{
		{"from the start", fromStart, true},
		{"by a step", byStep, true},
		{"hosted", fromStart, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, test.workflow, nil)
			req.Vars["IMAGE"] = strings.TrimPrefix(lab.Push(t, "gha/cached-"+strings.ReplaceAll(test.name, " ", "-"), debian(t)), lab.Registry+"/")
			r := newRunner(t)
			r.SelfHosted = test.selfHosted
			var outputs []map[string]string
			for range 2 {
				result := runJob(t, r, req)
				checkJob(t, result, "success", "it is debian")
				outputs = append(outputs, result.Outputs)
			}
			// Five digits are more than a manifest, and less than any layer here.
			much := func(bytes string) bool { return len(bytes) > 5 }
			first, second := outputs[0], outputs[1]
			if !much(first["pulled"]) || much(second["pulled"]) == test.selfHosted || much(second["reused"]) != test.selfHosted {
				t.Errorf("first %v, then %v", first, second)
			}
		})
	}
}
