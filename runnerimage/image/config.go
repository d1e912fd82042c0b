package image

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// environment is the image's whole environment. GitHub reads PATH from the config
// once, when it makes the container, and puts it behind everything that steps
// add; the bare image's own commands therefore come last.
const environment = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + home + "/bin"

// configFile is v1.ConfigFile with Docker's whole health check: the fields
// here hide the ones of the same JSON name in the embedded types.
type configFile struct {
	v1.ConfigFile
	Config config `json:"config"`
}

type config struct {
	v1.Config
	Healthcheck healthcheck `json:"Healthcheck"`
}

// healthcheck adds Docker 25's StartInterval, which older engines ignore.
type healthcheck struct {
	v1.HealthConfig
	StartInterval time.Duration
}

func newConfigFile(cfg Config, p v1.Platform, diffID v1.Hash) configFile {
	created := v1.Time{Time: cfg.Time}
	return configFile{
		ConfigFile: v1.ConfigFile{
			Architecture: p.Architecture,
			Variant:      p.Variant,
			OS:           p.OS,
			Created:      created,
			RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}},
			History:      []v1.History{{Created: created, CreatedBy: "clipperregistry/runner build-image"}},
		},
		Config: config{
			Config: v1.Config{
				Env:        []string{environment},
				User:       "0",
				WorkingDir: "/",
				Entrypoint: []string{home + "/runner"},
				Labels:     labels(cfg),
			},
			// The start period outlasts any pull: until the image's program
			// runs, a failed probe must not make the container unhealthy. It
			// holds for a health check that the user gives, too.
			Healthcheck: healthcheck{
				HealthConfig: v1.HealthConfig{
					Test:        []string{"CMD", home + "/healthcheck"},
					Interval:    10 * time.Second,
					Timeout:     60 * time.Second,
					StartPeriod: 30 * time.Minute,
				},
				StartInterval: time.Second,
			},
		},
	}
}

func labels(cfg Config) map[string]string {
	const project = "https://github.com/clipperregistry/runner"
	l := map[string]string{
		"org.opencontainers.image.title":         "Clipper Runner",
		"org.opencontainers.image.description":   "Name any image in CLIPPER_MAGIC_IMAGE; this image becomes it.",
		"org.opencontainers.image.licenses":      "Apache-2.0",
		"org.opencontainers.image.source":        project,
		"org.opencontainers.image.url":           project,
		"org.opencontainers.image.documentation": project + "#readme",
		"org.opencontainers.image.version":       cfg.Version,
	}
	if cfg.Revision != "" {
		l["org.opencontainers.image.revision"] = cfg.Revision
	}
	return l
}
