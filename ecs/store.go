package ecs

import (
	"fmt"
	"path"
)

// check finds a store that cannot be.
func (s *Store) check(def *Definition) error {
	if s == nil {
		return nil
	}
	kinds := 0
	for _, field := range []string{s.EFS, s.S3Files, s.Host, s.Docker} {
		if field != "" {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fmt.Errorf("%w: a store is one of EFS, S3 Files, a host directory, a Docker volume", ErrOptions)
	case s.AccessPoint != "" && s.EFS == "" && s.S3Files == "":
		return fmt.Errorf("%w: only file systems have access points", ErrOptions)
	case def.fargate() && (s.Host != "" || s.Docker != ""):
		return fmt.Errorf("%w: Fargate keeps nothing of a host: the store has to be on EFS or S3 Files", ErrOptions)
	}
	return nil
}

// volume is the store as an entry of volumes. A Docker volume has the name
// of its entry.
func (s *Store) volume() *Object {
	config := NewObject()
	set := func(member, value string) {
		if value != "" {
			config.Set(member, value)
		}
	}
	member, name := "", StoreVolume
	switch {
	case s.EFS != "":
		member = "efsVolumeConfiguration"
		set("fileSystemId", s.EFS)
		set("transitEncryption", "ENABLED")
		if s.AccessPoint != "" {
			config.Set("authorizationConfig", NewObject(Member{"accessPointId", s.AccessPoint}))
		}
	case s.S3Files != "":
		member = "s3filesVolumeConfiguration"
		set("fileSystemArn", s.S3Files)
		set("accessPointArn", s.AccessPoint)
	case s.Host != "":
		member = "host"
		set("sourcePath", s.Host)
	case s.Docker != "":
		member, name = "dockerVolumeConfiguration", s.Docker
		set("scope", "shared")
		config.Set("autoprovision", true)
		set("driver", "local")
	}
	return NewObject(Member{"name", name}, Member{member, config})
}

// addStore adds the store's volume, or replaces what was rendered before.
func (r *rendering) addStore() {
	if r.options.Store == nil {
		return
	}
	volume := r.options.Store.volume()
	name := volume.Text("name")
	volumes := r.def.root.List("volumes")
	for i, old := range r.def.root.Objects("volumes") {
		if old.Text("name") != name {
			continue
		}
		if !same(old, volume) {
			volumes[i] = volume
			r.tell(Adapt, ruleStore, "volumes["+name+"]", "it is the store that the options name now")
		}
		return
	}
	r.def.root.appendTo("volumes", volume)
	r.tell(Adapt, ruleStore, "volumes["+name+"]", "it keeps images between tasks: whoever may write to it is trusted by all that read it")
}

// mountStore mounts the store.
func (m *move) mountStore() {
	if m.options.Store == nil {
		return
	}
	name := m.options.Store.volume().Text("name")
	for _, mount := range m.Objects("mountPoints") {
		if path.Clean(mount.Text("containerPath")) != StorePath {
			continue
		}
		if mount.Text("sourceVolume") != name {
			mount.Set("sourceVolume", name)
			m.tell(Adapt, ruleStore, m.Path+".mountPoints", "%s is %s now", StorePath, name)
		}
		return
	}
	m.appendTo("mountPoints", NewObject(Member{"sourceVolume", name}, Member{"containerPath", StorePath}, Member{"readOnly", false}))
	m.tell(Adapt, ruleStore, m.Path+".mountPoints", "%s is %s", StorePath, name)
}
