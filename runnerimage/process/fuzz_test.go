package process

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func FuzzUser(f *testing.F) {
	for _, spec := range []string{"", "app", "1000", "app:wheel", "1000:10", ":", "::", "-1", "99999999999", "app:", ":44", "a\nb"} {
		f.Add(spec, passwd, group)
	}
	f.Add("x", "x:\nx:::\n:x:y:z", "x:x:x:x\n\n#:::")
	root := f.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		for name, content := range map[string]string{"etc/passwd": passwd, "etc/group": group} {
			if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		ids, err := settleIDs(root, Config{User: spec}, Overrides{})
		if err != nil {
			return
		}
		if len(ids.Groups) == 0 || ids.Groups[0] != ids.GID {
			t.Errorf("groups %v do not begin with %d", ids.Groups, ids.GID)
		}
		if ids.UID < 0 || ids.GID < 0 {
			t.Errorf("ids %d:%d", ids.UID, ids.GID)
		}
	})
}

func FuzzStopSignal(f *testing.F) {
	for _, s := range []string{"", "SIGQUIT", "3", "RTMIN+3", "SIGRTMAX-1", "RTMIN+", "RTMAX--1", "-1", "sigsig"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := stopSignal(s); got < 1 || got > lastSignal {
			t.Errorf("%q is %d", s, got)
		}
	})
}

func FuzzEnvironment(f *testing.F) {
	f.Add("PATH=/x\nA=1\nA\nHOME=", "PATH="+BakedPath+"\nHOME=/\nOWN=1\nA=2\n=x\n")
	f.Add("TERM\nPATH\nB=\nHOSTNAME", "TERM=xterm\nHOSTNAME=h\nB=1\nB=2")
	f.Fuzz(func(t *testing.T, image, given string) {
		o := Overrides{Env: strings.Split(given, "\n"), Own: []string{"OWN"}, Hostname: "h"}
		img := strings.Split(image, "\n")
		got := Environment(img, o, "/home")
		seen := map[string]bool{}
		for _, kv := range got {
			name, value, ok := strings.Cut(kv, "=")
			if !ok || seen[name] {
				t.Fatalf("%q is there twice or has no value: %q", name, got)
			}
			seen[name] = true
			// The last of the given or of the image's, or one of the defaults.
			if !slices.Contains(o.Env, kv) && !slices.Contains(img, kv) && kv != "PATH="+defaultPath && kv != "HOME=/home" {
				t.Errorf("%q comes from nowhere", kv)
			}
			if name == "OWN" && !slices.Contains(img, kv) {
				t.Errorf("the runner's own %q is left", kv)
			}
			if name == "HOME" && value == "" {
				t.Error("HOME is empty")
			}
		}
		if !seen["HOME"] {
			t.Errorf("no HOME: %q", got)
		}
	})
}

func FuzzInitPlan(f *testing.F) {
	f.Add([]byte(initPlan{file: "/x", argv: []string{"a", ""}, env: []string{"A="}, stop: 3}.encode()))
	f.Add([]byte("3\x00x\x002\x00a\x00"))
	f.Add([]byte("0\x00\x000\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		plan, err := decodeInitPlan(string(content))
		if err != nil {
			return
		}
		if len(plan.argv) == 0 || plan.stop < 1 || plan.stop > lastSignal {
			t.Errorf("plan %+v", plan)
		}
		again := plan.encode()
		second, err := decodeInitPlan(again)
		if err != nil || second.encode() != again {
			t.Errorf("%q is read back as %+v, error %v", again, second, err)
		}
		// Numbers may be written in other ways; the rest is kept to the byte.
		if !bytes.HasSuffix(content, []byte(again[strings.Index(again, "\x00")+1+len(plan.file)+1+strings.Index(again[strings.Index(again, "\x00")+len(plan.file)+2:], "\x00"):])) {
			t.Errorf("%q became %q", content, again)
		}
	})
}

func FuzzInRoot(f *testing.F) {
	for _, name := range []string{"/etc/passwd", "../../x", "abs/x", "up/x", "loop", "dangling/y", "//./..", "abs/../up/.."} {
		f.Add(name)
	}
	root := f.TempDir()
	for name, target := range map[string]string{"abs": "/dir", "up": "../../..", "loop": "loop", "dangling": "/no/where"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := inRoot(root, name)
		if err == nil && got != root && !strings.HasPrefix(got, root+"/") {
			t.Errorf("%q leads to %q, out of %q", name, got, root)
		}
	})
}
