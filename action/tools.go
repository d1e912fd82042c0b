package action

import (
	"os"
	"path"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
)

const (
	// tools is where GitHub's runner mounts the machine's tool cache in a job's
	// container, and ownTools what the cache is called on a machine that is not
	// GitHub's, unless somebody has named another.
	tools    = "/__t"
	ownTools = "_tool"
)

// toolStore is the store where the machine keeps tools between jobs; "" on a
// hosted machine, which is gone after the job, and in a pod of Kubernetes, into
// which nobody mounts them. job is the environment of a step.
func toolStore(job map[string]string, root string) string {
	dir := job["RUNNER_TOOL_CACHE"]
	if job["RUNNER_ENVIRONMENT"] != "self-hosted" || !path.IsAbs(dir) {
		return ""
	}
	if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
		return ""
	}
	return storeIn(dir)
}

// mountedStore is toolStore for the container's first process, to which nobody
// says on what machine it is: it sees what is mounted.
func mountedStore(root string) string {
	f, err := os.Open(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return ""
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != tools || path.Base(m.Root) != ownTools, false
	})
	if err != nil || len(mounts) == 0 {
		return ""
	}
	return storeIn(tools)
}

func storeIn(tools string) string { return path.Join(tools, "clipper-runner/store") }
