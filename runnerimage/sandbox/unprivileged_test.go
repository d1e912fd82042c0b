package sandbox

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// unprivileged is a user that this machine does not know. newuidmap serves only
// whom it knows, so the tests give it a name for a while.
const unprivileged = "64242"

// within are the tests that hold for every user.
const within = "^(TestSurroundings|TestExitCode|TestNetworkNone|TestHostname|TestStandardFiles|TestVolumes|TestHostFiles|TestRemovesEverything|TestSignals|TestCallerKilled|TestKeeperKilled|TestIDs)$"

// TestUnprivileged runs the tests above as a user without rights: once with
// that user alone in its namespace, once with ids lent.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test becomes other users, which takes root")
	}
	// Where another user may come: not below t.TempDir.
	dir, err := os.MkdirTemp("/tmp", "clipper-sandbox-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	scratch := filepath.Join(dir, "tmp")
	if err := os.Mkdir(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, scratch} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "sandbox.test")
	if err := copyFile("/proc/self/exe", binary); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/lent", unprivileged+":100000:65536\n")
	write(t, dir+"/none", "")
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/passwd", string(passwd)+"nobodys:x:"+unprivileged+":"+unprivileged+"::/:/bin/sh\n")

	for name, tt := range map[string]struct{ lent, ids string }{
		"one user":   {"none", "1"},
		"lent users": {"lent", "65537"},
	} {
		t.Run(name, func(t *testing.T) {
			// The lists of the machine stay as they are: others are seen in a
			// mount namespace of this test's.
			script := `mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && mount --bind "$2" /etc/passwd && shift 2 && exec setpriv --reuid ` + unprivileged + ` --regid ` + unprivileged + ` --clear-groups "$@"`
			cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", filepath.Join(dir, tt.lent), dir+"/passwd", binary, "-test.run="+within, "-test.v")
			cmd.Dir = scratch
			cmd.Env = append(slices.Clone(quick), "PATH="+os.Getenv("PATH"), "TMPDIR="+scratch, "WANT_IDS="+tt.ids)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if ran := regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1); len(ran) != 12 {
				t.Errorf("%d tests ran, want 12\n%s", len(ran), out)
			}
		})
	}
}

// TestIDs compares the namespace's number of users with what there should be.
func TestIDs(t *testing.T) {
	got := run(t, Spec{Payload: []byte("ids")})
	want := os.Getenv("WANT_IDS")
	if want == "" {
		want = "4294967295" // root's, which is no namespace of its own
	}
	got.want(t, 0, want+"\n")
	if single := SingleID(); single != (want == "1") {
		t.Errorf("SingleID is %v", single)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
