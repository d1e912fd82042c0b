package store

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestEvictsTheLeastRecentlyUsed(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	old, middle, young := commit(t, d, 1), commit(t, d, 2), commit(t, d, 3)
	if err := d.PutBlob("b", []byte("blob")); err != nil {
		t.Fatal(err)
	}
	age(t, d.itemPath(old), 4*time.Hour)
	age(t, d.itemPath(middle), 3*time.Hour)
	age(t, d.join(blobsDir, "b"), 3*time.Hour)
	age(t, d.itemPath(young), 2*time.Hour)

	// Reading makes young, but not more often than hourly.
	s := snapshot(t, d)
	has(t, s, 1)
	s.Close()
	if _, err := d.Blob("b"); err != nil {
		t.Fatal(err)
	}
	list := items(t, d)
	if list[0].Name != middle.Name || list[1].Name != young.Name {
		t.Fatalf("in order of use: %+v", list)
	}
	half := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	if err := os.Chtimes(d.itemPath(old), half, half); err != nil {
		t.Fatal(err)
	}
	s = snapshot(t, d)
	has(t, s, 1)
	s.Close()
	if info, err := os.Stat(d.itemPath(old)); err != nil || !info.ModTime().Equal(half) {
		t.Errorf("touched after half an hour: %v, %v", info.ModTime(), err)
	}

	left := old.Size + blobHeaderSize + int64(len("blob"))
	p := prune(t, d, left)
	if len(p.Removed) != 2 || p.Removed[0].Name != middle.Name || p.Removed[1].Name != young.Name || p.Left != left || p.Freed != middle.Size+young.Size {
		t.Errorf("pruned %+v", p)
	}
	s = snapshot(t, d)
	has(t, s, 1)
	lacks(t, s, 2, 3)
}

func TestEvictionSparesReaders(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	held, free := commit(t, d, 1, 2), commit(t, d, 3)
	age(t, d.itemPath(held), 100*time.Hour)
	s := snapshot(t, d)
	lacks(t, s, 4) // looks at every index, and holds nothing
	has(t, s, 1)   // from now on it is held
	if err := d.Remove(held); !errors.Is(err, ErrBusy) {
		t.Errorf("removed what is read: %v", err)
	}
	p := prune(t, d, 0)
	if len(p.Removed) != 1 || p.Removed[0].Name != free.Name || p.Left != held.Size {
		t.Errorf("pruned %+v", p)
	}
	has(t, s, 1, 2)
	lacks(t, s, 3)
	s.Close()
	if p := prune(t, d, 0); len(p.Removed) != 1 || p.Left != 0 {
		t.Errorf("pruned after the reader %+v", p)
	}
}

// A pack can vanish all the same: a host whose file system has no locks, or
// an administrator.
func TestPackVanishes(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	a, b := commit(t, d, 1), commit(t, d, 2)
	commit(t, d, 2, 3)
	age(t, d.itemPath(b), -time.Minute) // it is asked first
	s := snapshot(t, d)
	has(t, s, 1) // held open
	for _, item := range []Item{a, b} {
		if err := os.Remove(d.itemPath(item)); err != nil {
			t.Fatal(err)
		}
	}
	has(t, s, 1, 2, 3) // chunk 2 comes from the other pack
	if err := os.RemoveAll(d.join(packsDir)); err != nil {
		t.Fatal(err)
	}
	has(t, s, 2)
	lacks(t, snapshot(t, d), 1, 2, 3)
	verify(t, d, 0)
}

func TestLimit(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{Max: 20_000})
	size := func() (sum int64) {
		for _, item := range items(t, d) {
			sum += item.Size
		}
		return sum
	}
	for n := range 20 {
		item := commit(t, d, n)
		age(t, d.itemPath(item), time.Duration(100-n)*time.Hour)
		if got := size(); got > 20_000 {
			t.Fatalf("%d bytes in the store", got)
		}
	}
	has(t, snapshot(t, d), 19)
	if err := d.PutBlob("b", make([]byte, 19_000)); err != nil || size() > 20_000 {
		t.Errorf("%d bytes, %v", size(), err)
	}
	if err := d.PutBlob("c", make([]byte, 20_000)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a blob beyond the limit: %v", err)
	}

	// A pack that is larger than the store may be takes what fits.
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	n := 0
	for ; err == nil; n++ {
		err = p.Put(idOf(n), encoded(n), len(content(n)))
	}
	if !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	if err := p.Put(ID{}, nil, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("put after a failed put: %v", err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, d)
	for i := range n - 1 {
		has(t, s, i)
	}
	lacks(t, s, n-1)
}

func TestClockJumps(t *testing.T) {
	now := time.Now()
	d := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	future, past := commit(t, d, 1), commit(t, d, 2)
	if err := d.PutBlob("b", nil); err != nil {
		t.Fatal(err)
	}
	decade := 10 * 365 * 24 * time.Hour
	age(t, d.itemPath(future), -decade)
	age(t, d.join(blobsDir, "b"), -decade)
	age(t, d.itemPath(past), 3*decade) // a host without a clock

	// Use puts right both.
	if _, err := d.Blob("b"); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, d)
	has(t, s, 2)
	s.Close()
	for _, item := range items(t, d) {
		if off := item.LastUsed.Sub(now).Abs(); item.Name != future.Name && off > time.Minute {
			t.Errorf("%+v after its use", item)
		}
	}
	// What nobody uses ages from the first pruning on.
	prune(t, d, 1<<40)
	now = now.Add(2 * time.Hour)
	s = snapshot(t, d)
	has(t, s, 2)
	s.Close()
	if p := prune(t, d, past.Size); len(p.Removed) != 2 {
		t.Errorf("pruned %+v", p)
	}
	has(t, snapshot(t, d), 2)

	// The clock goes back before everything that is there.
	now = time.Unix(0, 0)
	commit(t, d, 3)
	has(t, snapshot(t, d), 2, 3)
	prune(t, d, 1<<40)
	verify(t, d, 0)
}

func TestLostBadListsAreRemoved(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	item := commit(t, d, 1)
	d.noteBad(item.Name, idOf(9))
	d.noteBad(d.newName(), idOf(9))
	prune(t, d, 1<<40)
	if got, want := names(t, d, packsDir), item.Name+badExt+" "+item.Name+packExt; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	prune(t, d, 0)
	if got := names(t, d, packsDir); got != "" {
		t.Errorf("left %s", got)
	}
}
