package ecsfake

import (
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// private reports whether a volume lives as long as its task: a bind mount
// without a path of the host, a Docker volume of scope task, or an EBS volume
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DockerVolumeConfiguration.html:
// "Docker volumes that are scoped to a task are automatically provisioned when the task starts
// and destroyed when the task stops").
func private(v types.Volume) bool {
	switch {
	case v.EfsVolumeConfiguration != nil, v.S3filesVolumeConfiguration != nil, v.FsxWindowsFileServerVolumeConfiguration != nil:
		return false
	case v.DockerVolumeConfiguration != nil:
		return v.DockerVolumeConfiguration.Scope != types.ScopeShared
	}
	return v.Host == nil || aws.ToString(v.Host.SourcePath) == ""
}

// volume is the engine's name of a task's private volume.
func (t *task) volume(v types.Volume) string { return "ecs-" + t.id() + "-" + aws.ToString(v.Name) }

// binds are a container's mounts: of a private volume, of one that is shared
// on the instance, or of a directory that stands for a file system.
func (f *Fake) binds(c *container) []string {
	volumes := map[string]types.Volume{}
	for _, v := range c.task.definition.Volumes {
		volumes[aws.ToString(v.Name)] = v
	}
	var binds []string
	for _, m := range c.definition.MountPoints {
		mode := ":rw"
		if aws.ToBool(m.ReadOnly) {
			mode = ":ro"
		}
		binds = append(binds, f.source(c.task, volumes[aws.ToString(m.SourceVolume)])+":"+aws.ToString(m.ContainerPath)+mode)
	}
	return binds
}

func (f *Fake) source(t *task, v types.Volume) string {
	switch {
	case private(v):
		return t.volume(v)
	case v.EfsVolumeConfiguration != nil:
		return f.directory(aws.ToString(v.EfsVolumeConfiguration.FileSystemId))
	case v.S3filesVolumeConfiguration != nil:
		return f.directory(aws.ToString(v.S3filesVolumeConfiguration.FileSystemArn))
	case v.DockerVolumeConfiguration != nil:
		name := "ecs-shared-" + f.config.Account + "-" + aws.ToString(v.Name)
		f.shared[name] = true
		return name
	}
	return aws.ToString(v.Host.SourcePath)
}

// directory makes sure of a file system's directory. That the engine lacks it
// is the container's failure to start.
func (f *Fake) directory(id string) string {
	path := f.FileSystem(id)
	_ = os.MkdirAll(path, 0o755)
	return path
}

// volumes are the engine's volumes that outlived their tasks.
func (f *Fake) volumes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.shared))
	for name := range f.shared {
		names = append(names, name)
	}
	return names
}
