#!/usr/bin/env bash
# Installs what the tests and the demo need beside Go, git, make and node, from
# the distribution's packages (Debian 12 and 13) and, below .setup, from the Go
# module proxy, the npm registry and Debian's unstable. It starts no service, and
# does nothing when everything is there.
#
#   install.sh [packages|root]
#
# With "packages" it brings the distribution's alone, with "root" also what else
# needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
setup=${here%/test/setup}/.setup

# Every part is known by a command: "command package…". Debian 13 has the
# docker command in a package of its own, which Debian 12 does not know. Docker
# and containerd inflate with unpigz and igzip where they find them. postgres is
# not on PATH in Debian.
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
		sudo sudo
		ip iproute2
		gcc gcc libc6-dev
		unpigz pigz
		igzip isal
		postgres postgresql
		chromium chromium fonts-dejavu-core
	END
}

# programs are what .setup/bin has: "command package@version". It is not on
# PATH, and the tests know where it is: the engines keep the distribution's
# containerd.
programs() {
	cat <<-'END'
		act github.com/nektos/act@v0.2.89
		containerd github.com/containerd/containerd/v2/cmd/containerd@v2.4.2
		ctr github.com/containerd/containerd/v2/cmd/ctr@v2.4.2
		containerd-shim-runc-v2 github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@v2.4.2
		crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
	END
}

# install_programs builds those that are not there in their version; containerd
# without CRI and the snapshotters that need C or disks of their own.
install_programs() {
	local command package built
	while read -r command package; do
		built=$(go version -m "$setup/bin/$command" 2>/dev/null | awk '$1 == "path" { path = $2 } $1 == "mod" { print path "@" $3 }') || true
		[ "$built" != "$package" ] || continue
		echo "set-up: building $package"
		GOBIN=$setup/bin GOFLAGS=-mod=mod CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' \
			-tags 'no_btrfs no_cri no_devmapper no_zfs' "$package"
	done < <(programs)
}

# node is the one that GitHub's runner brings for JavaScript actions, below
# .setup/externals as there: /__e/node24/bin/node. The machine's own node may be
# any.
node=24.21.0
install_node() {
	local arch dir=$setup/externals/node24/bin
	[ "$("$dir/node" --version 2>/dev/null)" != "v$node" ] || return 0
	arch=$(go env GOARCH)
	echo "set-up: fetching node $node"
	mkdir -p "$dir"
	(
		cd "$dir"
		npm pack --silent "node-linux-${arch/amd64/x64}@$node" >/dev/null
		tar --extract --gzip --strip-components=2 --file "node-linux-${arch/amd64/x64}-$node.tgz" package/bin/node
		rm "node-linux-${arch/amd64/x64}-$node.tgz"
	)
}

# install_npm installs the packages of npm in the versions of their lock, and
# lets none of them run anything.
install_npm() {
	local lock=package-lock.json from=$here/npm to=$setup/npm
	! cmp --silent "$from/$lock" "$to/$lock" || return 0
	echo "set-up: installing packages of npm"
	rm -rf "$to.new"
	mkdir -p "$to.new"
	cp "$from/package.json" "$from/$lock" "$to.new"
	npm ci --silent --ignore-scripts --prefix "$to.new" </dev/null
	rm -rf "$to"
	mv "$to.new" "$to"
}

# missing prints the packages of every part whose command is not there.
missing() {
	local command packages PATH=$PATH
	PATH=$PATH$(printf ':%s' /usr/lib/postgresql/*/bin)
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
# first; ours says no, and the machine's own comes back afterwards. PostgreSQL
# would also make a database cluster that nobody uses.
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/clipper.conf
forbid_services() {
	[ ! -e "$policy" ] || [ -e "$policy.before-clipper" ] || mv "$policy" "$policy.before-clipper"
	trap allow_services EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	mkdir -p "${no_cluster%/*}"
	echo 'create_main_cluster = false' >"$no_cluster"
}
allow_services() {
	rm -f "$policy" "$no_cluster"
	[ ! -e "$policy.before-clipper" ] || mv "$policy.before-clipper" "$policy"
}

# install_packages installs the packages of missing parts. The tests build
# trees from packages, so apt's lists are brought in any case.
install_packages() {
	local wanted
	mapfile -t wanted < <(missing)
	export DEBIAN_FRONTEND=noninteractive
	echo "set-up: apt-get update"
	apt-get update -qq
	[ ${#wanted[@]} != 0 ] || return 0
	mapfile -t wanted < <(known "${wanted[@]}")
	echo "set-up: installing ${wanted[*]}"
	forbid_services
	apt-get install -qq --no-install-recommends "${wanted[@]}" </dev/null >/dev/null

	mapfile -t wanted < <(missing)
	if [ ${#wanted[@]} != 0 ]; then
		echo "set-up: still missing after the installation: ${wanted[*]}; does this machine use Debian's sources?" >&2
		exit 1
	fi
}

# packages_are_there says whether nothing is missing, apt's lists neither.
packages_are_there() {
	local lists
	# shellcheck disable=SC2016 # apt's variable, not the shell's
	lists=$(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' | head -n 1)
	[ -n "$lists" ] && [ -z "$(missing)" ]
}

# install_moto unpacks moto, an imitation of AWS that the tests ask beside their
# own (test/moto), with what it needs: 230 MB that are not set up, only run. Only
# unstable has a moto that knows parameters by their ARNs, and a mirror's copy of
# unstable may be older than its signature says it should be.
install_moto() {
	local mirror option
	local options=('Acquire::Check-Valid-Until "false";')
	# shellcheck disable=SC2016 # apt's variable, not the shell's
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
	while read -r option; do options+=("$option"); done < <(apt-config dump --no-empty Acquire::http Acquire::https)
	echo "set-up: unpacking moto"
	mkdir -p "$setup"
	rm -rf "$setup/moto.new"
	mmdebstrap --quiet --mode=root --variant=extract --include=base-files,python3-moto,python3-flask-cors "${options[@]/#/--aptopt=}" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' sid "$setup/moto.new" "$mirror"
	mv "$setup/moto.new" "$setup/moto"
}

command -v apt-get >/dev/null || {
	echo "set-up: no apt-get here: the tests and the demo need Debian 12 or 13" >&2
	exit 1
}
# Root may have no Go.
if [ -z "${1-}" ]; then
	install_programs
	install_node
	install_npm
fi
# Administrators' commands are not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
if packages_are_there && { [ "${1-}" = packages ] || [ -d "$setup/moto" ]; }; then
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "set-up: root is needed to install packages; asking sudo"
	exec sudo -- "$0" "${1:-root}"
fi
packages_are_there || install_packages
[ "${1-}" = packages ] || [ -d "$setup/moto" ] || install_moto
