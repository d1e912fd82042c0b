package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Salvaged counts what Salvage found.
type Salvaged struct {
	// Packs, Chunks and Bytes (stored ones) were given back.
	Packs, Chunks int
	Bytes         int64
	// Removed files had nothing of use in them.
	Removed int
}

// Salvage finishes what dead writers have left behind: their packs get an
// index of all chunks that are whole, the rest is removed. A Snapshot taken
// afterwards has these chunks. The unfinished files of writers that live are
// not touched. It is meant to be called at every start; mostly it reads one
// empty directory.
func (d *Dir) Salvage(ctx context.Context) (Salvaged, error) {
	var total Salvaged
	if d.readOnly {
		return total, fmt.Errorf("salvage: %w", ErrReadOnly)
	}
	files, err := os.ReadDir(d.join(tmpDir))
	if err != nil {
		return total, fmt.Errorf("salvage: %w", writeError(err))
	}
	var faults []error // of one file; the others may be sound
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		path := d.join(tmpDir, file.Name())
		if !file.Type().IsRegular() {
			continue
		}
		f, err := openExclusive(path)
		if err == nil {
			err = d.salvage(f, path, &total)
			f.Close()
		}
		if err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNotFound) {
			faults = append(faults, fmt.Errorf("salvage %s: %w", file.Name(), err))
		}
	}
	return total, errors.Join(faults...)
}

// salvage takes care of one file, which it has locked.
func (d *Dir) salvage(f *os.File, path string, total *Salvaged) error {
	name, isPack := packName(filepath.Base(path))
	if isPack {
		entries, err := restore(f)
		if err == nil && len(entries) > 0 {
			err = d.publish(f, path, d.packPath(name))
		}
		if err == nil && len(entries) > 0 {
			total.Packs++
			total.Chunks += len(entries)
			for _, e := range entries {
				total.Bytes += int64(e.stored)
			}
			return nil
		}
		// What cannot be finished must not take space either: it is a cache.
		if err != nil && !errors.Is(err, ErrNoSpace) {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !vanished(err) {
		return writeError(err)
	}
	total.Removed++
	return nil
}

// restore gives a pack a sound index again: what its records say, up to the
// first one that is torn. No entries: there is nothing to be had from it. The
// file is locked exclusively.
func restore(f *os.File) ([]entry, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, entries, err := readIndex(f, info.Size()); err == nil {
		return entries, nil // its writer died after the last byte
	}
	m, entries, end, err := walk(f, info.Size(), true)
	if errors.Is(err, errTransient) {
		return nil, err
	}
	if err != nil || len(entries) == 0 {
		return nil, nil
	}
	return entries, seal(f, m, entries, end)
}
