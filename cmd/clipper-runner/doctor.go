package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/sandbox"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

type doctorCommand struct {
	pullFlags
	storeFlag
	Image string `arg:"" optional:"" help:"Image whose registry to try with these credentials."`
}

// level says how bad a finding is.
type level string

const (
	ok   level = "ok"
	warn level = "warn"
	bad  level = "fail"
)

// finding is one line of the doctor's: what was looked at, what was seen, and
// what to do about it.
type finding struct {
	level      level
	what, seen string
	mend       string
}

func (f finding) String() string {
	line := fmt.Sprintf("%-4s  %-12s  %s", f.level, f.what, f.seen)
	if f.mend != "" {
		line += "\n                    → " + f.mend
	}
	return line
}

func (c *doctorCommand) Run(exit *int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := c.dir()
	if err != nil {
		return err
	}
	store, err := c.path()
	if err != nil {
		return err
	}
	for _, check := range []func() []finding{
		checkKernel,
		checkOpenat2,
		func() []finding { return checkPrivileges("/proc/self/status", os.Geteuid()) },
		func() []finding { return checkMounts("/proc/self/mountinfo", inContainer()) },
		func() []finding { return checkSpace(dir) },
		func() []finding { return checkStore(store) },
		checkUsers,
		func() []finding { return checkSandbox(ctx, dir) },
		func() []finding { return c.checkRegistry(ctx) },
	} {
		for _, f := range check() {
			if f.level == bad {
				*exit = 1
			}
			fmt.Println(f)
		}
	}
	return nil
}

func checkKernel() []finding {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return []finding{{bad, "kernel", err.Error(), ""}}
	}
	return []finding{judgeKernel(unix.ByteSliceToString(name.Release[:]))}
}

func judgeKernel(release string) finding {
	var major, minor int
	// A release that does not begin with numbers is judged as 0.0.
	_, _ = fmt.Sscanf(release, "%d.%d", &major, &minor)
	switch {
	case major > 5 || major == 5 && minor >= 12:
		return finding{ok, "kernel", "Linux " + release, ""}
	case major == 5 && minor >= 6:
		return finding{warn, "kernel", "Linux " + release, "`run` needs 5.12 or newer; the runner image works"}
	}
	return finding{warn, "kernel", "Linux " + release, "`run` needs 5.12 or newer; the runner image works, but from 5.6 on the kernel itself guards its root directory"}
}

func checkOpenat2() []finding {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV})
	if err == nil {
		unix.Close(fd)
	}
	// RESOLVE_BENEATH refuses an absolute path: that answer comes from a
	// kernel that knows the call.
	if err == nil || errors.Is(err, unix.EXDEV) {
		return []finding{{ok, "openat2", "the kernel guards the root directory while an image is written", ""}}
	}
	return []finding{{warn, "openat2", err.Error(), "an image is written with slower checks; Linux 5.6, or an engine whose seccomp profile knows the call (Docker 20.10), mends it"}}
}

// needed are the capabilities that laying out an image takes, and what is
// missing without them.
var needed = []struct {
	name, without string
	level         level
}{
	{"CHOWN", "files cannot get their owners", bad},
	{"DAC_OVERRIDE", "directories of others cannot be written", bad},
	{"FOWNER", "files of others cannot get modes and times", bad},
	{"SETUID", "the image's USER cannot be taken", bad},
	{"SETGID", "the image's groups cannot be taken", bad},
	{"FSETID", "set-group-id bits are lost", warn},
	{"SETFCAP", "file capabilities are lost", warn},
	{"MKNOD", "device files are left out", warn},
}

// checkPrivileges reads what this process may, from a status file of /proc.
func checkPrivileges(path string, uid int) []finding {
	status, err := readStatus(path)
	if err != nil {
		return []finding{{bad, "privileges", err.Error(), "mount /proc"}}
	}
	var found []finding
	if uid != 0 {
		found = append(found, finding{ok, "user", fmt.Sprintf("uid %d: `run` uses a user namespace", uid), ""})
	} else {
		found = append(found, judgeCapabilities(status["CapEff"])...)
	}
	if status["NoNewPrivs"] == "1" {
		found = append(found, finding{warn, "privileges", "no_new_privs is set: no set-uid program works", "leave --security-opt no-new-privileges away; the runner image with --user needs that"})
	}
	switch status["Seccomp"] {
	case "0":
		found = append(found, finding{ok, "seccomp", "no filter", ""})
	default:
		found = append(found, finding{ok, "seccomp", "a filter, as in a container", ""})
	}
	return found
}

func judgeCapabilities(effective string) []finding {
	var set process.Capabilities
	if _, err := fmt.Sscanf(effective, "%x", &set); err != nil {
		return []finding{{bad, "capabilities", "unreadable", ""}}
	}
	var found []finding
	for _, need := range needed {
		if one, err := process.ParseCapabilities([]string{need.name}); err == nil && set&one == 0 {
			found = append(found, finding{need.level, "capabilities", need.name + " is missing: " + need.without, "start the container with --cap-add " + need.name})
		}
	}
	if found == nil {
		found = []finding{{ok, "capabilities", "all that laying out an image takes", ""}}
	}
	return found
}

// readStatus reads the "Name:\tvalue" lines of a status file.
func readStatus(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	status := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	return status, nil
}

// checkMounts looks at / and, in a container, at what is mounted over its tree.
func checkMounts(path string, container bool) []finding {
	f, err := os.Open(path)
	if err != nil {
		return []finding{{bad, "mounts", err.Error(), "mount /proc"}}
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return []finding{{bad, "mounts", err.Error(), ""}}
	}
	var found []finding
	var others []string
	for _, m := range mounts {
		switch {
		case m.Mountpoint == "/" && slices.Contains(strings.Split(m.Options, ","), "ro"):
			found = append(found, finding{bad, "root", m.FSType + ", read-only", "start the container without --read-only"})
		case m.Mountpoint == "/":
			found = append(found, finding{ok, "root", m.FSType + ", writable", ""})
		case !engineMount(m.Mountpoint):
			others = append(others, m.Mountpoint)
		}
	}
	if !container {
		return found
	}
	if len(others) == 0 {
		return append(found, finding{ok, "mounts", "only what every container has", ""})
	}
	slices.Sort(others)
	const most = 8
	text := strings.Join(others[:min(most, len(others))], ", ")
	if more := len(others) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return append(found, finding{ok, "mounts", text + " (an image is laid out around them)", ""})
}

// inContainer finds the marks of Docker, Podman and ECS.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return os.Getenv("ECS_CONTAINER_METADATA_URI_V4") != ""
}

// engineMount says of a mount point that every machine and container has it.
func engineMount(point string) bool {
	for _, own := range []string{"/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} {
		if point == own || strings.HasPrefix(point, own+"/") {
			return true
		}
	}
	return false
}

// What a file system should have left for an image to be worth a try.
const (
	littleSpace  = 2 << 30
	littleInodes = 100_000
)

// checkSpace looks at / and at where `run` puts root directories.
func checkSpace(dir string) []finding {
	places := []string{"/"}
	if existing := existing(dir); existing != "/" {
		places = append(places, existing)
	}
	var found []finding
	for _, place := range places {
		var st unix.Statfs_t
		if err := unix.Statfs(place, &st); err != nil {
			found = append(found, finding{bad, "space", place + ": " + err.Error(), ""})
			continue
		}
		found = append(found, judgeSpace(place, int64(st.Bavail)*int64(st.Bsize), int64(st.Ffree), st.Files != 0))
	}
	return found
}

func judgeSpace(place string, bytes, inodes int64, counted bool) finding {
	f := finding{ok, "space", fmt.Sprintf("%s: %s free", place, runnerimage.Size(bytes)), ""}
	if counted { // some file systems have as many inodes as space
		f.seen += fmt.Sprintf(", %d inodes", inodes)
	}
	if bytes < littleSpace || counted && inodes < littleInodes {
		f.level, f.mend = warn, "larger images will not fit: free some, or point --root at a larger file system"
	}
	return f
}

// existing is dir or the first of its parents that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == "/" {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// checkUsers looks for what gives a user namespace more than one user.
func checkUsers() []finding {
	if os.Geteuid() == 0 {
		return nil
	}
	if text, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil && strings.TrimSpace(string(text)) == "0" {
		return []finding{{bad, "namespaces", "user namespaces are switched off", "sysctl -w user.max_user_namespaces=10000, or run as root"}}
	}
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return []finding{{warn, "users", tool + " is not installed: an image runs with one user only", "install the package uidmap (shadow-utils)"}}
		}
	}
	if sandbox.SingleID() {
		return []finding{{warn, "users", "/etc/subuid and /etc/subgid lend you no ids: an image runs with one user only", "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME, as root"}}
	}
	return []finding{{ok, "users", "/etc/subuid lends more users", ""}}
}

// checkSandbox makes a sandbox and lets it go again.
func checkSandbox(ctx context.Context, dir string) []finding {
	seen, err := trySandbox(ctx, dir)
	if err == nil && seen == "" {
		return []finding{{ok, "sandbox", "`run` works here", ""}}
	}
	if err != nil {
		seen = err.Error()
	}
	return []finding{{warn, "sandbox", "`run` does not work here: " + seen, "in a container, use the runner image; else see the message"}}
}

func trySandbox(ctx context.Context, dir string) (said string, err error) {
	payload, err := json.Marshal(job{Probe: true, Log: runnerimage.LogText})
	if err != nil {
		return "", err
	}
	read, stderr, err := os.Pipe() // which has room for more than an error
	if err != nil {
		return "", err
	}
	defer read.Close()
	code, err := sandbox.Run(ctx, sandbox.Spec{
		Dir: filepath.Join(dir, "run"), Network: sandbox.NetworkNone, Payload: payload, Stderr: stderr,
	})
	stderr.Close()
	if err != nil || code == 0 {
		return "", err
	}
	text, err := io.ReadAll(read)
	line, _, _ := bytes.Cut(bytes.TrimPrefix(text, []byte("clipper-runner: error: ")), []byte("\n"))
	return string(line), err
}

// checkRegistry looks at the credentials, and where an image is named at its
// registry.
func (c *doctorCommand) checkRegistry(ctx context.Context) []finding {
	given, err := newSettings(os.Environ(), c.Image, c.pullFlags)
	if err != nil {
		return []finding{{bad, "credentials", err.Error(), ""}}
	}
	found := checkCredentials(given)
	if c.Image == "" {
		return found
	}
	parsed, err := runnerimage.ParseSettings(given, nil)
	if err != nil {
		return append(found, finding{bad, "settings", err.Error(), ""})
	}
	found = append(found, checkClock(ctx, parsed))
	image, err := resolve(ctx, given)
	switch {
	case errors.Is(err, registry.ErrDenied):
		return append(found, finding{bad, "registry", err.Error(), "docker login " + parsed.Image.Host() + ", or set CLIPPER_CREDENTIALS"})
	case err != nil:
		return append(found, finding{bad, "registry", err.Error(), ""})
	}
	told := inspect(image)
	found = append(found, finding{ok, "registry", fmt.Sprintf("%s is there: %s, %s in %d layers", told.Image, told.Digest, runnerimage.Size(told.Size), len(told.Layers)), ""})
	if want := parsed.Platform; !oci.Runs(want, oci.Platform{OS: image.Config.OS, Architecture: image.Config.Architecture, Variant: image.Config.Variant}) {
		found = append(found, finding{warn, "platform", "the image is for " + told.Platform + ", wanted is " + want.String(), "push an image for it, or give --platform"})
	}
	return found
}

func checkCredentials(given settings) []finding {
	value := given.get("CLIPPER_CREDENTIALS")
	if value == "" {
		return []finding{{ok, "credentials", "CLIPPER_CREDENTIALS is not set: those of docker login, or none", ""}}
	}
	// Where the image is not known yet, any host does.
	if _, err := credentials.New(credentials.Settings{Value: value, Registry: given.get("CLIPPER_CREDENTIALS_REGISTRY"), Image: "registry.invalid"}); err != nil {
		return []finding{{bad, "credentials", err.Error(), ""}}
	}
	return []finding{{ok, "credentials", "CLIPPER_CREDENTIALS can be read", ""}}
}

// mostSkew is how far clocks may differ. Signed requests and new tokens are
// refused beyond five minutes.
const mostSkew = 2 * time.Minute

// checkClock compares this machine's clock with the registry's. It asks
// without credentials, and any answer does.
func checkClock(ctx context.Context, parsed runnerimage.Settings) finding {
	skew, err := clockSkew(ctx, parsed)
	if err != nil {
		return finding{warn, "clock", "not known: " + err.Error(), ""}
	}
	return judgeSkew(skew)
}

func judgeSkew(skew time.Duration) finding {
	if skew.Abs() > mostSkew {
		return finding{warn, "clock", fmt.Sprintf("%s off the registry's", skew.Round(time.Second)), "set the clock (NTP): certificates and tokens fail otherwise"}
	}
	return finding{ok, "clock", "agrees with the registry's", ""}
}

func clockSkew(ctx context.Context, parsed runnerimage.Settings) (time.Duration, error) {
	roots, err := runnerimage.TrustedRoots(parsed.CACerts, rootFS())
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	host := parsed.Image.Host()
	schemes := []string{"https"}
	if plainAllowed(host, parsed.Insecure) {
		schemes = append(schemes, "http")
	}
	for _, scheme := range schemes {
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/v2/", nil); err != nil {
			return 0, err
		}
		var resp *http.Response
		if resp, err = client.Do(req); err != nil {
			continue
		}
		resp.Body.Close()
		date, err := http.ParseTime(resp.Header.Get("Date"))
		if err != nil {
			return 0, errors.New("the registry's answer has no date")
		}
		return time.Since(date), nil
	}
	return 0, err
}

// plainAllowed says whether a registry may be asked over plain HTTP.
func plainAllowed(host string, insecure []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return slices.Contains(insecure, host) || name == "localhost" || ip != nil && ip.IsLoopback()
}
