package stack

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// PodmanRun are flags for `podman run`: Podman's own limits are above what a
// machine may allow, and its health checks are timers of systemd, which need
// not be there.
var PodmanRun = []string{"--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--no-healthcheck"}

// NewPodman returns the command line of a Podman with a storage of its own, on
// overlayfs, which is gone when the test ends.
func (s *Stack) NewPodman(t testing.TB) Client {
	t.Helper()
	dir := s.Scratch(t)
	podman := Client{"podman", []string{
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs",
	}}
	t.Cleanup(func() {
		// The test's context has ended.
		reset := exec.Command(podman.program, slices.Concat(podman.engine, []string{"system", "reset", "--force"})...)
		if out, err := reset.CombinedOutput(); err != nil {
			t.Errorf("clean up podman: %v: %s", err, out)
		}
	})
	return podman
}
