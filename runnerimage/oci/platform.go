package oci

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPlatform says that an index has no image for the platform asked for.
var ErrNoPlatform = errors.New("no such platform")

// ParsePlatform parses "os/arch" or "os/arch/variant" and brings it to its
// normal form: uname's names become Go's (x86_64 → amd64, aarch64 → arm64).
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(p string) bool { return !isWord(p) }) {
		return Platform{}, fmt.Errorf("platform %q: write os/arch or os/arch/variant, for example linux/amd64 or linux/arm/v7", s)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return normalize(p), nil
}

// HostPlatform is the platform of this program. The variant ("v7", "v3", or ""
// for the architecture's usual one) is the caller's to find out.
func HostPlatform(variant string) Platform {
	return normalize(Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH, Variant: variant})
}

// Runs says whether an image made for the platform image runs on host.
func Runs(host, image Platform) bool {
	return slices.Contains(accepted(host), bare(normalize(image)))
}

// Choose picks the manifest of an index for the platform want, as containerd
// does: the nearest variant that still runs there, earlier entries first; where
// none fits, the first entry that names no platform. Attestations are not
// images. The error is ErrNoPlatform and lists what there is.
func Choose(index *Index, want Platform) (Descriptor, error) {
	accepted := accepted(want)
	best, bestRank := -1, len(accepted)
	unnamed := -1
	for i, desc := range index.Manifests {
		if !isImage(desc) {
			continue
		}
		if !namesPlatform(desc) {
			if unnamed < 0 {
				unnamed = i
			}
			continue
		}
		platform := normalize(*desc.Platform)
		if rank := slices.Index(accepted, bare(platform)); rank >= 0 && rank < bestRank {
			best, bestRank = i, rank
		}
	}
	if best < 0 {
		best = unnamed
	}
	if best >= 0 {
		return index.Manifests[best], nil
	}
	return Descriptor{}, fmt.Errorf("%w: the image has none for %s; it has %s", ErrNoPlatform, want, list(Platforms(index)))
}

// Platforms lists for which platforms an index has images, in its order.
func Platforms(index *Index) []string {
	var there []string
	for _, desc := range index.Manifests {
		if !isImage(desc) || !namesPlatform(desc) {
			continue
		}
		if text := bare(normalize(*desc.Platform)).String(); !slices.Contains(there, text) {
			there = append(there, text)
		}
	}
	return there
}

func list(platforms []string) string {
	const most = 20
	switch {
	case len(platforms) == 0:
		return "none at all"
	case len(platforms) > most:
		return strings.Join(platforms[:most], ", ") + fmt.Sprintf(" and %d more", len(platforms)-most)
	}
	return strings.Join(platforms, ", ")
}

func namesPlatform(desc Descriptor) bool {
	return desc.Platform != nil && (desc.Platform.OS != "" || desc.Platform.Architecture != "")
}

// isImage tells images (and indexes of images) from what else indexes carry.
func isImage(desc Descriptor) bool {
	if desc.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
		return false
	}
	if p := desc.Platform; p != nil && p.OS == "unknown" && p.Architecture == "unknown" {
		return false
	}
	return desc.MediaType == "" || desc.MediaType.IsImage() || desc.MediaType.IsIndex()
}

// platform is what takes part in the choice: the variant is never "" where the
// architecture has variants.
type platform struct{ os, arch, variant string }

func (p platform) String() string {
	return Platform{OS: p.os, Architecture: p.arch, Variant: usual(p.arch, p.variant)}.String()
}

func bare(p Platform) platform {
	variant := p.Variant
	if variant == "" {
		switch p.Architecture {
		case "amd64":
			variant = "v1"
		case "arm":
			variant = "v7"
		case "arm64":
			variant = "v8"
		}
	}
	return platform{p.OS, p.Architecture, variant}
}

// accepted lists the platforms whose images run on p, best first.
func accepted(p Platform) []platform {
	host := bare(normalize(p))
	list := []platform{host}
	down := func(from, to int, arch string) {
		for v := from; v >= to; v-- {
			list = append(list, platform{host.os, arch, "v" + strconv.Itoa(v)})
		}
	}
	major, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(host.variant, ".", 2)[0], "v"))
	if err != nil || major > 99 {
		return list
	}
	switch host.arch {
	case "amd64":
		down(major-1, 1, "amd64")
		list = append(list, platform{host.os, "386", ""})
	case "arm":
		down(major-1, 5, "arm")
	case "arm64":
		if host.variant != "v"+strconv.Itoa(major) {
			down(major, major, "arm64") // v9.2 runs v9
		}
		down(major-1, 8, "arm64")
		down(8, 5, "arm")
	}
	return list
}

func normalize(p Platform) Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "i386", "i486", "i586", "i686":
		p.Architecture, p.Variant = "386", ""
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	p.Variant = usual(p.Architecture, p.Variant)
	return p
}

// usual leaves out a variant that the architecture alone already says.
func usual(arch, variant string) string {
	if arch == "amd64" && variant == "v1" || arch == "arm64" && (variant == "v8" || variant == "v8.0") {
		return ""
	}
	return variant
}

func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}
