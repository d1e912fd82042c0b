package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// Kind says what an Item is.
type Kind string

const (
	Packs      Kind = "pack"
	Blobs      Kind = "blob"
	Unfinished Kind = "unfinished" // in writing, or left behind by a dead writer
)

// Item is a file of the store.
type Item struct {
	Kind     Kind
	Name     string
	Size     int64
	LastUsed time.Time // within an hour

	bad bool // it is a pack and has a bad list
}

// List lists what the store keeps, the least recently used first.
func (d *Dir) List() ([]Item, error) {
	var all []Item
	for _, part := range []struct {
		dir  string
		kind Kind
	}{{packsDir, Packs}, {blobsDir, Blobs}, {tmpDir, Unfinished}} {
		items, err := d.list(part.dir, part.kind)
		if err != nil {
			return nil, fmt.Errorf("list the store: %w", err)
		}
		all = append(all, items...)
	}
	slices.SortStableFunc(all, byUse)
	return all, nil
}

func byUse(a, b Item) int {
	return cmp.Or(a.LastUsed.Compare(b.LastUsed), cmp.Compare(a.Name, b.Name))
}

// list lists one directory, the least recently used first. Files that are not
// the store's own are left out, here and so everywhere.
func (d *Dir) list(dir string, kind Kind) ([]Item, error) {
	files, err := os.ReadDir(d.join(dir))
	if err != nil && !vanished(err) {
		return nil, err
	}
	var items []Item
	bad := map[string]bool{}
	for _, file := range files {
		name, ok := file.Name(), true
		switch kind {
		case Packs:
			if pack, isList := isBadList(name); isList {
				bad[pack] = true
			}
			name, ok = packName(name)
		case Blobs:
			ok = validName(name)
		}
		if !ok || !file.Type().IsRegular() {
			continue
		}
		info, err := file.Info()
		if vanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		items = append(items, Item{Kind: kind, Name: name, Size: info.Size(), LastUsed: info.ModTime()})
	}
	for i := range items {
		items[i].bad = bad[items[i].Name]
	}
	slices.SortFunc(items, byUse)
	return items, nil
}

// Chunks says how many chunks a pack has, by its index: those that are known
// to be damaged do not count.
func (d *Dir) Chunks(pack Item) int {
	_, entries := d.loadPack(pack.Name, pack.bad)
	return len(entries)
}

func (d *Dir) itemPath(item Item) string {
	switch item.Kind {
	case Packs:
		return d.packPath(item.Name)
	case Blobs:
		return d.join(blobsDir, item.Name)
	}
	return d.join(tmpDir, item.Name)
}

// Remove removes an item that List gave. ErrBusy: a process reads from that
// pack, or writes that file.
func (d *Dir) Remove(item Item) error {
	if err := d.remove(item); err != nil {
		return fmt.Errorf("remove %s %s: %w", item.Kind, item.Name, err)
	}
	return nil
}

func (d *Dir) remove(item Item) error {
	if d.readOnly {
		return ErrReadOnly
	}
	path := d.itemPath(item)
	if item.Kind != Blobs { // which are read in one go
		f, err := openExclusive(path)
		if err != nil {
			return err
		}
		defer f.Close()
	}
	if err := os.Remove(path); err != nil {
		return writeError(err)
	}
	if item.Kind == Packs {
		_ = os.Remove(d.badPath(item.Name)) // mostly there is none
	}
	return nil
}

// Pruned says what Prune did.
type Pruned struct {
	Removed []Item
	Freed   int64 // bytes
	Left    int64 // bytes that the store still takes
}

// Prune removes the least recently used packs and blobs, and what dead
// writers left behind, until the store takes no more than max bytes; 0 leaves
// nothing but what is in use, which is never removed. It waits for another
// process that prunes at this moment.
func (d *Dir) Prune(ctx context.Context, max int64) (Pruned, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		pruned, err := d.prune(max)
		if !errors.Is(err, ErrBusy) {
			if err != nil {
				err = fmt.Errorf("prune the store: %w", err)
			}
			return pruned, err
		}
		select {
		case <-ctx.Done():
			return pruned, fmt.Errorf("prune the store: another process does: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// evict keeps the store within its limit. If another process does it already,
// that is good enough: the next writer looks again.
func (d *Dir) evict() error {
	if d.max <= 0 {
		return nil
	}
	if _, err := d.prune(d.max); err != nil && !errors.Is(err, ErrBusy) {
		return fmt.Errorf("keep the store within its limit: %w", err)
	}
	return nil
}

func (d *Dir) prune(max int64) (p Pruned, err error) {
	if d.readOnly {
		return p, ErrReadOnly
	}
	f, err := os.OpenFile(d.join(lockName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return p, writeError(err)
	}
	defer f.Close()
	if err := lock(f, syscall.LOCK_EX); err != nil {
		return p, err
	}
	items, err := d.List()
	if err != nil {
		return p, err
	}
	d.mendTimes(items)
	for _, item := range items {
		p.Left += item.Size
	}
	for _, item := range items {
		if p.Left <= max {
			break
		}
		switch err := d.remove(item); {
		case err == nil:
			p.Removed = append(p.Removed, item)
			p.Freed += item.Size
			p.Left -= item.Size
		case errors.Is(err, ErrNotFound):
			p.Left -= item.Size
		case !errors.Is(err, ErrBusy):
			return p, err
		}
	}
	d.removeLostLists()
	return p, nil
}

// mendTimes puts right what a clock that was ahead has left behind: it would
// be the last to go for years. From now on it ages.
func (d *Dir) mendTimes(items []Item) {
	now := d.now()
	for i := range items {
		if item := &items[i]; item.LastUsed.After(now.Add(time.Hour)) {
			_ = os.Chtimes(d.itemPath(*item), now, now)
			item.LastUsed = now
		}
	}
	slices.SortStableFunc(items, byUse)
}

// removeLostLists removes bad lists that were written while their pack was
// removed.
func (d *Dir) removeLostLists() {
	files, _ := os.ReadDir(d.join(packsDir))
	for _, file := range files {
		pack, ok := isBadList(file.Name())
		if !ok {
			continue
		}
		if _, err := os.Lstat(d.packPath(pack)); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(d.join(packsDir, file.Name()))
		}
	}
}
