#!/usr/bin/env bash
# Shows the main job on a stack that is there already (with-stack.sh): a real
# Debian image in a registry, run by its own name and through the runner.
# Without DOCKER_HOST the runner's own sandbox takes the engine's place.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$CLIPPER_TEST_SCRATCH/demo
image=$CLIPPER_TEST_REGISTRY/demo:latest
runner=clipperregistry/runner:latest
mkdir "$work"

say() { printf '\n== %s\n' "$*"; }
show() { printf '   $ %s\n' "$*"; }

# build_sample makes an image of a small Debian with a program that says where
# it runs.
build_sample() {
	local sources
	cat >"$work/where-am-i" <<-'END'
		#!/bin/sh
		. /etc/os-release
		echo "system:    $PRETTY_NAME with $(dpkg-query -W | wc -l) packages, $(find / -xdev ! -path '/.clipper-runner*' 2>/dev/null | wc -l) paths"
		echo "user:      $(id)"
		echo "directory: $(pwd)"
		echo "greeting:  $GREETING"
		echo "arguments: $*"
	END
	# The same mirrors as this machine's, whatever they are.
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u)
	mmdebstrap --quiet --mode=root --variant=essential --customize-hook="install -m 755 $work/where-am-i \"\$1/usr/bin/\"" \
		"$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" "$work/debian.tar" - <<<"$sources"
	umoci init --layout "$work/layout"
	umoci new --image "$work/layout:demo"
	umoci raw add-layer --image "$work/layout:demo" "$work/debian.tar"
	umoci config --image "$work/layout:demo" --config.entrypoint where-am-i --config.cmd 'the image'"'"'s own' \
		--config.user games --config.workingdir /srv --config.env 'GREETING=hello from the image'
	skopeo copy --quiet --dest-tls-verify=false "oci:$work/layout:demo" "docker://$image"
}

# by_engine runs the image directly and through the runner. The containers
# share this machine's network because the registry is on its loopback.
by_engine() {
	local through=(--network host -e CLIPPER_MAGIC_IMAGE="$image" "$runner")
	docker load --quiet --input "dist/runner-image-$(go env GOARCH).tar"
	docker pull --quiet "$image" >/dev/null
	trap 'docker rmi --force "$image" >/dev/null' EXIT

	say "Docker runs the image itself"
	show docker run --rm --network host "$image"
	docker run --rm --network host "$image" | tee "$work/direct"

	say "Docker runs the runner image, which becomes that image"
	show docker run --rm "${through[@]}"
	docker run --rm "${through[@]}" | tee "$work/runner"
	if ! diff "$work/direct" "$work/runner"; then
		say "The two differ: the demo failed"
		return 1
	fi
	say "The two said the same. Arguments replace the image's own, as ever:"
	show docker run --rm "${through[@]}" one two
	docker run --rm "${through[@]}" one two
}

by_sandbox() {
	say "No Docker Engine here: the command line runs the image in namespaces"
	show dist/clipper-runner run --network host "$image"
	dist/clipper-runner run --network host "$image"
}

say "building a sample image from Debian packages and pushing it as $image"
build_sample
if [ -n "${DOCKER_HOST-}" ]; then
	by_engine
else
	by_sandbox
fi
rm -rf "$work"
say "The demo is over; it took $SECONDS s"
