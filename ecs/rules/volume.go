package rules

import (
	"path"

	"github.com/clipperregistry/runner/ecs"
)

const efsDoc = api + "EFSVolumeConfiguration.html"

// volumeRules are about volumes and where they are mounted.
var volumeRules = []Rule{
	{ID: "volume-name", Severity: Error, Stage: Register, Doc: api + "Volume.html", check: checkVolumeNames,
		Quote:  "The name of the volume. Up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens are allowed.",
		Remedy: "give every volume a name of its own, of such characters"},
	{ID: "volume-kind", Severity: Error, Stage: Register, Doc: api + "Volume.html", check: checkVolumeKinds,
		Quote:  "To use bind mounts, specify the host parameter instead.",
		Remedy: "make each volume one of host, Docker, EFS, S3 Files, FSx or configured at launch"},
	{ID: "volume-at-launch", Severity: Error, Stage: Register, Doc: api + "Volume.html", check: checkLaunchVolumes,
		Quote:  "Each task definition revision may only have one volume configured at launch in the volume configuration.",
		Remedy: "leave one of them"},
	{ID: "mount-volume", Severity: Error, Stage: Register, Doc: api + "MountPoint.html", check: checkMounts,
		Quote:  "The name of the volume to mount. Must be a volume name referenced in the name parameter of task definition volume .",
		Remedy: "name a volume of the definition"},
	{ID: "mount-path", Severity: Error, Stage: Register, Doc: api + "MountPoint.html", check: checkMountPaths,
		Quote:  "The path on the container to mount the host volume at.",
		Remedy: "mount every volume at an absolute path of its own"},
	{ID: "volumes-from-container", Severity: Error, Stage: Register, Doc: api + "VolumeFrom.html", check: checkVolumesFrom,
		Quote:  "The name of another container within the same task definition to mount volumes from.",
		Remedy: "name another container of the definition"},
	{ID: "efs-access-point", Severity: Error, Stage: Register, Doc: efsDoc, check: checkAccessPoints,
		Quote:  "If an EFS access point is specified in the authorizationConfig , the root directory parameter must either be omitted or set to / which will enforce the path set on the EFS access point.",
		Remedy: "leave rootDirectory out"},
	{ID: "efs-encryption", Severity: Error, Stage: Register, Doc: efsDoc, check: checkEncryption,
		Quote:  "Transit encryption must be turned on if Amazon EFS IAM authorization is used.",
		Remedy: `set "transitEncryption": "ENABLED"`},
}

func checkVolumeNames(def *ecs.Definition, tell tell) {
	seen := map[string]bool{}
	for i, volume := range def.Root().Objects("volumes") {
		name, at := volume.Text("name"), entryPath("volumes", volume, i)+".name"
		switch {
		case !named(name):
			tell(at, "%q is missing, has other characters, or too many", name)
		case seen[name]:
			tell(at, "two volumes have this name")
		}
		seen[name] = true
	}
}

func checkVolumeKinds(def *ecs.Definition, tell tell) {
	for i, volume := range def.Root().Objects("volumes") {
		kinds := 0
		for _, member := range []string{"dockerVolumeConfiguration", "efsVolumeConfiguration", "fsxWindowsFileServerVolumeConfiguration", "s3filesVolumeConfiguration"} {
			if volume.Object(member) != nil {
				kinds++
			}
		}
		if volume.Object("host").Text("sourcePath") != "" {
			kinds++
		}
		if volume.Truth("configuredAtLaunch") {
			kinds++
		}
		if kinds > 1 {
			tell(entryPath("volumes", volume, i), "it is of %d kinds at once", kinds)
		}
	}
}

func checkLaunchVolumes(def *ecs.Definition, tell tell) {
	n := 0
	for i, volume := range def.Root().Objects("volumes") {
		if volume.Truth("configuredAtLaunch") {
			if n++; n == 2 {
				tell(entryPath("volumes", volume, i), "it is the second that is configured at launch")
			}
		}
	}
}

func checkMounts(def *ecs.Definition, tell tell) {
	volumes := map[string]bool{}
	for _, volume := range def.Root().Objects("volumes") {
		volumes[volume.Text("name")] = true
	}
	for _, c := range def.Containers() {
		eachEntry(c, "mountPoints", func(at string, mount *ecs.Object) {
			if name := mount.Text("sourceVolume"); !volumes[name] {
				tell(at+".sourceVolume", "there is no volume %q", name).Answer = "Unknown volume '" + name + "'."
			}
		})
	}
}

func checkMountPaths(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		seen := map[string]bool{}
		eachEntry(c, "mountPoints", func(at string, mount *ecs.Object) {
			where := mount.Text("containerPath")
			switch {
			case where == "":
				tell(at+".containerPath", "it is missing")
			case where[0] != '/' && !(len(where) > 1 && where[1] == ':'): // C:\ is Windows's
				tell(at+".containerPath", "%q is not absolute", where)
			case seen[path.Clean(where)]:
				tell(at+".containerPath", "two volumes are mounted at %s", where)
			}
			seen[path.Clean(where)] = true
		})
	}
}

func checkVolumesFrom(def *ecs.Definition, tell tell) {
	for _, c := range def.Containers() {
		eachEntry(c, "volumesFrom", func(at string, from *ecs.Object) {
			if name := from.Text("sourceContainer"); name == c.Name() || !hasContainer(def, name) {
				tell(at+".sourceContainer", "there is no other container %q", name)
			}
		})
	}
}

func checkAccessPoints(def *ecs.Definition, tell tell) {
	for i, volume := range def.Root().Objects("volumes") {
		efs, s3 := volume.Object("efsVolumeConfiguration"), volume.Object("s3filesVolumeConfiguration")
		root := efs.Text("rootDirectory") + s3.Text("rootDirectory")
		point := efs.Object("authorizationConfig").Text("accessPointId") + s3.Text("accessPointArn")
		if point != "" && root != "" && root != "/" {
			tell(entryPath("volumes", volume, i), "the access point decides on the directory, and rootDirectory is %s", root)
		}
	}
}

func checkEncryption(def *ecs.Definition, tell tell) {
	for i, volume := range def.Root().Objects("volumes") {
		efs := volume.Object("efsVolumeConfiguration")
		auth := efs.Object("authorizationConfig")
		if needs := auth.Text("accessPointId") != "" || auth.Text("iam") == "ENABLED"; needs && efs.Text("transitEncryption") != "ENABLED" {
			tell(entryPath("volumes", volume, i)+".efsVolumeConfiguration.transitEncryption", "access points and IAM need it")
		}
	}
}
