package libc

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNode(t *testing.T) {
	const fresh = "\x7fELF\x00GLIBC_2.2.5\x00GLIBC_2.28\x00GLIBC_2.36\x00"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  Lack
		old   bool
	}{
		{name: "nothing", want: NoGlibc},
		{name: "musl", files: map[string]string{"lib/ld-musl-x86_64.so.1": "\x7fELF", "lib/libc.musl-x86_64.so.1": "\x7fELF"}, want: NoGlibc},
		{name: "CentOS 7", files: map[string]string{"usr/lib64/libc.so.6": "\x7fELF\x00GLIBC_2.2.5\x00GLIBC_2.17\x00GLIBC_PRIVATE\x00"}, want: OldGlibc, old: true},
		{name: "not as we know them", files: map[string]string{"lib/libc.so.6": "something"}, want: "the image has no libstdc++.so.6"},
		{name: "distroless", files: map[string]string{"lib/x86_64-linux-gnu/libc.so.6": fresh}, want: "the image has no libstdc++.so.6"},
		{name: "half of GCC's", files: map[string]string{"lib/x86_64-linux-gnu/libc.so.6": fresh, "usr/lib/x86_64-linux-gnu/libstdc++.so.6": "x"}, want: "the image has no libgcc_s.so.1"},
		{name: "Debian", files: map[string]string{"lib/aarch64-linux-gnu/libc.so.6": fresh, "usr/lib/aarch64-linux-gnu/libstdc++.so.6": "x", "lib/libgcc_s.so.1": "x"}},
		{name: "directories of its own", files: map[string]string{"lib64/libc.so.6": fresh, "etc/ld.so.cache": "ld.so-1.7.0\x00libstdc++.so.6\x00/opt/libstdc++.so.6\x00libgcc_s.so.1\x00/opt/libgcc_s.so.1\x00"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range test.files {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := Node(root); got != test.want {
				t.Errorf("Node: %q, want %q", got, test.want)
			}
			if got := Old(root); got != test.old {
				t.Errorf("Old: %v", got)
			}
		})
	}
}

// TestThisMachine holds the words against a real glibc: tests need one.
func TestThisMachine(t *testing.T) {
	if got := Node("/"); got == NoGlibc || got == OldGlibc {
		t.Errorf("%q", got)
	}
}
