package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/test/cloud"
	"github.com/rogpeppe/go-internal/testscript"
)

// actionCommands are what scripts do as GitHub's runner does it.
var actionCommands = map[string]func(*testscript.TestScript, bool, []string){
	"newjob":     newJob,
	"cachetoken": cacheToken,
	"evictall":   evictAll,
	"sudoer":     sudoer,
}

// newJob makes what a job on a machine has: its directories, and a step's file
// commands; all of the user 64242, who is that of sudoer.
func newJob(ts *testscript.TestScript, _ bool, _ []string) {
	dirs := map[string]string{
		"GITHUB_WORKSPACE": "job/work/repo/repo", "RUNNER_TEMP": "job/work/_temp", "RUNNER_TOOL_CACHE": "job/tools",
	}
	for name, dir := range dirs {
		ts.Check(os.MkdirAll(ts.MkAbs(dir), 0o755))
		ts.Setenv(name, ts.MkAbs(dir))
	}
	commands := ts.MkAbs("job/work/_temp/_runner_file_commands")
	ts.Check(os.MkdirAll(commands, 0o755))
	for _, name := range []string{"ENV", "PATH", "OUTPUT", "STEP_SUMMARY"} {
		path := filepath.Join(commands, name)
		ts.Check(os.WriteFile(path, nil, 0o644))
		ts.Setenv("GITHUB_"+name, path)
	}
	ts.Setenv("GITHUB_ACTIONS", "true")
	ts.Setenv("CLIPPER_LOG", "")
	ts.Check(filepath.WalkDir(ts.MkAbs("job"), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 64242, 64242)
	}))
	// The way there must be open to him.
	for dir := ts.MkAbs("job"); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
}

// theCloud is where a script keeps its cacheService.
type theCloud struct{}

// cacheToken writes the file that action/cache-token would.
func cacheToken(ts *testscript.TestScript, _ bool, args []string) {
	service := ts.Value(theCloud{}).(*cacheService)
	env := service.CacheEnv(service.url, cloud.PushScopes...)
	token, err := json.Marshal(map[string]string{"url": env["ACTIONS_RESULTS_URL"], "token": env["ACTIONS_RUNTIME_TOKEN"]})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), token, 0o600))
}

func evictAll(ts *testscript.TestScript, _ bool, _ []string) {
	service := ts.Value(theCloud{}).(*cacheService)
	for _, key := range service.CacheKeys() {
		service.Evict(key)
	}
}

// cacheService is the Actions cache of a script.
type cacheService struct {
	*cloud.Cloud
	url string
}

func newCacheService(env *testscript.Env) *cacheService {
	c := cloud.New()
	server := httptest.NewServer(c)
	env.Defer(server.Close)
	return &cacheService{c, server.URL}
}

// sudoer runs a command as a user who may become root by sudo, which takes
// nothing of his environment along.
func sudoer(ts *testscript.TestScript, neg bool, args []string) {
	// The machine's own configuration stays as it is.
	script := `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/sudoers" /etc/sudoers && mount --bind "$1/pam" /etc/pam.d/sudo && shift && exec setpriv --reuid 64242 --regid 64242 --clear-groups "$@"`
	err := ts.Exec("unshare", append([]string{"--mount", "sh", "-c", script, "sh", shared}, args...)...)
	if err != nil && !neg {
		ts.Fatalf("unexpected failure: %v", err)
	}
	if err == nil && neg {
		ts.Fatalf("unexpected success")
	}
}

func TestParseOptions(t *testing.T) {
	f, err := parseOptions(`--user 1000:1000 -v /a:/b:ro --volume '/c d:/e' --network=none --env A="x y" --hostname h`)
	if err != nil || f.User != "1000:1000" || !slices.Equal(f.Volume, []string{"/a:/b:ro", "/c d:/e"}) || f.Network != "none" ||
		!slices.Equal(f.Env, []string{"A=x y"}) || f.Hostname != "h" {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := parseOptions(""); err != nil || f.Network != "host" {
		t.Errorf("%+v, %v", f, err)
	}
	for _, text := range []string{"--cpus 2", "image", "--user", `"`, "--network bridge", "$(reboot)"} {
		if f, err := parseOptions(text); err == nil {
			t.Errorf("%q: %+v", text, f)
		}
	}
}
