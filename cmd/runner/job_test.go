package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/libc"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
)

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSidecar(t *testing.T) {
	home := t.TempDir()
	loader, _ := libc.Loaders(runtime.GOARCH)
	if got, want := sidecar(home), []rootfs.Link{{Path: loader, Target: home + "/loader"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	own := home + "/glibc/" + filepath.Base(loader)
	write(t, own, "")
	write(t, home+"/glibc/lib/libc.so.6", "")
	want := []rootfs.Link{
		{Path: loader, Target: own},
		{Path: libc.Directory(runtime.GOARCH) + "/libc.so.6", Target: home + "/glibc/lib/libc.so.6"},
	}
	if got := sidecar(home); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestJobEnviron(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runner.env")
	environ := []string{"CLIPPER_MAGIC_IMAGE=", "CLIPPER_USER=app", "PATH=/bin", "EMPTY="}
	job, err := jobEnviron(file, environ)
	if err != nil || job["CLIPPER_USER"] != "app" || len(job) != 4 {
		t.Errorf("without a file: %v, %v", job, err)
	}
	write(t, file, "CLIPPER_MAGIC_IMAGE=debian:12\nCLIPPER_USER=other\nCLIPPER_AWS_ROLE_ARN=arn\n")
	job, err = jobEnviron(file, environ)
	if err != nil || job["CLIPPER_MAGIC_IMAGE"] != "debian:12" || job["CLIPPER_USER"] != "app" || job["CLIPPER_AWS_ROLE_ARN"] != "arn" {
		t.Errorf("with a file: %v, %v", job, err)
	}
	write(t, file, "NO_SETTING=1\n")
	if _, err := jobEnviron(file, environ); err == nil {
		t.Error("a file with another name than a setting's is read")
	}
}
