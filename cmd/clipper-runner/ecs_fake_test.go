package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clipperregistry/runner/test/ecslab"
)

// TestECS runs testdata/ecs/*.txtar against an ECS that runs tasks as
// containers, each script with its own. $IMAGE is a shell, $MISSING no image.
func TestECS(t *testing.T) {
	lab := ecslab.Open(t, "../..")
	scripts, err := filepath.Glob("testdata/ecs/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts:", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			w := ecslab.Start(t, lab)
			credentials, err := w.Config().Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			testscript.Run(t, testscript.Params{Files: []string{script}, Setup: func(env *testscript.Env) error {
				for name, value := range map[string]string{
					"SHARED": shared, "PATH": shared + ":" + env.Getenv("PATH"), "HOME": env.WorkDir, "IMAGE": w.Image, "MISSING": w.Missing,
					"AWS_ENDPOINT_URL": w.URL, "AWS_REGION": w.Config().Region, "AWS_SESSION_TOKEN": credentials.SessionToken,
					"AWS_ACCESS_KEY_ID": credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": credentials.SecretAccessKey,
				} {
					env.Setenv(name, value)
				}
				return nil
			}})
		})
	}
}
