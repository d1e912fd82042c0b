package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test's binary is also the other processes that share a store: its
// variable STORE_TEST says role, directory and seed.
const roleVariable = "STORE_TEST"

var ctx = context.Background()

func TestMain(m *testing.M) {
	role, rest, ok := strings.Cut(os.Getenv(roleVariable), " ")
	if !ok {
		os.Exit(m.Run())
	}
	seed, dir, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(seed)
	if err == nil {
		err = roles[role](dir, n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

var roles = map[string]func(dir string, seed int) error{
	"write": writeForever, "share-write": shareWrite, "share-read": shareRead, "share-prune": sharePrune,
}

func process(role, dir string, seed int) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", roleVariable, role, seed, dir))
	cmd.Stderr = os.Stderr
	return cmd
}

// writeForever writes packs of chunks, from the seed's number on, and says of
// each when Put has returned. It ends when its input does.
func writeForever(dir string, seed int) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	d, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	for n := seed; ; {
		p, err := d.NewPack()
		if err != nil {
			return err
		}
		for range 1 + n%13 {
			if err := p.Put(idOf(n), encoded(n), len(content(n))); err != nil {
				return err
			}
			fmt.Println(n)
			n++
		}
		if err := errors.Join(p.Commit(), d.PutBlob(fmt.Sprint("blob-", n%5), content(n))); err != nil {
			return err
		}
	}
}

// A writer is killed at any moment: what it had put is there afterwards.
func TestKill(t *testing.T) {
	const kills = 50
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	d := open(t, t.TempDir(), Options{})

	// Somebody writes all the time, and must not notice.
	alive, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Abort()

	salvaged := 0
	var all []int
	for kill := range kills {
		put := killedWriter(t, d, r, kill*100_000)
		all = append(all, put...)
		got := salvage(t, d)
		salvaged += got.Chunks
		s := snapshot(t, d)
		has(t, s, put...)
		s.Close()
		if files := names(t, d, tmpDir); files != alive.name+packExt {
			t.Fatalf("kill %d: left in tmp: %s", kill, files)
		}
		if err := alive.Put(idOf(-kill), encoded(-kill), len(content(-kill))); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("kill %d", kill)
		}
	}
	if err := alive.Commit(); err != nil {
		t.Fatal(err)
	}
	if salvaged == 0 {
		t.Error("no kill has met an unfinished pack")
	}
	s := snapshot(t, d)
	has(t, s, all...)
	for kill := range kills {
		has(t, s, -kill)
	}
	v := verify(t, d, 0)
	t.Logf("%d chunks put, %d of them salvaged; %+v", len(all), salvaged, v)
}

// killedWriter gives the chunks that the writer has put.
func killedWriter(t *testing.T, d *Dir, r *rand.Rand, first int) (put []int) {
	t.Helper()
	cmd := process("write", d.path, first)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	after := 1 + r.IntN(30)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("the writer said %q", lines.Text())
			break
		}
		if put = append(put, n); len(put) == after {
			// Anywhere in what comes after that chunk.
			time.Sleep(time.Duration(r.IntN(3_000)) * time.Microsecond)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); len(put) < after {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return put
}

// Of the chunks that the sharing processes write and read, the first are held
// by the test itself all the time.
const shared, sharedHeld = 60, 5

func shareWrite(dir string, seed int) error {
	d, err := Open(dir, Options{Max: 60_000})
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for round := range 15 {
		if _, err := d.Salvage(ctx); err != nil {
			return err
		}
		p, err := d.NewPack()
		if err != nil {
			return err
		}
		for range 4 {
			n := r.IntN(shared)
			if err := p.Put(idOf(n), encoded(n), len(content(n))); err != nil {
				return err
			}
		}
		if err := errors.Join(p.Commit(), d.PutBlob("b", content(round))); err != nil {
			return err
		}
	}
	return nil
}

func shareRead(dir string, seed int) error {
	d, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	for range 300 {
		s, err := d.Snapshot()
		if err != nil {
			return err
		}
		for range 10 {
			n := r.IntN(shared)
			held := s.Has(idOf(n))
			got, err := s.ReadChunk(idOf(n), nil)
			switch {
			case err == nil && !bytes.Equal(got, encoded(n)):
				return fmt.Errorf("chunk %d: wrong bytes", n)
			case err != nil && (n < sharedHeld || held || !errors.Is(err, ErrNotFound)):
				return fmt.Errorf("chunk %d, held here: %v: %w", n, held, err)
			}
		}
		s.Close()
		if _, err := d.Blob("b"); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

func sharePrune(dir string, seed int) error {
	d, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	for round := range 30 {
		if _, err := d.Prune(ctx, int64(round%3)*20_000); err != nil {
			return err
		}
		v, err := d.Verify(ctx, decode, func(Damage) {})
		if err != nil || v.Damaged != 0 {
			return fmt.Errorf("verified %+v: %w", v, err)
		}
	}
	return nil
}

func TestManyProcesses(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	commit(t, d, 0, 1, 2, 3, 4)
	s := snapshot(t, d)
	has(t, s, 0)
	var cmds []*exec.Cmd
	for i, role := range []string{"share-write", "share-write", "share-read", "share-read", "share-prune"} {
		cmd := process(role, dir, i)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	has(t, s, 0, 1, 2, 3, 4)
	verify(t, d, 0)
	if n := names(t, d, tmpDir); n != "" {
		t.Errorf("left in tmp: %s", n)
	}
}

// inMountNamespace runs the test once more, in a process with mounts of its
// own, and reports whether this is that process. It needs root.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleVariable) == "mounts" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), roleVariable+"=mounts")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in a mount namespace (root is needed): %v\n%s", err, out)
	}
	return false
}

func TestFullDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	d := open(t, dir, Options{})
	fill := func(first int) (p *Pack, put []int) {
		t.Helper()
		p, err := d.NewPack()
		if err != nil {
			t.Fatal(err)
		}
		for n := first; ; n++ {
			if err := p.Put(idOf(n), encoded(n), len(content(n))); errors.Is(err, ErrNoSpace) {
				return p, put
			} else if err != nil {
				t.Fatal(err)
			}
			put = append(put, n)
		}
	}
	// Given up, the pack takes no space.
	p, put := fill(0)
	if len(put) < 10 {
		t.Fatalf("only %d chunks fit", len(put))
	}
	if err := d.PutBlob("b", make([]byte, 10_000)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a blob: %v", err)
	}
	p.Abort()
	if err := d.PutBlob("b", make([]byte, 10_000)); err != nil {
		t.Errorf("a blob afterwards: %v", err)
	}
	// Committed, it keeps what it has, or says that it cannot and is gone.
	p, put = fill(0)
	err := p.Commit()
	switch s := snapshot(t, d); {
	case err == nil:
		has(t, s, put...)
	case errors.Is(err, ErrNoSpace):
		lacks(t, s, put...)
	default:
		t.Error(err)
	}
	if n := names(t, d, tmpDir); n != "" {
		t.Errorf("left in tmp: %s", n)
	}
	prune(t, d, 0)

	// A dead writer's pack for whose index there is no space does not stay.
	p, _ = fill(1000)
	name := p.f.Name()
	p.f.Close()
	filler, err := os.Create(d.join("lost+found"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	got := salvage(t, d)
	if _, err := os.Stat(name); err == nil || got.Packs+got.Removed != 1 {
		t.Errorf("salvaged %+v; its file: %v", got, err)
	}
	verify(t, d, 0)
}

func TestReadOnlyVolume(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := t.TempDir()
	w := open(t, dir, Options{})
	item := commit(t, w, 1, 2)
	if err := w.PutBlob("b", []byte("blob")); err != nil {
		t.Fatal(err)
	}
	flip(t, w.itemPath(item), headerSize+recordSize, 1)
	age(t, w.itemPath(item), 48*time.Hour)
	empty := t.TempDir()
	for _, path := range []string{dir, empty} {
		if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
		if err := syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	readsButWritesNot(t, open(t, dir, Options{}))
	if _, err := Open(empty, Options{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("an empty read-only volume: %v", err)
	}
}
