package action

import (
	"os"
	"path/filepath"
	"testing"
)

func TestToolStore(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "__t"), 0o755))
	for _, test := range []struct{ environment, tools, want string }{
		{"self-hosted", "/__t", "/__t/clipper-runner/store"},
		{"self-hosted", "/not/mounted", ""},
		{"self-hosted", "", ""},
		{"github-hosted", "/__t", ""},
	} {
		if got := toolStore(map[string]string{"RUNNER_ENVIRONMENT": test.environment, "RUNNER_TOOL_CACHE": test.tools}, root); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestMountedStore(t *testing.T) {
	const (
		root   = "22 1 0:21 / / rw,relatime - overlay overlay rw\n"
		hosted = "31 22 8:1 /opt/hostedtoolcache /__t rw,relatime - ext4 /dev/sda1 rw\n"
		own    = "31 22 8:1 /home/ci/actions-runner/_work/_tool /__t rw,relatime - ext4 /dev/sda1 rw\n"
		beside = "32 22 8:1 /home/ci/actions-runner/_work/_tool /tools rw,relatime - ext4 /dev/sda1 rw\n"
	)
	for _, test := range []struct{ name, mounts, want string }{
		{"a hosted machine", root + hosted, ""},
		{"a machine of one's own", root + own, "/__t/clipper-runner/store"},
		{"mounted elsewhere", root + beside, ""},
		{"no tool cache", root, ""},
		{"no table", "rubbish\n", ""},
	} {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "proc/self"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "proc/self/mountinfo"), []byte(test.mounts), 0o644))
		if got := mountedStore(dir); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := mountedStore(t.TempDir()); got != "" {
		t.Errorf("without a table: %q", got)
	}
}
