package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestJudgements(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  finding
		want level
	}{
		{"new kernel", judgeKernel("6.1.0-31-amd64"), ok},
		{"first kernel that will do", judgeKernel("5.12.0"), ok},
		{"kernel without mount_setattr", judgeKernel("5.10.0-28"), warn},
		{"old kernel", judgeKernel("4.18.0"), warn},
		{"no kernel", judgeKernel("?"), warn},
		{"clock", judgeSkew(-30 * time.Second), ok},
		{"clock behind", judgeSkew(-time.Hour), warn},
		{"clock ahead", judgeSkew(3 * time.Minute), warn},
		{"space", judgeSpace("/", 50<<30, 1_000_000, true), ok},
		{"little space", judgeSpace("/", 1<<30, 1_000_000, true), warn},
		{"few inodes", judgeSpace("/", 50<<30, 12, true), warn},
		{"inodes without number", judgeSpace("/", 50<<30, 0, false), ok},
	} {
		if tt.got.level != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got, tt.want)
		}
		if tt.want != ok && tt.got.mend == "" {
			t.Errorf("%s: nothing said on how to mend it", tt.name)
		}
	}
}

func TestPrivileges(t *testing.T) {
	for _, tt := range []struct {
		name, status string
		uid          int
		want         []string
	}{
		{"root of a machine", "CapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n", 0, []string{"ok capabilities", "ok seccomp"}},
		{"root of a container", "CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n", 0, []string{"ok capabilities", "ok seccomp"}},
		{"nothing", "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n", 0, []string{
			"fail capabilities", "fail capabilities", "fail capabilities", "fail capabilities", "fail capabilities",
			"warn capabilities", "warn capabilities", "warn capabilities", "warn privileges", "ok seccomp"}},
		{"another user", "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n", 1000, []string{"ok user", "ok seccomp"}},
		{"no status", "", 0, []string{"fail capabilities", "ok seccomp"}},
	} {
		compare(t, tt.name, checkPrivileges(file(t, tt.status), tt.uid), tt.want)
	}
}

func TestMounts(t *testing.T) {
	const root = "27 1 254:0 / / %s,relatime - ext4 /dev/vda rw\n"
	const others = "22 27 0:21 / /proc rw - proc proc rw\n23 27 0:5 /h /etc/hosts rw - ext4 /dev/vda rw\n"
	const volume = "28 27 0:25 / /data ro - tmpfs none ro\n"
	for _, tt := range []struct {
		name, table string
		container   bool
		want        []string
	}{
		{"container", strings.ReplaceAll(root, "%s", "rw") + others, true, []string{"ok root", "ok mounts"}},
		{"volume", strings.ReplaceAll(root, "%s", "rw") + others + volume, true, []string{"ok root", "ok mounts /data"}},
		{"machine", strings.ReplaceAll(root, "%s", "rw") + others + volume, false, []string{"ok root"}},
		{"read-only", strings.ReplaceAll(root, "%s", "ro") + others, true, []string{"fail root", "ok mounts"}},
		{"nonsense", "x\n", true, []string{"fail mounts"}},
	} {
		compare(t, tt.name, checkMounts(file(t, tt.table), tt.container), tt.want)
	}
}

// compare holds findings against "level what seen", where what was seen may be
// left out or begun.
func compare(t *testing.T, name string, found []finding, want []string) {
	t.Helper()
	if len(found) != len(want) {
		t.Errorf("%s: %v, want %v", name, found, want)
		return
	}
	for i, f := range found {
		if line := strings.Join([]string{string(f.level), f.what, f.seen}, " "); !strings.HasPrefix(line, want[i]) {
			t.Errorf("%s: %q, want %q", name, line, want[i])
		}
	}
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
