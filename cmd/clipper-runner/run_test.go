package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/sandbox"
)

func TestParseVolume(t *testing.T) {
	for volume, want := range map[string]sandbox.Mount{
		"/a:/b":        {Source: "/a", Target: "/b"},
		"./a:/b/:ro":   {Source: "./a", Target: "/b", ReadOnly: true},
		"name:/b:rw,z": {Source: "name", Target: "/b"},
	} {
		if got, err := parseVolume(volume); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", volume, got, err, want)
		}
	}
	for _, volume := range []string{"", "/a", ":/b", "/a:b", "/a:/", "/a:/x/..", "/a:/b:xx", "/a:/b:ro:rw", "/a:/.clipper-runner"} {
		if got, err := parseVolume(volume); err == nil {
			t.Errorf("%q: %v, want an error", volume, got)
		}
	}
}

func FuzzParseVolume(f *testing.F) {
	for _, seed := range []string{"/a:/b", "a:/b:ro", "a:/b/../..:z", "::", "/a:/.clipper-runner/../x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, volume string) {
		m, err := parseVolume(volume)
		if err != nil {
			return
		}
		if m.Source == "" || !filepath.IsAbs(m.Target) || m.Target != filepath.Clean(m.Target) || m.Target == "/" {
			t.Errorf("%q gave %q at %q", volume, m.Source, m.Target)
		}
		if first, _, _ := strings.Cut(m.Target[1:], "/"); first == sandbox.OwnDir {
			t.Errorf("%q lies in the sandbox's own directory", volume)
		}
	})
}

func TestProxies(t *testing.T) {
	got := proxies([]string{"HTTPS_PROXY=a", "no_proxy=b", "PATH=/bin", "CLIPPER_CREDENTIALS=s", "HTTP_PROXYX=c"})
	if want := []string{"HTTPS_PROXY=a", "no_proxy=b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
