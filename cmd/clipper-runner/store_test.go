package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/store"
	"github.com/rogpeppe/go-internal/testscript"
)

// storeCommands are what scripts do to stores.
var storeCommands = map[string]func(*testscript.TestScript, bool, []string){
	"fillstore":  onStore(fillStore),
	"spoilstore": onStore(spoilStore),
	"killwriter": onStore(killWriter),
	"holdlock":   holdLock,
}

// onStore makes a script's command of what is done to the store in a directory.
func onStore(do func(dir string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(do(ts.MkAbs(args[0])))
	}
}

// fillStore makes a store with two packs of two chunks each, and an image that
// has a manifest.
func fillStore(dir string) error {
	kept, err := stock.Open(context.Background(), dir, stock.Options{})
	if err != nil {
		return err
	}
	defer kept.Close()
	for _, contents := range [][]string{{"one", "two"}, {"three", "four"}} {
		pack := kept.NewPack()
		for _, content := range contents {
			pack.Put(chunk.IDOf([]byte(content)), []byte(content))
		}
		if !pack.Commit() {
			return errors.New("not stored")
		}
	}
	index := oci.Digest{Algorithm: "sha256", Hex: strings.Repeat("1a", 32)}
	manifest := oci.Digest{Algorithm: "sha256", Hex: strings.Repeat("2b", 32)}
	kept.Put(stock.Document, manifest, []byte(`{"layers":[{"size":2000000},{"size":345678}]}`))
	ref, err := oci.ParseReference("registry.example/team/app:1.4")
	if err != nil {
		return err
	}
	kept.Remember(ref, oci.Platform{OS: "linux", Architecture: "amd64"}, index, manifest)
	return nil
}

// spoilStore damages a chunk of one pack, the header of the other, and the
// manifest.
func spoilStore(dir string) error {
	packs, err := filepath.Glob(dir + "/packs/*.pack")
	if err != nil || len(packs) != 2 {
		return fmt.Errorf("packs %q, %w", packs, err)
	}
	return errors.Join(
		flipByte(packs[0], 24+56), // the first record's first stored byte
		flipByte(packs[1], 0),
		flipByte(dir+"/blobs/doc-sha256-"+strings.Repeat("2b", 32), 30),
	)
}

func flipByte(path string, offset int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[offset] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// killWriter leaves what a killed writer does: a whole chunk in an unfinished
// pack, and a torn one.
func killWriter(dir string) error {
	d, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	pack, err := d.NewPack()
	if err != nil {
		return err
	}
	defer pack.Abort()
	for _, content := range []string{"five", "six"} {
		if err := pack.Put(chunk.IDOf([]byte(content)), chunk.Encode(nil, []byte(content)), len(content)); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(dir + "/tmp/*.pack")
	if err != nil || len(files) != 1 {
		return fmt.Errorf("unfinished packs %q, %w", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	// Its own file goes with Abort, and so does its lock.
	return os.WriteFile(filepath.Join(dir, "tmp", strings.Repeat("ab", 16)+".pack"), b[:len(b)-1], 0o600)
}

// holdLock locks a file until the script ends.
func holdLock(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR|os.O_CREATE, 0o600)
	ts.Check(err)
	ts.Defer(func() { f.Close() })
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

func TestJudgeStore(t *testing.T) {
	sound := storeSeen{path: "/s", place: place{kind: "ext4", options: []string{"rw"}, free: 50e9}, bytes: 3e6, trial: store.Trial{Excludes: true, Sync: time.Second}}
	const line = "store /s: format 1, 3.0 MB, on ext4 with 50.0 GB free"
	for _, tt := range []struct {
		name   string
		change func(*storeSeen)
		want   []string
	}{
		{"sound", func(*storeSeen) {}, []string{"ok " + line + ", writable"}},
		{"read-only", func(s *storeSeen) { s.refused = fmt.Errorf("try: %w", store.ErrReadOnly) }, []string{"warn " + line + ", read-only"}},
		{"full", func(s *storeSeen) { s.refused = fmt.Errorf("try: %w", store.ErrNoSpace) }, []string{"warn " + line + ": try: no space"}},
		{"no flock", func(s *storeSeen) { s.refused = errors.New("lock x: not supported") }, []string{"warn " + line + ": lock x"}},
		{"flock without effect", func(s *storeSeen) { s.trial.Excludes = false }, []string{"ok", "warn store /s: locks do not hold"}},
		{"nolock", func(s *storeSeen) { s.place.options = []string{"rw", "nolock"} }, []string{"ok", "warn store /s: locks do not hold"}},
		{"local_lock", func(s *storeSeen) { s.place.options = []string{"vers=3", "local_lock=all"} }, []string{"ok", "warn store /s: locks do not hold"}},
		{"POSIX locks local", func(s *storeSeen) { s.place.options = []string{"local_lock=posix"} }, []string{"ok"}},
		{"little space", func(s *storeSeen) { s.place.free = 1e9 }, []string{"ok", "warn store /s: little space"}},
		{"far away", func(s *storeSeen) { s.place.kind = "nfs4" }, []string{"ok", "warn store /s: a small file takes 1s"}},
		{"network", func(s *storeSeen) { s.place.kind, s.trial.Sync = "fuse.sshfs", 9*time.Millisecond }, []string{"ok"}},
	} {
		seen := sound
		tt.change(&seen)
		found := seen.judge()
		compare(t, tt.name, found, tt.want)
		for _, f := range found {
			if f.level != ok && f.mend == "" {
				t.Errorf("%s: nothing said on how to mend %q", tt.name, f.seen)
			}
		}
	}
}

// TestDamageLeft: what could not be repaired is not told as if it were.
func TestDamageLeft(t *testing.T) {
	for _, d := range []damage{{Kind: store.Packs, Chunk: "12ab"}, {Kind: store.Packs}, {Kind: store.Blobs}} {
		if text := d.String(); !strings.Contains(text, "; left as it is: ") {
			t.Errorf("%+v: %s", d, text)
		}
	}
}

// TestPlace looks at a mount over another one, through a symlink.
func TestPlace(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/mnt", 0o755), os.Symlink("mnt", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := syscall.Mount("tmpfs", dir+"/mnt", "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir+"/mnt", syscall.MNT_DETACH) })
	}
	p, err := lookAtPlace(dir + "/link")
	if err != nil || p.kind != "tmpfs" || p.free > 1<<20 || len(p.options) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
