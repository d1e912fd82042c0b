package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// releaser is a clone of a small repository, whose releases the scripts of
// release.yml make. GitHub itself is a bare repository, and a gh that writes
// down what it was asked.
type releaser struct {
	t       *testing.T
	dir     string
	scripts map[string]string // by the names of their steps
}

func newReleaser(t *testing.T) *releaser {
	t.Helper()
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Name, Run string }
		}
	}
	if err := yaml.Unmarshal(readFile(t, "../.github/workflows/release.yml"), &workflow); err != nil {
		t.Fatal(err)
	}
	r := &releaser{t: t, dir: t.TempDir(), scripts: map[string]string{}}
	for _, step := range workflow.Jobs["release"].Steps {
		r.scripts[step.Name] = step.Run
	}
	r.write("bin/gh", "#!/bin/sh\necho \"$@\" >>$LOG\nfor word; do case $last in --notes-file) cp $word $LOG.notes; esac; last=$word; done\n")
	r.git("init", "--quiet", "--bare", "--initial-branch=main", r.dir+"/origin")
	r.git("clone", "--quiet", r.dir+"/origin", r.dir+"/clone")
	r.write("clone/action.yml", string(readFile(t, "../action.yml")))
	r.write("clone/.gitignore", string(readFile(t, "../.gitignore")))
	r.commit("the beginning")
	return r
}

func (r *releaser) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *releaser) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join(r.dir, "clone")
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = r.dir
	}
	cmd.Env = append(os.Environ(), "PATH="+r.dir+"/bin:"+os.Getenv("PATH"), "HOME="+r.dir, "LOG="+r.dir+"/gh.log",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	return cmd
}

func (r *releaser) git(args ...string) string {
	r.t.Helper()
	out, err := r.command("git", args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits what is there to main, pushes it, and has it checked out.
func (r *releaser) commit(subject string) (sha string) {
	r.t.Helper()
	r.git("add", ".")
	r.git("commit", "--quiet", "--allow-empty", "--message", subject)
	r.git("push", "--quiet", "origin", "HEAD:main")
	return r.git("rev-parse", "HEAD")
}

// step runs the script of a step as GitHub does.
func (r *releaser) step(name, version string) (out string, err error) {
	r.t.Helper()
	if r.scripts[name] == "" {
		r.t.Fatalf("release.yml has no step %q with a script", name)
	}
	cmd := r.command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", r.scripts[name])
	cmd.Env = append(cmd.Env, "VERSION="+version, "GITHUB_SHA="+r.git("rev-parse", "HEAD"), "GITHUB_ENV="+r.dir+"/env",
		"HUB=docker.io/clipperregistry/runner", "GHCR=ghcr.io/clipperregistry/runner", "DIGEST=sha256:0123")
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// release makes a release of the commit that is checked out, as the workflow
// does once its programs are built and its image is pushed.
func (r *releaser) release(version string) {
	r.t.Helper()
	sha := r.git("rev-parse", "HEAD")
	for _, arch := range []string{"amd64", "arm64"} {
		r.write("clone/dist/action/linux-"+arch, "the program of "+version+" for "+arch)
	}
	r.write("clone/dist/action/SHA256SUMS", "sums of "+version)
	r.write("clone/dist/sbom.spdx.json", "{}")
	for _, name := range []string{"check the version", "make the action's commit", "publish the release"} {
		if out, err := r.step(name, version); err != nil {
			r.t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	r.git("reset", "--quiet", "--hard", sha)
}

// TestRelease makes two releases, and looks at what people get.
func TestRelease(t *testing.T) {
	r := newReleaser(t)
	r.release("1.0.0")
	first := r.git("rev-parse", "v1.0.0")
	r.write("clone/new", "new")
	r.commit("something new")
	source := r.commit("something else")
	r.release("1.10.0")
	second := r.git("rev-parse", "v1.10.0")

	// The branch is at the newest tag, and has moved on from the one before.
	if got := strings.Fields(r.git("ls-remote", "origin", "refs/heads/v1"))[0]; got != second {
		t.Errorf("the branch v1 is at %s, v1.10.0 at %s", got, second)
	}
	if parents := r.git("rev-list", "--parents", "--max-count=1", second); parents != second+" "+first+" "+source {
		t.Errorf("the commit of the second release and its parents: %s", parents)
	}
	// It is the source with the programs, and with its own part pinned.
	changed := strings.Fields(r.git("diff", "--name-only", source, second))
	if want := []string{"action.yml", "dist/action/SHA256SUMS", "dist/action/linux-amd64", "dist/action/linux-arm64"}; !slices.Equal(changed, want) {
		t.Errorf("the release changes %q, want %q", changed, want)
	}
	if got := r.git("show", second+":dist/action/linux-arm64"); got != "the program of 1.10.0 for arm64" {
		t.Errorf("its program is %q", got)
	}
	manifest := r.git("show", second+":action.yml")
	for _, m := range uses.FindAllStringSubmatch(manifest, -1) {
		if m[1] != "clipperregistry/runner/action/cache-token@"+source {
			t.Errorf("the released action uses %s", m[1])
		}
	}
	// Main has no programs, and the part by its tag.
	if tree := r.git("ls-tree", "-r", "--name-only", "origin/main"); strings.Contains(tree, "dist/") {
		t.Errorf("main holds\n%s", tree)
	}

	notes := string(readFile(t, r.dir+"/gh.log.notes"))
	for _, want := range []string{"runner:1.10.0`", "sha256:0123", "- something new (", "- something else ("} {
		if !strings.Contains(notes, want) {
			t.Errorf("the changelog lacks %q:\n%s", want, notes)
		}
	}
	for _, other := range []string{"the beginning", "release v"} {
		if strings.Contains(notes, other) {
			t.Errorf("the changelog tells of %q, too:\n%s", other, notes)
		}
	}
	asked := string(readFile(t, r.dir+"/gh.log"))
	if !strings.Contains(asked, "release create v1.10.0 --verify-tag --draft") || !strings.HasSuffix(asked, "release edit v1.10.0 --draft=false\n") {
		t.Errorf("gh was asked\n%s", asked)
	}
}

// TestReleaseRefuses: a version is made once, of a commit that all have seen.
func TestReleaseRefuses(t *testing.T) {
	r := newReleaser(t)
	r.release("1.0.0")
	for version, want := range map[string]string{"1.0": "is not X.Y.Z", "v1.0.1": "is not X.Y.Z", "1.0.0": "is released already"} {
		if out, err := r.step("check the version", version); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %s", version, err, out)
		}
	}
	r.git("commit", "--quiet", "--allow-empty", "--message", "of nobody")
	if out, err := r.step("check the version", "1.0.1"); err == nil || !strings.Contains(out, "is not on main") {
		t.Errorf("a commit that is not pushed: %v, %s", err, out)
	}
}
