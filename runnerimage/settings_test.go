package runnerimage

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/process"
)

func TestParseSettings(t *testing.T) {
	s, err := ParseSettings([]string{
		"PATH=/bin", "CLIPPER_MAGIC_IMAGE=ghcr.io/a/b:1", "CLIPPER_CREDENTIALS=u:p", "CLIPPER_PLATFORM=linux/arm/v7",
		`CLIPPER_ENTRYPOINT=["/x","-c"]`, "CLIPPER_CAP_DROP=NET_RAW, CAP_MKNOD,", "CLIPPER_INIT=always",
		"CLIPPER_INSECURE_REGISTRIES=r.example", "CLIPPER_LOG=json", "CLIPPER_USER=", "CLIPPER_OTHER=x",
	}, strings.NewReader("# baked\n\nCLIPPER_USER=app\nCLIPPER_LOG=quiet\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Image.String() != "ghcr.io/a/b:1" || s.Credentials != "u:p" || s.Platform.Variant != "v7" ||
		!reflect.DeepEqual(s.Entrypoint, []string{"/x", "-c"}) || !slices.Equal(s.CapDrop, []string{"NET_RAW", "CAP_MKNOD"}) ||
		s.Init != process.InitAlways || !slices.Equal(s.Insecure, []string{"r.example"}) || s.Log != LogJSON {
		t.Errorf("%+v", s)
	}
	// An empty variable counts as not given, so the file's value stands.
	if s.User != "app" {
		t.Errorf("user %q", s.User)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	const image = "CLIPPER_MAGIC_IMAGE=debian"
	for name, test := range map[string]struct {
		environ []string
		file    string
		want    string // in the error
	}{
		"no image":        {nil, "", "CLIPPER_MAGIC_IMAGE"},
		"image":           {[]string{"CLIPPER_MAGIC_IMAGE=A B"}, "", "CLIPPER_MAGIC_IMAGE"},
		"platform":        {[]string{image, "CLIPPER_PLATFORM=linux"}, "", "CLIPPER_PLATFORM"},
		"entrypoint":      {[]string{image, "CLIPPER_ENTRYPOINT=/bin/sh"}, "", "JSON array"},
		"init":            {[]string{image, "CLIPPER_INIT=yes"}, "", "auto, always, never"},
		"log":             {[]string{image, "CLIPPER_LOG=xml"}, "", "text, json, quiet"},
		"two credentials": {[]string{image, "CLIPPER_CREDENTIALS=a", "CLIPPER_CREDENTIALS_FILE=/b"}, "", "both set"},
		"file's form":     {[]string{image}, "CLIPPER_USER app", "line 1"},
		"file's name":     {[]string{image}, "\nCLIPPER_USERS=app", "CLIPPER_USERS"},
	} {
		_, err := ParseSettings(test.environ, strings.NewReader(test.file))
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want ErrSettings with %q", name, err, test.want)
		}
		if ExitCode(err) != ExitSettings {
			t.Errorf("%s: exit code %d", name, ExitCode(err))
		}
	}
}

// A mistake is told in the form that was asked for.
func TestParseSettingsKeepsTheLogsForm(t *testing.T) {
	s, err := ParseSettings([]string{"CLIPPER_LOG=json", "CLIPPER_MAGIC_IMAGE=A B"}, nil)
	if err == nil || s.Log != LogJSON {
		t.Errorf("%q, %v", s.Log, err)
	}
}

func TestUsageNamesEverySetting(t *testing.T) {
	for _, name := range OwnNames() {
		if !strings.Contains(Usage, name+" ") && !strings.Contains(Usage, name+",") {
			t.Errorf("the usage does not name %s", name)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("CLIPPER_MAGIC_IMAGE=debian", "CLIPPER_USER=x\n")
	f.Add(`CLIPPER_ENTRYPOINT=["a"]`, "#\n=\n")
	f.Fuzz(func(t *testing.T, entry, file string) {
		if _, err := ParseSettings([]string{"CLIPPER_MAGIC_IMAGE=debian", entry}, strings.NewReader(file)); err != nil && !errors.Is(err, ErrSettings) {
			t.Errorf("%v is not an ErrSettings", err)
		}
	})
}
