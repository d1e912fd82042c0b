#!/usr/bin/env bash
# Runs a command with a disk, a Docker Engine and a registry of its own, and
# takes all of it away when the command ends, however it ends.
#
#   with-stack.sh [--engine-optional] COMMAND [ARG…]
#
# The command finds in its environment
#   DOCKER_HOST            the engine; one that was named and answers is kept
#   CLIPPER_TEST_REGISTRY  host:port of the registry, on the loopback
#   CLIPPER_TEST_SCRATCH   a directory on the disk; TMPDIR is on it too
# and no standard input. The exit code is the command's. With
# --engine-optional it runs without DOCKER_HOST where no engine can be started.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
setup=$root/.setup
run= # this run's directory, which everything it starts is named by

say() { printf 'set-up: %s\n' "$*"; }
fail() {
	say "$*" >&2
	exit 1
}

# become_root starts again as root. Modules are fetched before and build
# results kept apart, so that root leaves nothing in the caller's caches.
become_root() {
	(cd "$root" && go mod download)
	say "root is needed for containers and mounts; asking sudo"
	exec sudo -E -- env "PATH=$PATH" "GOMODCACHE=$(go env GOMODCACHE)" "GOCACHE=$setup/go-cache" "$0" "$@"
}

# make_room makes .setup and sees that nobody else uses it and that the disk
# can grow in it. A run that was killed has left its things: they go first.
make_room() {
	mkdir -p "$setup"
	exec 9>"$setup/lock"
	flock -n 9 || fail "another run uses $setup; wait for its end"
	if [ -s "$setup/run" ]; then
		run=$(<"$setup/run")
		say "taking away what an earlier run left in $run"
		take_away || true
	fi
	local free
	free=$(df --output=avail -BM "$setup" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge 8192 ] || fail "$setup has $free MiB of free space, the tests need 8192: make room, or clone to a larger disk"
	# The paths of sockets end at 107 bytes and this clone may lie deep.
	run=$(mktemp -d /tmp/clipper.XXXXXX)
	chmod 755 "$run"
	echo "$run" >"$setup/run"
}

# mount_disk gives the run a file system that can hold everything that images
# have, whatever this machine's own is. It is thrown away, so nothing waits for
# the disk (barrier=0); but it has a journal, because without one ext4 looks
# for an inode that was not freed lately at each file it makes, and trees that
# come and go make that very slow.
mount_disk() {
	mkdir "$run/disk"
	truncate -s 30G "$setup/disk.img"
	mkfs.ext4 -q -F -i 8192 -E nodiscard,lazy_itable_init=1 "$setup/disk.img"
	if ! mount -o loop,discard,noatime,noinit_itable,barrier=0 "$setup/disk.img" "$run/disk" 2>"$run/mount.log"; then
		say "no loop device here ($(<"$run/mount.log")): using a plain directory, which may be slower"
		mkdir -p "$setup/disk"
		mount --bind "$setup/disk" "$run/disk" || fail "cannot mount anything: run this on a machine or in a privileged container"
	fi
	# Podman wants its directories' paths below 50 bytes.
	mkdir -m 755 "$run/disk/test"
	mkdir -m 1777 "$run/disk/tmp"
	export CLIPPER_TEST_SCRATCH=$run/disk/test TMPDIR=$run/disk/tmp
}

# start runs a daemon in the background: start NAME COMMAND [ARG…]
# Job control gives it a process group of its own: a Ctrl-C reaches only this
# script, which ends everything in the right order.
start() {
	local name=$1
	shift
	set -m
	"$@" </dev/null >"$run/$name.log" 2>&1 9>&- &
	set +m
	echo $! >"$run/$name.pid"
}

# await waits until a started daemon answers: await NAME COMMAND [ARG…]
await() {
	local name=$1 end=$((SECONDS + 60))
	shift
	until "$@" >/dev/null 2>&1; do
		# Not alive: before it is executed, a child has another command line.
		if ! kill -0 "$(<"$run/$name.pid")" 2>/dev/null || [ $SECONDS -ge $end ]; then
			say "$name did not start; its last words:" >&2
			tail -n 15 "$run/$name.log" >&2
			return 1
		fi
		sleep 0.1
	done
}

# alive says whether a daemon of this run is still there, and no other process
# of the same id.
alive() {
	local pid
	pid=$(cat "$run/$1.pid" 2>/dev/null) && grep -qsaF "$run/" "/proc/$pid/cmdline"
}

start_containerd() {
	cat >"$run/containerd.toml" <<-END
		version = 2
		root = "$run/disk/containerd"
		state = "$run/containerd"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$run/containerd.sock"
	END
	start containerd containerd --config "$run/containerd.toml"
	await containerd ctr --address "$run/containerd.sock" version
}

engine_answers() { timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null; }

# start_engine starts a dockerd that shares nothing with one that this machine
# may have: neither configuration nor network rules nor containerd.
start_engine() {
	start_containerd || return
	echo '{}' >"$run/daemon.json"
	export DOCKER_HOST=unix://$run/docker.sock
	start dockerd dockerd --config-file "$run/daemon.json" --host "$DOCKER_HOST" --containerd "$run/containerd.sock" \
		--data-root "$run/disk/docker" --exec-root "$run/docker" --pidfile "$run/docker.pid" \
		--bridge none --iptables=false --ip6tables=false \
		--exec-opt native.cgroupdriver=cgroupfs --shutdown-timeout 5
	await dockerd engine_answers
}

start_registry() {
	cat >"$run/registry.yml" <<-END
		version: 0.1
		log: {level: info, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $run/disk/registry}, delete: {enabled: true}}
		http: {addr: "127.0.0.1:0"}
	END
	start registry docker-registry serve "$run/registry.yml"
	# It chooses a free port and says which.
	await registry grep -q 'listening on' "$run/registry.log"
	CLIPPER_TEST_REGISTRY=$(sed -n 's/.*listening on \([0-9.:]*\).*/\1/p' "$run/registry.log")
	export CLIPPER_TEST_REGISTRY
}

# start_all starts what the command needs, and says so.
start_all() {
	local version
	make_room
	mount_disk
	# A container-like machine may come without any control groups.
	if ! grep -q ' /sys/fs/cgroup' /proc/self/mounts; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		touch "$run/cgroup"
	fi
	if [ -n "${DOCKER_HOST-}" ] && version=$(engine_answers); then
		say "using Docker Engine $version at $DOCKER_HOST"
	elif start_engine; then
		say "started Docker Engine $(engine_answers) at $DOCKER_HOST"
	elif [ "$optional" ]; then
		unset DOCKER_HOST
		say "no Docker Engine can be started here: going on without"
	else
		exit 1
	fi
	start_registry
	say "started a registry at $CLIPPER_TEST_REGISTRY"
}

# stop ends a daemon of this run: kindly, after 30 seconds by force.
stop() {
	local end=$((SECONDS + 30)) pid
	alive "$1" || return 0
	pid=$(<"$run/$1.pid")
	kill "$pid"
	while alive "$1" && [ $SECONDS -lt $end ]; do sleep 0.1; done
	alive "$1" && kill -KILL "$pid"
}

# take_away ends every process that has this run's directory in its arguments
# or environment, unmounts what is below it and removes it with the disk.
# Whatever goes wrong here is said and does not change the exit code.
take_away() {
	local pid mountpoint
	stop dockerd
	stop containerd
	stop registry
	# Left are, at worst, a killed engine's shims with their containers, and
	# what the command left in the background.
	while read -r pid; do
		# shellcheck disable=SC2046 # one process id per word
		kill -KILL $(cat "/proc/$pid/task/$pid/children") "$pid"
	done 2>/dev/null < <(grep -lsaF "$run/" /proc/[0-9]*/{cmdline,environ} | cut -d/ -f3 | sort -u)
	[ ! -e "$run/cgroup" ] || umount /sys/fs/cgroup
	while read -r mountpoint; do
		umount "$mountpoint" 2>/dev/null || umount --lazy "$mountpoint"
	done < <(awk -v below="$run/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | tac)
	rm -rf --one-file-system "$run" "$setup/disk.img" "$setup/disk" "$setup/run"
	[ -z "${SUDO_UID-}" ] || chown -R "$SUDO_UID:${SUDO_GID-}" "$setup"
}

# finish ends the command with all its children, if it still runs, and takes
# the stack away. It cannot be interrupted.
finish() {
	local code=$? end=$((SECONDS + 10))
	trap '' INT TERM HUP
	trap - EXIT
	set +e
	if [ -n "$command" ]; then
		kill -TERM -- "-$command" 2>/dev/null
		while kill -0 -- "-$command" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.1; done
		kill -KILL -- "-$command" 2>/dev/null
	fi
	if [ -n "$run" ]; then
		take_away
		say "took the stack away"
	fi
	exit $code
}

[ "$(id -u)" = 0 ] || become_root "$@"
PATH=$PATH:/usr/sbin:/sbin
optional=
if [ "${1-}" = --engine-optional ]; then
	optional=yes
	shift
fi
[ $# -gt 0 ] || fail "usage: with-stack.sh [--engine-optional] COMMAND [ARG…]"

command=
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
start_all
# The clone may belong to somebody whom git does not let root read.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"
# Job control as in start; without it the command would also ignore SIGINT.
set -m
"$@" </dev/null 9>&- &
command=$!
set +m
wait "$command"
