package action

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Git is a planned change of git's configuration. The zero value changes
// nothing.
type Git struct {
	// File is the configuration to add to, Text what is added.
	File, Text string
}

// PlanGit plans to let git work in the workspace. It belongs to the runner's
// user and steps are root, and git then refuses with "dubious ownership". image
// is the image's ENV; hasGit says that the image has git at all.
//
// The place is the configuration of the steps' HOME, which GitHub makes anew for
// every job: no file of the image changes, and no variable has to be passed. Who
// has set GIT_CONFIG_GLOBAL has git's configuration in hand, and it is left
// alone.
func PlanGit(image []string, job map[string]string, hasGit bool) Git {
	home, workspace := job["HOME"], job["GITHUB_WORKSPACE"]
	env := Environ(image)
	if !hasGit || !path.IsAbs(home) || !path.IsAbs(workspace) || strings.Contains(workspace, "\x00") ||
		job["GIT_CONFIG_GLOBAL"] != "" || env["GIT_CONFIG_GLOBAL"] != "" {
		return Git{}
	}
	// The escapes of git-config(1).
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(workspace)
	return Git{File: path.Join(home, ".gitconfig"), Text: "[safe]\n\tdirectory = \"" + quoted + "\"\n"}
}

// HasGit reports whether a program named git stands in a directory of the
// image's PATH. root is the root directory the image stands in.
func HasGit(root fs.FS, image []string) bool {
	for _, dir := range strings.Split(Environ(image)["PATH"], ":") {
		name := strings.TrimPrefix(path.Join(dir, "git"), "/")
		if info, err := fs.Stat(root, name); path.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// AddGit makes the planned change, unless it was made before.
func (f Files) AddGit(g Git) error {
	if g.File == "" {
		return nil
	}
	err := f.appendTo(g.File, os.O_RDWR|os.O_CREATE, func(before string) (string, error) {
		if strings.Contains(before, g.Text) {
			return "", nil
		}
		return g.Text, nil
	})
	if err != nil {
		return fmt.Errorf("git's configuration: %w", err)
	}
	return nil
}
