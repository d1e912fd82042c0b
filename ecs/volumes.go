package ecs

import (
	"fmt"
	"path"
	"strings"
)

// needFreePaths refuses mounts that would hide the image or the runner.
func (m *move) needFreePaths() {
	check := func(mount *Object, at string) {
		switch where := path.Clean("/" + mount.Text("containerPath")); {
		case mount.Text("containerPath") == "": // ECS refuses that
		case where == "/":
			m.refuse(ruleMountPoints, at, "a mount at / leaves no place for the image")
		case where == StorePath: // a store of the definition's own
		case where == runnerDir || strings.HasPrefix(where, runnerDir+"/"):
			m.refuse(ruleMountPoints, at, "%s is the runner's own directory", runnerDir)
		}
	}
	for i, mount := range m.Objects("mountPoints") {
		check(mount, fmt.Sprintf("%s.mountPoints[%d]", m.Path, i))
	}
	for i, mount := range m.Object.Object("linuxParameters").Objects("tmpfs") {
		check(mount, fmt.Sprintf("%s.linuxParameters.tmpfs[%d]", m.Path, i))
	}
}

// tellVolumesFrom: an image's own volumes are made by the engine, and the
// engine sees the runner image, which has none.
func (r *rendering) tellVolumesFrom() {
	for _, c := range r.def.Containers() {
		for _, from := range c.Objects("volumesFrom") {
			source := r.moves.named(from.Text("sourceContainer"))
			if source != nil && source.image != nil && source.image.Config != nil && len(source.image.Config.Config.Volumes) > 0 {
				r.tell(Warn, ruleVolumesFrom, c.Path+".volumesFrom["+source.Name()+"]", "the volumes that the image of %s declares are not shared: mount volumes of the task", source.Name())
			}
		}
	}
}
