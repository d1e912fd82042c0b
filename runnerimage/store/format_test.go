package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// goldenPack is README.md's layout, written out by hand. The CRCs were
// computed by another program.
const goldenPack = `
	434c49505041434b                        CLIPPACK
	01000000                                version
	a1a2a3a4a5a6a7a8                        mark
	44dd36f0                                CRC of the header

	a1a2a3a4a5a6a7a8                        record at 24: mark
	eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee        ID
	eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
	04000000                                stored length
	2c010000                                content length, 300
	dc071072                                CRC of the stored bytes
	9fe405d6                                CRC of the record's head
	7a776569                                zwei

	a1a2a3a4a5a6a7a8                        record at 84
	11111111111111111111111111111111
	11111111111111111111111111111111
	05000000
	05000000
	3e38f470
	9dced9dd
	65696e7321                              eins!

	11111111111111111111111111111111        index at 145: the lower ID first
	11111111111111111111111111111111
	5400000000000000                        offset of its record, 84
	05000000                                stored length
	05000000                                content length
	eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
	eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
	1800000000000000
	04000000
	2c010000

	434c49505441494c                        CLIPTAIL
	01000000                                version
	a1a2a3a4a5a6a7a8                        mark
	9100000000000000                        offset of the index, 145
	0200000000000000                        number of entries
	f0e5269c                                CRC of the index
	65c64a1c                                CRC of the trailer
`

const goldenBlob = `
	434c4950424c4f42                        CLIPBLOB
	01000000                                version
	0500000000000000                        content length
	f320512d                                CRC of name and content
	b57fa9a5                                CRC of the head
	68656c6c6f                              hello
`

// bytesOf reads the first column.
func bytesOf(t testing.TB, golden string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(golden) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		raw, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, raw...)
	}
	return b
}

func TestLayout(t *testing.T) {
	low, high := ID(bytes.Repeat([]byte{0x11}, 32)), ID(bytes.Repeat([]byte{0xee}, 32))
	want, wantBlob := bytesOf(t, goldenPack), bytesOf(t, goldenBlob)

	// What is written.
	d := open(t, t.TempDir(), Options{})
	d.random = func(b []byte) {
		for i := range b {
			b[i] = 0xa1 + byte(i)
		}
	}
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Put(high, []byte("zwei"), 300), p.Put(low, []byte("eins!"), 5), p.Commit(), d.PutBlob("toc-1", []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	const packFile = "packs/a1a2a3a4a5a6a7a8a9aaabacadaeafb0.pack"
	for file, want := range map[string][]byte{packFile: want, "blobs/toc-1": wantBlob, "version": []byte("clipper-runner store 1\n")} {
		if got, err := os.ReadFile(d.join(file)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %v:\n%x, want\n%x", file, err, got, want)
		}
	}

	// What is read.
	d = open(t, t.TempDir(), Options{})
	for file, content := range map[string][]byte{packFile: want, "blobs/toc-1": wantBlob} {
		if err := os.WriteFile(d.join(file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := snapshot(t, d)
	for id, want := range map[ID]string{low: "eins!", high: "zwei"} {
		if got, err := s.ReadChunk(id, nil); err != nil || string(got) != want {
			t.Errorf("chunk %x: %q, %v", id, got, err)
		}
	}
	if got, err := d.Blob("toc-1"); err != nil || string(got) != "hello" {
		t.Errorf("blob: %q, %v", got, err)
	}
	lengths := map[int]bool{}
	v, err := d.Verify(context.Background(), func(_ []byte, n int) ([]byte, error) {
		lengths[n] = true
		return nil, nil
	}, func(Damage) {})
	if err != nil || v.Chunks != 2 || v.Damaged != 2 || !lengths[5] || !lengths[300] {
		t.Errorf("verified %+v, %v, content lengths %v", v, err, lengths)
	}
	// Bad lists are one line per chunk.
	if got, err := os.ReadFile(d.join(strings.TrimSuffix(packFile, packExt) + badExt)); err != nil ||
		string(got) != hex.EncodeToString(high[:])+"\n"+hex.EncodeToString(low[:])+"\n" {
		t.Errorf("bad list: %q, %v", got, err)
	}
	lacks := snapshot(t, d)
	if lacks.Has(low) || lacks.Has(high) {
		t.Error("what is on the bad list is found")
	}
}

// smallPack has the chunks 1, 2 and 3 under their IDs, each with few stored
// bytes, so that every byte can have its turn.
func smallPack() (b []byte, want map[ID]string) {
	m := mark{1, 2, 3, 4, 5, 6, 7, 8}
	b = appendHeader(nil, m)
	var entries []entry
	want = map[ID]string{}
	for n, stored := range []string{"first", "the second", "3"} {
		id := idOf(n)
		want[id] = stored
		e := entry{id, int64(len(b)), uint32(len(stored)), uint32(len(stored))}
		entries = append(entries, e)
		b = appendRecord(b, m, e, []byte(stored))
	}
	end := int64(len(b))
	sortEntries(entries)
	return appendIndex(b, m, entries, end), want
}

// served reads all chunks, and checks that each is right or not served.
func served(t *testing.T, d *Dir, want map[ID]string) (right int) {
	t.Helper()
	s := snapshot(t, d)
	defer s.Close()
	for id, stored := range want {
		got, err := s.ReadChunk(id, nil)
		switch {
		case err == nil && string(got) == stored:
			right++
		case !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound):
			t.Fatalf("served %q, %v; want %q", got, err, stored)
		case s.Has(id):
			t.Fatal("a damaged chunk is found again")
		}
	}
	return right
}

// verifyTwice expects damage, or none, and that the first round repairs it.
// The content of these chunks is what their IDs say, whatever is stored.
func verifyTwice(t *testing.T, d *Dir, damaged bool) {
	t.Helper()
	chunks := map[string]int{"first": 0, "the second": 1, "3": 2}
	decode := func(encoded []byte, _ int) ([]byte, error) { return content(chunks[string(encoded)]), nil }
	for round := range 2 {
		v, err := d.Verify(context.Background(), decode, func(Damage) {})
		if err != nil || damaged != (v.Damaged > 0) || v.Repaired != v.Damaged {
			t.Fatalf("round %d: %+v, %v, want damage: %v", round, v, err, damaged)
		}
		damaged = false
	}
}

// Every single damaged byte of a pack is noticed, and costs one chunk at most.
func TestEveryByteOfAPack(t *testing.T) {
	whole, want := smallPack()
	dir := t.TempDir()
	d := open(t, dir, Options{})
	path := d.packPath(d.newName())
	records := len(whole) - trailerSize - 3*entrySize
	for offset := range whole {
		for _, mask := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[offset] ^= mask
			least := 3
			if offset >= headerSize && offset < records {
				least = 2
			}
			write := func() {
				os.Remove(strings.TrimSuffix(path, packExt) + badExt)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write()
			if right := served(t, d, want); right != least {
				t.Fatalf("byte %d changed by %#x: %d chunks left, want %d", offset, mask, right, least)
			}
			// Once more, from the bad list.
			if right := served(t, d, want); right != least {
				t.Fatalf("byte %d changed by %#x: %d chunks left the second time, want %d", offset, mask, right, least)
			}
			if mask != 1 || offset%3 != 0 {
				continue // syncing takes time, and every field has a third byte
			}
			write()
			verifyTwice(t, d, true)
			if right := served(t, d, want); right != least {
				t.Fatalf("byte %d changed by %#x: %d chunks left after the repair, want %d", offset, mask, right, least)
			}
			if b, _ := os.ReadFile(path); least == 3 && !bytes.Equal(b, whole) {
				t.Fatalf("byte %d changed by %#x: not repaired", offset, mask)
			}
		}
	}
}

// A pack is cut off at every length, its end missing, or turned into zeros by
// a file system that lost power.
func TestEveryLengthOfAPack(t *testing.T) {
	whole, want := smallPack()
	ends := []int{}
	at := headerSize
	for _, stored := range []string{"first", "the second", "3"} {
		at += recordSize + len(stored)
		ends = append(ends, at)
	}
	d := open(t, t.TempDir(), Options{})
	for length := range whole {
		for _, tail := range []int{0, len(whole) - length} {
			b := append(bytes.Clone(whole[:length]), make([]byte, tail)...)
			complete := 0
			for _, end := range ends {
				if len(b) >= end && bytes.Equal(b[:end], whole[:end]) {
					complete++
				}
			}
			d = open(t, d.path, Options{}) // makes packs anew
			name := d.newName()

			// As a finished pack.
			if err := os.WriteFile(d.packPath(name), b, 0o600); err != nil {
				t.Fatal(err)
			}
			if right := served(t, d, want); right != complete {
				t.Fatalf("%d bytes and %d zeros: %d chunks, want %d", length, tail, right, complete)
			}
			if err := os.RemoveAll(d.join(packsDir)); err != nil {
				t.Fatal(err)
			}
			if length%9 != 0 && (tail > 0 || !slices.Contains(ends, length) && !slices.Contains(ends, length+1)) {
				continue // syncing takes time
			}

			// As a dead writer's.
			d = open(t, d.path, Options{})
			if err := os.WriteFile(d.join(tmpDir, name+packExt), b, 0o600); err != nil {
				t.Fatal(err)
			}
			got := salvage(t, d)
			if got.Chunks != complete || got.Packs+got.Removed != 1 {
				t.Fatalf("%d bytes and %d zeros: salvaged %+v, want %d chunks", length, tail, got, complete)
			}
			if right := served(t, d, want); right != complete {
				t.Fatalf("%d bytes and %d zeros: %d chunks, salvaged %d", length, tail, right, complete)
			}
			if got.Packs > 0 {
				verifyTwice(t, d, false)
			}
			if n := names(t, d, tmpDir); n != "" {
				t.Fatalf("left in tmp: %s", n)
			}
			if err := os.RemoveAll(d.join(packsDir)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What a stranger has stored never counts as form, even where it stands in
// the place of the form and looks the same.
func TestContentIsNoForm(t *testing.T) {
	victim := ID{42}
	forged := appendHeader(nil, mark{})
	e := entry{victim, headerSize, 6, 6}
	forged = appendRecord(forged, mark{}, e, []byte("poison"))
	forged = appendIndex(forged, mark{}, []entry{e}, int64(len(forged)))
	d := open(t, t.TempDir(), Options{})
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Put(ID{1}, forged, 1), p.Put(ID{2}, []byte("x"), 1), p.Commit()); err != nil {
		t.Fatal(err)
	}
	path := d.packPath(p.name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"cut behind the forged trailer": whole[:headerSize+recordSize+len(forged)],
		"and its record damaged":        append(append(bytes.Clone(whole[:headerSize]), 0), whole[headerSize+1:headerSize+recordSize+len(forged)]...),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := snapshot(t, d)
		if got, err := s.ReadChunk(victim, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: served %q, %v", name, got, err)
		}
		s.Close()
	}
}

func TestDamagedChunkIsFetchedAgain(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	item := commit(t, d, 1, 2)
	flip(t, d.itemPath(item), headerSize+recordSize+3, 0x10)
	s := snapshot(t, d)
	if _, err := s.ReadChunk(idOf(1), nil); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), item.Name) {
		t.Errorf("damaged: %v", err)
	}
	lacks(t, s, 1)
	has(t, s, 2)
	s = snapshot(t, d)
	lacks(t, s, 1)
	if v := verify(t, d, 0); v.Dropped != 1 {
		t.Errorf("verified %+v", v)
	}
	commit(t, d, 1)
	has(t, snapshot(t, d), 1, 2)
}

func TestSecondCopyIsServed(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	a := commit(t, d, 1)
	b := commit(t, d, 1)
	flip(t, d.itemPath(b), headerSize+recordSize, 1)
	age(t, d.itemPath(a), time.Hour/2) // the damaged copy is asked first
	has(t, snapshot(t, d), 1)
	verify(t, d, 0) // the damaged copy is known
}

func TestReject(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	// Sound on the disk, but somebody's memory was not.
	if err := errors.Join(p.Put(idOf(1), encoded(2), len(content(2))), p.Commit()); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, d)
	if _, err := s.ReadChunk(idOf(1), nil); err != nil {
		t.Fatal(err)
	}
	s.Reject(idOf(1))
	lacks(t, s, 1)
	lacks(t, snapshot(t, d), 1)
	s.Reject(idOf(7)) // not there: nothing happens
	commit(t, d, 1)
	has(t, snapshot(t, d), 1)
	verify(t, d, 0)
}

func TestVerifyFindsWrongContent(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Put(idOf(1), encoded(2), len(content(2))), p.Put(idOf(2), []byte("x"), 5), p.Put(idOf(3), encoded(3), len(content(3))), p.Commit()); err != nil {
		t.Fatal(err)
	}
	verify(t, d, 2)
	if v := verify(t, d, 0); v.Dropped != 2 || v.Chunks != 1 {
		t.Errorf("verified %+v", v)
	}
	s := snapshot(t, d)
	lacks(t, s, 1, 2)
	has(t, s, 3)
}

func TestVerifyLeavesWhatIsInUse(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	item := commit(t, d, 1)
	flip(t, d.itemPath(item), 0, 1)
	s := snapshot(t, d)
	has(t, s, 1)
	for want := range 2 {
		if v := verify(t, d, 1); v.Repaired != want {
			t.Errorf("repaired %d, want %d", v.Repaired, want)
		}
		s.Close()
	}
	verify(t, d, 0)
}

func TestVerifyRemovesWhatIsLost(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	if err := os.WriteFile(d.packPath(d.newName()), []byte("nothing of use"), 0o600); err != nil {
		t.Fatal(err)
	}
	verify(t, d, 1)
	if n := names(t, d, packsDir); n != "" {
		t.Errorf("left: %s", n)
	}
	verify(t, d, 0)
}

func TestEveryByteOfABlob(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	if err := d.PutBlob("b", []byte("a blob's content")); err != nil {
		t.Fatal(err)
	}
	path := d.join(blobsDir, "b")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"longer": append(bytes.Clone(whole), 0)}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		damaged["flipped at "+string(rune('0'+i))] = b
		damaged["cut at "+string(rune('0'+i))] = whole[:i]
	}
	for name, b := range damaged {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Blob("b"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	verify(t, d, 1)
	verify(t, d, 0)
	if _, err := d.Blob("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after verify: %v", err)
	}
	for _, make := range []func() error{
		func() error { return os.Mkdir(path, 0o700) },
		func() error { return os.Remove(path) },
		func() error { return os.Symlink(filepath.Join("..", versionName), path) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Blob("b"); err == nil {
			t.Errorf("read %q", got)
		}
	}
	if err := d.PutBlob("b", []byte("good again")); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Blob("b"); err != nil || string(got) != "good again" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzPack(f *testing.F) {
	small, _ := smallPack()
	for _, b := range [][]byte{nil, bytesOf(f, goldenPack), small, small[:len(small)-trailerSize], small[:120], packBytes(mark{9}, 5)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, size := bytes.NewReader(b), int64(len(b))
		m, entries, err := readIndex(r, size)
		check := func(thorough bool) {
			for _, e := range entries {
				if e.offset < headerSize || e.end() > size {
					t.Fatalf("%+v is not in %d bytes", e, size)
				}
				got, err := readRecord(r, m, e.id, e.offset, e.stored, nil)
				if err == nil && !bytes.Equal(got, b[e.offset+recordSize:e.end()]) {
					t.Fatalf("%+v: %x", e, got)
				}
				if err != nil && (thorough || !errors.Is(err, ErrCorrupt)) {
					t.Fatal(err)
				}
			}
		}
		if err == nil {
			check(false)
		} else if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		var end int64
		if m, entries, end, err = walk(r, size, true); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		check(true)
		// Whatever was salvaged makes a sound pack.
		again := appendIndex(bytes.Clone(b[:end]), m, entries, end)
		m2, entries2, err := readIndex(bytes.NewReader(again), int64(len(again)))
		if err != nil || m2 != m || len(entries2) != len(entries) {
			t.Fatalf("%d entries, %v; want %d", len(entries2), err, len(entries))
		}
	})
}

func FuzzBlob(f *testing.F) {
	f.Add("toc-1", bytesOf(f, goldenBlob))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		content, err := parseBlob(name, b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(append(blobHead(name, content), content...), b) {
			t.Fatalf("two forms of one blob: %x", b)
		}
	})
}

func FuzzBadList(f *testing.F) {
	f.Add([]byte(strings.Repeat("ab", 32) + "\n" + strings.Repeat("cd", 31) + "\n\nrubbish\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for id := range parseBad(b) {
			if !bytes.Contains(bytes.ToLower(b), []byte(hex.EncodeToString(id[:]))) {
				t.Fatalf("%x is not in the list", id)
			}
		}
	})
}
