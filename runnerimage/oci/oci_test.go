package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseReference(t *testing.T) {
	for _, test := range []struct{ in, host, repository, tag, digest string }{
		{"debian", "index.docker.io", "library/debian", "latest", ""},
		{"debian:13", "index.docker.io", "library/debian", "13", ""},
		{"docker.io/debian", "index.docker.io", "library/debian", "latest", ""},
		{"docker.io/acme/app", "index.docker.io", "acme/app", "latest", ""},
		{"index.docker.io/library/debian:13", "index.docker.io", "library/debian", "13", ""},
		{"acme/app", "index.docker.io", "acme/app", "latest", ""},
		{"ghcr.io/acme/deep/app:v1.2_x", "ghcr.io", "acme/deep/app", "v1.2_x", ""},
		{"GHCR.io/acme/app", "ghcr.io", "acme/app", "latest", ""},
		{"localhost/app", "localhost", "app", "latest", ""},
		{"127.0.0.1:5055/a/b:c", "127.0.0.1:5055", "a/b", "c", ""},
		{"[::1]:5000/a", "[::1]:5000", "a", "latest", ""},
		{"ghcr.io/a/b@sha256:" + hex64, "ghcr.io", "a/b", "", "sha256:" + hex64},
		{"ghcr.io/a/b:c@sha256:" + hex64, "ghcr.io", "a/b", "c", "sha256:" + hex64},
		{"ghcr.io/a/b@sha512:" + hex64 + hex64, "ghcr.io", "a/b", "", "sha512:" + hex64 + hex64},
		{"r.example:443/a__b/c--d/e.f", "r.example:443", "a__b/c--d/e.f", "latest", ""},
	} {
		ref, err := oci.ParseReference(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		digest, ok := ref.Digest()
		if ref.Host() != test.host || ref.Repository() != test.repository || ref.Tag() != test.tag || ok != (test.digest != "") || ok && digest.String() != test.digest {
			t.Errorf("%s: got host %q repository %q tag %q digest %v", test.in, ref.Host(), ref.Repository(), ref.Tag(), digest)
		}
		if ref.Name() != test.host+"/"+test.repository {
			t.Errorf("%s: name %q", test.in, ref.Name())
		}
		if again, err := oci.ParseReference(ref.String()); err != nil || again != ref {
			t.Errorf("%s: its text %q reads back as %v, %v", test.in, ref, again, err)
		}
	}
}

func TestParseReferenceSaysWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "empty",
		" debian":                            "white space",
		"https://ghcr.io/a":                  `leave out "https://"`,
		"docker://debian":                    `leave out "docker://"`,
		"Debian":                             `write "debian"`,
		"ghcr.io/Acme/app":                   `write "ghcr.io/acme/app"`,
		"debian:":                            "no tag",
		"debian:a b":                         "white space",
		"debian:-x":                          "tag",
		"debian:" + strings.Repeat("x", 129): "tag",
		"debian@sha256:abc":                  "digest",
		"debian@md5:" + hex64:                "digest",
		"debian@sha256:" + hex64 + "@":       "digest",
		"ghcr.io/":                           "host/repository:tag",
		"ghcr.io//a":                         "repository",
		"../../etc/passwd":                   "registry",
		"ghcr.io/a/../b":                     "repository",
		"a_/b":                               "repository",
		"ho?st.io/a":                         "host/repository:tag",
		"ghcr.io:port/a":                     "host",
		"-x.io/a":                            "registry",
		"a" + strings.Repeat("b", 9999):      "longer",
	} {
		_, err := oci.ParseReference(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", in, err, want)
		}
	}
}

func TestWithDigest(t *testing.T) {
	ref, _ := oci.ParseReference("ghcr.io/a/b:c")
	digest, err := oci.ParseDigest("sha256:" + hex64)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ref.WithDigest(digest).String(), "ghcr.io/a/b:c@sha256:"+hex64; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, ok := ref.Digest(); ok {
		t.Error("WithDigest changed its receiver")
	}
}

func TestParsePlatform(t *testing.T) {
	for in, want := range map[string]string{
		"linux/amd64": "linux/amd64", "linux/amd64/v1": "linux/amd64", "linux/amd64/v3": "linux/amd64/v3",
		"Linux/x86_64": "linux/amd64", "linux/aarch64": "linux/arm64", "linux/arm64/v8": "linux/arm64",
		"linux/arm/7": "linux/arm/v7", "linux/armhf": "linux/arm/v7", "linux/i686": "linux/386",
	} {
		if got, err := oci.ParsePlatform(in); err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux /amd64", "a/b:c"} {
		if got, err := oci.ParsePlatform(in); err == nil || !strings.Contains(err.Error(), "os/arch") {
			t.Errorf("%q: got %s, %v", in, got, err)
		}
	}
	if p := oci.HostPlatform(""); p.OS == "" || p.Architecture == "" {
		t.Errorf("host platform is %v", p)
	}
}

// index makes an index; entry i has size i. "-" has no platform, "!" is an
// attestation, "+" something that is no image.
func index(entries ...string) *oci.Index {
	var x oci.Index
	for i, text := range entries {
		desc := oci.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(i)}
		switch text {
		case "-":
		case "!":
			desc.Platform = &oci.Platform{OS: "unknown", Architecture: "unknown"}
			desc.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		case "+":
			desc.MediaType = "application/x-other"
		default:
			parts := strings.Split(text+"//", "/")
			desc.Platform = &oci.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		}
		x.Manifests = append(x.Manifests, desc)
	}
	return &x
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		want    string
		entries []string
		chosen  int64 // -1: none
	}{
		{"linux/amd64", []string{"linux/arm64", "linux/amd64"}, 1},
		{"linux/amd64", []string{"linux/amd64/v2", "linux/amd64"}, 1},
		{"linux/amd64/v3", []string{"linux/amd64", "linux/amd64/v2", "linux/amd64/v4"}, 1},
		{"linux/amd64/v3", []string{"linux/amd64", "linux/amd64/v3"}, 1},
		{"linux/amd64", []string{"linux/amd64/v2"}, -1},
		{"linux/amd64", []string{"linux/386"}, 0},
		{"linux/arm64", []string{"linux/arm/v7", "linux/arm64/v8"}, 1},
		{"linux/arm64", []string{"linux/arm/v6", "linux/arm/v7"}, 1},
		{"linux/arm64/v9", []string{"linux/arm64"}, 0},
		{"linux/arm64", []string{"linux/arm64/v9"}, -1},
		{"linux/arm/v7", []string{"linux/arm/v5", "linux/arm/v6"}, 1},
		{"linux/arm/v6", []string{"linux/arm/v7", "linux/arm/v5"}, 1},
		{"linux/arm/v6", []string{"linux/arm", "linux/arm/v7"}, -1}, // no variant is v7
		{"linux/amd64", []string{"windows/amd64"}, -1},
		{"linux/amd64", []string{"!", "linux/amd64"}, 1},
		{"linux/amd64", []string{"!", "-"}, 1},
		{"linux/amd64", []string{"-", "linux/amd64"}, 1},
		{"linux/amd64", []string{"linux/arm64", "-", "-"}, 1},
		{"linux/amd64", []string{"!", "+"}, -1},
		{"linux/amd64", []string{"linux/amd64", "linux/amd64"}, 0},
		{"linux/s390x", []string{"linux/amd64", "linux/s390x"}, 1},
		{"linux/amd64", nil, -1},
	} {
		platform, err := oci.ParsePlatform(test.want)
		if err != nil {
			t.Fatal(err)
		}
		desc, err := oci.Choose(index(test.entries...), platform)
		switch {
		case test.chosen < 0 && !errors.Is(err, oci.ErrNoPlatform):
			t.Errorf("%s from %v: got %v, %v; want ErrNoPlatform", test.want, test.entries, desc.Size, err)
		case test.chosen >= 0 && (err != nil || desc.Size != test.chosen):
			t.Errorf("%s from %v: got %v, %v; want %d", test.want, test.entries, desc.Size, err, test.chosen)
		}
	}
}

func TestChooseListsWhatThereIs(t *testing.T) {
	platform, _ := oci.ParsePlatform("linux/s390x")
	_, err := oci.Choose(index("!", "linux/amd64", "linux/arm/v7", "linux/amd64"), platform)
	if err == nil || !strings.HasSuffix(err.Error(), "none for linux/s390x; it has linux/amd64, linux/arm/v7") {
		t.Errorf("got %v", err)
	}
}

func TestRuns(t *testing.T) {
	arm64, _ := oci.ParsePlatform("linux/arm64")
	if !oci.Runs(arm64, oci.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}) {
		t.Error("arm64 does not run arm64/v8")
	}
	if oci.Runs(arm64, oci.Platform{OS: "linux", Architecture: "amd64"}) {
		t.Error("arm64 runs amd64")
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"debian", "docker.io/x", "ghcr.io/a/b:c@sha256:" + hex64, "[::1]:5000/a", "localhost:1/a", "a:b:c", "@", "ghcr.io/a/../b", "x@sha512:" + hex64 + hex64} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := oci.ParseReference(s)
		if err != nil {
			return
		}
		again, err := oci.ParseReference(ref.String())
		if err != nil || again != ref {
			t.Fatalf("%q: its text %q reads back as %q, %v", s, ref, again, err)
		}
		if strings.ContainsAny(ref.Name(), "?#%@ \\") || strings.Contains(ref.Name(), "..") || strings.Contains(ref.Name(), "//") {
			t.Fatalf("%q: the name %q is not safe in a URL", s, ref.Name())
		}
	})
}

func FuzzParsePlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/arm/v7", "linux/arm64/v9.2", "linux/arm64/v99999999999", "a/b/1", "x86_64/x86_64"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := oci.ParsePlatform(s)
		if err != nil {
			return
		}
		again, err := oci.ParsePlatform(p.String())
		if err != nil || !again.Equals(p) {
			t.Fatalf("%q: %q reads back as %q, %v", s, p, again, err)
		}
		if !oci.Runs(p, p) {
			t.Fatalf("%q does not run on itself", s)
		}
	})
}
