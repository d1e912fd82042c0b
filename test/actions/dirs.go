package actions

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// dirs are a runner's directories on the machine.
type dirs struct {
	user                                                         int
	socket                                                       string
	work, temp, actions, tools, externals, workspace, home, flow string
}

func (r *Runner) layout(socket string) dirs {
	work := filepath.Join(r.Dir, "_work")
	temp := filepath.Join(work, "_temp")
	name := filepath.Base(repository)
	d := dirs{
		user:   r.User,
		socket: socket, work: work, temp: temp, actions: filepath.Join(work, "_actions"), tools: r.ToolCache, externals: r.Externals,
		workspace: filepath.Join(work, name, name), home: filepath.Join(temp, "_github_home"), flow: filepath.Join(temp, "_github_workflow"),
	}
	if d.tools == "" {
		d.tools = filepath.Join(r.Dir, "hostedtoolcache")
		if r.SelfHosted {
			d.tools = filepath.Join(r.Dir, "_tool")
		}
	}
	return d
}

// Workspace is the directory of the repository on the machine.
func (r *Runner) Workspace() string { return r.layout("").workspace }

// prepare makes the directories; _temp is empty before and after each job.
func (d dirs) prepare() error {
	if err := d.wipeTemp(); err != nil {
		return err
	}
	if err := os.RemoveAll(d.actions); err != nil {
		return err
	}
	for _, dir := range []string{d.actions, d.tools, d.workspace, d.home, d.flow} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(d.flow, "event.json"), []byte("{}\n"), 0o644); err != nil {
		return err
	}
	return errors.Join(d.own(d.work), d.own(d.tools))
}

// own gives what is below a path to the runner's user.
func (d dirs) own(path string) error {
	if d.user == 0 {
		return nil
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, d.user, d.user)
	})
}

func (d dirs) wipeTemp() error { return os.RemoveAll(d.temp) }

// mapping is a directory of the machine and its place in the job's container.
type mapping struct{ host, container string }

// mappings are in the order in which the runner tries them.
func (d dirs) mappings() []mapping {
	return []mapping{
		{d.flow, "/github/workflow"}, {d.home, "/github/home"},
		{d.work, "/__w"}, {d.tools, "/__t"}, {d.externals, "/__e"},
	}
}

// toContainer translates a path, or any text that begins with one.
func (d dirs) toContainer(path string) string {
	for _, m := range d.mappings() {
		if rest, ok := strings.CutPrefix(path, m.host); ok && (rest == "" || rest[0] == '/') {
			return m.container + rest
		}
	}
	return path
}
