#!/usr/bin/env bash
# Installs what the tests and the demo need beside Go, git, make and node, from
# the distribution's packages (Debian 12 and 13), and starts no service; and
# builds what these do not have into the clone's .setup/bin. Does nothing when
# everything is there.
#
#   install.sh [packages]
#
# With "packages" it builds nothing.
set -euo pipefail

# The tests have a containerd of the second generation read what we publish.
# They know where it is, and it is not on PATH: the engines keep the
# distribution's.
build_containerd() {
	local module=github.com/containerd/containerd/v2 version=v2.4.2 bin built
	bin=$(realpath "$(dirname "$0")/../..")/.setup/bin
	built=$(go version -m "$bin"/{containerd,ctr,containerd-shim-runc-v2} 2>/dev/null | grep -cP "\tmod\t$module\t$version\t") || true
	[ "$built" != 3 ] || return 0
	echo "set-up: building containerd $version"
	mkdir -p "$bin"
	# Without CRI and the snapshotters that need C or disks of their own.
	GOBIN=$bin CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' -tags 'no_btrfs no_cri no_devmapper no_zfs' \
		"$module"/cmd/{containerd,ctr,containerd-shim-runc-v2}"@$version"
}

# Every part is known by a command: "command package…". Debian 13 has the
# docker command in a package of its own, which Debian 12 does not know.
parts() {
	cat <<-'END'
		dockerd docker.io
		docker docker.io docker-cli
		containerd containerd
		runc runc
		docker-registry docker-registry
		mmdebstrap mmdebstrap
		gpg gpg
		skopeo skopeo
		umoci umoci
		busybox busybox-static
		podman podman
		mkfs.ext4 e2fsprogs
		mkfs.btrfs btrfs-progs
		losetup mount
		qemu-aarch64-static qemu-user-static
		newuidmap uidmap
		zstd zstd
		getfattr attr
		setcap libcap2-bin
		ip iproute2
		gcc gcc libc6-dev
	END
}

# missing prints the packages of every part whose command is not there.
missing() {
	local command packages
	while read -r command packages; do
		command -v "$command" >/dev/null || printf '%s\n' "${packages// /$'\n'}"
	done < <(parts) | sort -u
}

# known prints those of its arguments that this distribution has.
known() {
	local package
	for package in "$@"; do
		[ -z "$(apt-cache madison "$package")" ] || printf '%s\n' "$package"
	done
}

# A package that brings a service would start it. Debian asks policy-rc.d
# first; ours says no, and the machine's own comes back afterwards.
policy=/usr/sbin/policy-rc.d
forbid_services() {
	[ ! -e "$policy" ] || [ -e "$policy.before-clipper" ] || mv "$policy" "$policy.before-clipper"
	trap allow_services EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}
allow_services() {
	rm -f "$policy"
	[ ! -e "$policy.before-clipper" ] || mv "$policy.before-clipper" "$policy"
}

command -v apt-get >/dev/null || {
	echo "set-up: no apt-get here: the tests and the demo need Debian 12 or 13" >&2
	exit 1
}
[ "${1-}" = packages ] || build_containerd
# Administrators' commands are not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
mapfile -t wanted < <(missing)
# The tests build trees from packages, so the lists must be there in any case.
# shellcheck disable=SC2016 # apt's variable, not the shell's
lists=$(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' | head -n 1)
if [ ${#wanted[@]} = 0 ] && [ -n "$lists" ]; then
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "set-up: root is needed to install ${wanted[*]:-the package lists}; asking sudo"
	exec sudo -- "$0" packages
fi

export DEBIAN_FRONTEND=noninteractive
echo "set-up: apt-get update"
apt-get update -qq
[ ${#wanted[@]} != 0 ] || exit 0
mapfile -t wanted < <(known "${wanted[@]}")
echo "set-up: installing ${wanted[*]}"
forbid_services
apt-get install -qq --no-install-recommends "${wanted[@]}" </dev/null >/dev/null

mapfile -t wanted < <(missing)
if [ ${#wanted[@]} != 0 ]; then
	echo "set-up: still missing after the installation: ${wanted[*]}; does this machine use Debian's sources?" >&2
	exit 1
fi
